//! Transcendental functions in f32, without branches or tables, so that the compiler runs as many at once as the
//! machine has lanes: a value's bits do not depend on its place among others. Products and sums are rounded one by one,
//! never contracted, so that they do not depend on the instruction set either. Errors against f64 are stated in the tests.

use crate::reference::functions::Functions;

/// Adding it rounds to whole numbers, which then stand in the low bits.
const ROUND: f32 = 12_582_912.0;

/// `ln 2` in two parts, the first with 9 bits, so that its products with small whole numbers are exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// The inverse factorials from `1/2!` to `1/7!`.
const INVERSE_FACTORIALS: [f32; 6] = [
    0.5,
    1.0 / 6.0,
    1.0 / 24.0,
    1.0 / 120.0,
    1.0 / 720.0,
    1.0 / 5040.0,
];

/// The odd inverses from `1/3` to `1/15`.
const ODD_INVERSES: [f32; 7] = [
    1.0 / 3.0,
    1.0 / 5.0,
    1.0 / 7.0,
    1.0 / 9.0,
    1.0 / 11.0,
    1.0 / 13.0,
    1.0 / 15.0,
];

/// `exp(z²) erfc(z) / t` for `t = 1 / (1 + 0.4 z)`, a polynomial in `t` that goes through it at the Chebyshev points: 9e-9
/// apart from it, relatively.
const SCALED_COMPLEMENT: [f32; 11] = [
    0.225_675_83,
    0.225_676_32,
    0.207_600_68,
    0.171_890_95,
    0.118_093_22,
    0.087_126_44,
    -0.053_804_327,
    0.146_816_91,
    -0.243_052_06,
    0.143_845_47,
    -0.029_869_435,
];

/// The functions of this file.
pub(crate) struct Quick;

#[inline(always)]
fn polynomial<const N: usize>(coefficients: &[f32; N], x: f32) -> f32 {
    let mut sum = coefficients[N - 1];
    for &coefficient in coefficients[..N - 1].iter().rev() {
        sum = sum * x + coefficient;
    }
    sum
}

/// `2ⁿ` for `n` in -126..=127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// `n` and `exp(r) - 1`, where `x = n ln 2 + r` and `|r|` is at most half of `ln 2`.
#[inline(always)]
fn reduced(x: f32) -> (i32, f32) {
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2[0]) - n * LN_2[1];
    let whole = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    (whole, r + r * r * polynomial(&INVERSE_FACTORIALS, r))
}

impl Functions<f32> for Quick {
    #[inline(always)]
    fn exponential(x: f32) -> f32 {
        let x = if x > 89.0 { 89.0 } else { x };
        let x = if x < -105.0 { -105.0 } else { x };
        let (n, less_one) = reduced(x);
        // In two factors, so that neither is out of range where the result is not.
        let half = n >> 1;
        (1.0 + less_one) * power_of_two(half) * power_of_two(n.wrapping_sub(half))
    }

    #[inline(always)]
    fn exponential_less_one(x: f32) -> f32 {
        let x = if x < -80.0 { -80.0 } else { x };
        let (n, less_one) = reduced(x);
        let power = power_of_two(n);
        power * less_one + (power - 1.0)
    }

    #[inline(always)]
    fn logarithm_of_one_more(x: f32) -> f32 {
        // The series of 2 artanh.
        let s = x / (2.0 + x);
        let square = s * s;
        2.0 * (s + s * square * polynomial(&ODD_INVERSES, square))
    }

    #[inline(always)]
    fn normal(x: f32) -> (f32, f32) {
        let z = (if x < 0.0 { -x } else { x }) * std::f32::consts::FRAC_1_SQRT_2;
        let t = 1.0 / (1.0 + 0.4 * z);
        let bell = Self::exponential(-0.5 * (x * x));
        let tail = 0.5 * (t * polynomial(&SCALED_COMPLEMENT, t) * bell);
        let distribution = if x < 0.0 { tail } else { 1.0 - tail };
        (distribution, 0.398_942_3 * bell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::functions::Plain;

    /// The largest error against f64 over many values of an interval, relative to the value.
    fn error(from: f32, to: f32, quick: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> f64 {
        let count = 200_000;
        (0..=count)
            .map(|index| {
                let x = from + (to - from) * (index as f32 / count as f32);
                let (quick, exact) = (f64::from(quick(x)), exact(f64::from(x)));
                if exact == 0.0 {
                    quick.abs()
                } else {
                    (quick / exact - 1.0).abs()
                }
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn exponentials_are_within_a_few_roundings_of_f64() {
        let exponential = |x| <Plain as Functions<f64>>::exponential(x);
        assert!(error(-87.0, 88.7, Quick::exponential, exponential) < 1.5e-7);
        let less_one = |x| <Plain as Functions<f64>>::exponential_less_one(x);
        assert!(error(-100.0, 0.0, Quick::exponential_less_one, less_one) < 2e-7);
        assert!(error(-0.5, 0.0, Quick::exponential_less_one, less_one) < 2e-7);
        assert_eq!(Quick::exponential(0.0), 1.0);
        assert_eq!(Quick::exponential(f32::NEG_INFINITY), 0.0);
        assert_eq!(Quick::exponential(f32::INFINITY), f32::INFINITY);
        assert!((f64::from(Quick::exponential(-100.0)) - libm::exp(-100.0)).abs() < 1e-45);
        assert!(Quick::exponential(f32::NAN).is_nan());
        assert!(Quick::exponential_less_one(f32::NAN).is_nan());
    }

    #[test]
    fn logarithms_and_the_normal_distribution_are_within_a_few_roundings_of_f64() {
        let logarithm = |x| <Plain as Functions<f64>>::logarithm_of_one_more(x);
        assert!(error(0.0, 1.0, Quick::logarithm_of_one_more, logarithm) < 2.5e-7);
        assert!(error(1e-12, 1e-3, Quick::logarithm_of_one_more, logarithm) < 2.5e-7);
        let distribution = |x| <Plain as Functions<f64>>::normal(x).0;
        assert!(error(-1.0, 20.0, |x| Quick::normal(x).0, distribution) < 4e-7);
        // The exponent of the tail is rounded: at 13 it is 84.5.
        assert!(error(-13.0, -1.0, |x| Quick::normal(x).0, distribution) < 6e-6);
        let density = |x| <Plain as Functions<f64>>::normal(x).1;
        assert!(error(-4.0, 4.0, |x| Quick::normal(x).1, density) < 7e-7);
        assert!(Quick::normal(f32::NAN).0.is_nan());
    }
}
