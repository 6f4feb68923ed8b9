//! How fast products run on this machine.

use std::time::Instant;

use plan::{GEMM_WORDS, packed_words};

use crate::cpu::product::gemm::{Gemm, Right};
use crate::cpu::product::matrix::{Matrix, Out};
use crate::cpu::product::packing::Packed;
use crate::error::Error;
use crate::pool::Pool;

/// How the sides of a measured product lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Both row by row, as a linear layer's input gradient has them.
    Plain,
    /// The right one column by column, as a linear layer's forward pass has it.
    RightTransposed,
    /// The left one column by column, as a weight gradient has it.
    LeftTransposed,
    /// The left one row by row, the right one packed before.
    RightPacked,
}

/// Seconds of the fastest of `repeats` products of `(m, k)` and `(k, n)` on `threads`; `2 m n k` floating-point operations
/// each.
///
/// # Errors
/// No threads, or no memory.
pub fn product_seconds(
    layout: Layout,
    [m, n, k]: [usize; 3],
    threads: usize,
    repeats: usize,
) -> Result<f64, Error> {
    let (pool, arch) = (Pool::new(threads)?, pulp::Arch::new());
    let words = packed_words(k, n).ok_or(Error::Memory { bytes: u64::MAX })?;
    let values = |count: usize| -> Vec<f32> {
        let value = |index: usize| (index % 251) as f32 / 125.0 - 1.0;
        (0..count).map(value).collect()
    };
    let (left, right) = (values(m * k), values(k * n));
    let [mut packed, mut work, mut out] =
        [words, threads * GEMM_WORDS, m * n].map(|words| vec![0.0; words]);
    let left = match layout {
        Layout::LeftTransposed => Matrix::new(&left, k, m).transposed(),
        _ => Matrix::new(&left, m, k),
    };
    let right = match layout {
        Layout::RightTransposed => Matrix::new(&right, n, k).transposed(),
        _ => Matrix::new(&right, k, n),
    };
    let mut gemm = Gemm::plain(left, right);
    if layout == Layout::RightPacked {
        gemm.right = Right::Packed(Packed::new(arch, &pool, &right, &mut packed));
    }
    let once = || {
        let started = Instant::now();
        pool.enter(|| gemm.run(arch, &pool, &mut work, Out::new(&mut out, m, n)));
        started.elapsed().as_secs_f64()
    };
    let fastest = std::iter::repeat_with(once).take(repeats.max(1));
    Ok(fastest.fold(f64::INFINITY, f64::min))
}
