//! How the products of a linear layer's backward pass are cut into work. Its forward pass needs no workspace: both sides
//! run along their rows.

use serde::Serialize;

use crate::op::Linear;
use crate::window::TILE;

/// Rows of a strip of the right side: with [`TILE`] columns it fills two thirds of a first cache.
const STRIP_ROWS: usize = 256;

/// Words of workspace of a linear layer's backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DenseWork {
    /// Words of the packed gradient of the output, the left side of both products.
    pub packed: usize,
    /// Rows of a strip of the right side.
    pub strip_rows: usize,
    /// Words of a strip, one per thread.
    pub strip: usize,
    /// Words of all of it.
    pub words: usize,
}

impl DenseWork {
    /// The work of `linear` over microbatches of `samples` on `threads`, if it can be counted.
    pub fn new(linear: &Linear, samples: usize, threads: usize) -> Option<Self> {
        let packed = samples
            .checked_mul(linear.outputs)?
            .checked_next_multiple_of(TILE)?;
        let strip_rows = STRIP_ROWS.min(samples.max(linear.outputs));
        let strip = strip_rows * TILE;
        let words = strip
            .checked_mul(threads)?
            .checked_add(packed)
            .filter(|&words| words <= 1 << 44)?;
        Some(DenseWork {
            packed,
            strip_rows,
            strip,
            words,
        })
    }
}
