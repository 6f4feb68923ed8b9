//! The two kinds of numbers that an engine runs on: f32 to train, f64 to be compared with.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// A floating-point number whose functions have the same bits on every host.
pub trait Float:
    bytemuck::Pod
    + PartialOrd
    + Debug
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// The least value, below every other.
    const LEAST: Self;

    /// The nearest value.
    fn of(value: f64) -> Self;

    /// The same value.
    fn wide(self) -> f64;

    /// The square root, correctly rounded.
    fn root(self) -> Self;

    /// `eˣ`.
    fn exponential(self) -> Self;

    /// `eˣ - 1`, exact near 0.
    fn exponential_less_one(self) -> Self;

    /// The natural logarithm.
    fn logarithm(self) -> Self;

    /// `ln(1 + x)`, exact near 0.
    fn logarithm_of_one_more(self) -> Self;

    /// `1 - erf(x)`, exact far from 0.
    fn error_complement(self) -> Self;

    /// The bits, in the low half for f32.
    fn word(self) -> u64;

    /// `a += b` for little-endian bytes of one value each.
    fn add_bytes(into: &mut [u8], from: &[u8]);
}

impl Float for f32 {
    const ZERO: f32 = 0.0;
    const ONE: f32 = 1.0;
    const LEAST: f32 = f32::NEG_INFINITY;

    fn of(value: f64) -> f32 {
        value as f32
    }

    fn wide(self) -> f64 {
        f64::from(self)
    }

    fn root(self) -> f32 {
        self.sqrt()
    }

    fn exponential(self) -> f32 {
        libm::expf(self)
    }

    fn exponential_less_one(self) -> f32 {
        libm::expm1f(self)
    }

    fn logarithm(self) -> f32 {
        libm::logf(self)
    }

    fn logarithm_of_one_more(self) -> f32 {
        libm::log1pf(self)
    }

    fn error_complement(self) -> f32 {
        libm::erfcf(self)
    }

    fn word(self) -> u64 {
        u64::from(self.to_bits())
    }

    fn add_bytes(into: &mut [u8], from: &[u8]) {
        for (a, b) in into.chunks_exact_mut(4).zip(from.chunks_exact(4)) {
            let sum = f32::from_le_bytes([a[0], a[1], a[2], a[3]])
                + f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            a.copy_from_slice(&sum.to_le_bytes());
        }
    }
}

impl Float for f64 {
    const ZERO: f64 = 0.0;
    const ONE: f64 = 1.0;
    const LEAST: f64 = f64::NEG_INFINITY;

    fn of(value: f64) -> f64 {
        value
    }

    fn wide(self) -> f64 {
        self
    }

    fn root(self) -> f64 {
        self.sqrt()
    }

    fn exponential(self) -> f64 {
        libm::exp(self)
    }

    fn exponential_less_one(self) -> f64 {
        libm::expm1(self)
    }

    fn logarithm(self) -> f64 {
        libm::log(self)
    }

    fn logarithm_of_one_more(self) -> f64 {
        libm::log1p(self)
    }

    fn error_complement(self) -> f64 {
        libm::erfc(self)
    }

    fn word(self) -> u64 {
        self.to_bits()
    }

    fn add_bytes(into: &mut [u8], from: &[u8]) {
        for (a, b) in into.chunks_exact_mut(8).zip(from.chunks_exact(8)) {
            let [a8, b8]: [[u8; 8]; 2] =
                [&*a, b].map(|bytes| bytes.try_into().expect("chunks of 8"));
            a.copy_from_slice(&(f64::from_le_bytes(a8) + f64::from_le_bytes(b8)).to_le_bytes());
        }
    }
}
