//! What products of matrices need beside their sides: the blocks that the engine cuts them into, and the workspace of linear
//! layers.

use serde::Serialize;

use crate::op::Linear;
use crate::window::TILE;

/// Columns of the left side whose products are summed in one go, at most. Part of a value's order of summation.
pub const GEMM_DEPTH: usize = 256;

/// Words of a packed block of the left side: a quarter of a second cache.
pub const GEMM_BLOCK: usize = 64 << 10;

/// Strips of [`TILE`] columns of the right side that a block is multiplied with at a time, so that each row of what is written
/// is written some way along.
pub const GEMM_STRIPS: usize = 4;

/// Words of workspace of a product for each of its threads: a block of the left side, and strips of the right one.
pub const GEMM_WORDS: usize = GEMM_BLOCK + GEMM_STRIPS * GEMM_DEPTH * TILE;

/// Words of a right side of `rows` and `columns` that is packed once for many products, if they can be counted.
pub fn packed_words(rows: usize, columns: usize) -> Option<usize> {
    columns.checked_next_multiple_of(TILE)?.checked_mul(rows)
}

/// Words of workspace of a linear layer, the same for both passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DenseWork {
    /// Words of all of it.
    pub words: usize,
}

impl DenseWork {
    /// The work of `linear` over microbatches of `samples` on `threads`, if it can be counted.
    pub fn new(linear: &Linear, samples: usize, threads: usize) -> Option<Self> {
        for other in [linear.inputs, linear.outputs] {
            samples.checked_mul(other)?.checked_next_multiple_of(TILE)?;
        }
        let words = GEMM_WORDS
            .checked_mul(threads)
            .filter(|&words| words <= 1 << 44)?;
        Some(DenseWork { words })
    }
}
