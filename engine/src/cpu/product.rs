//! The two inner loops that every product in f32 is made of. `Rows` broadcasts the left side and runs along the columns
//! of the right one; `Dots` runs along both. What a value is summed from, and in which order, depends on neither the tile
//! that it falls into nor its neighbours: an output's bits are the same whatever ran beside it.

pub(crate) mod dots;
pub(crate) mod gemm;
pub(crate) mod matrix;
pub(crate) mod packing;
pub(crate) mod rows;
mod tiles;

use pulp::Simd;

/// Where the rows of a right side begin: three nested counts, each with its stride in words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps {
    /// How many, outermost first.
    pub counts: [usize; 3],
    /// How far apart, outermost first.
    pub strides: [usize; 3],
}

impl Steps {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.counts.iter().product()
    }

    fn offset(&self, row: usize) -> usize {
        let [_, middle, inner] = self.counts;
        let [outer_at, middle_at, inner_at] =
            [row / inner / middle, row / inner % middle, row % inner];
        outer_at * self.strides[0] + middle_at * self.strides[1] + inner_at * self.strides[2]
    }

    /// One past the last word that `columns` columns of any row touch.
    pub fn end(&self, columns: usize) -> usize {
        self.offset(self.rows() - 1) + columns
    }
}

pub(crate) fn registers<S: Simd>() -> usize {
    usize::from(S::F32_LANES < 16)
}

/// `most` or fewer per part, parts as equal as can be.
pub(crate) fn share(count: usize, most: usize) -> usize {
    count.div_ceil(count.div_ceil(most).max(1)).max(1)
}

/// Packs a left side for `Rows`: panels of `height` rows, in each the rows' values side by side, column after column.
pub(crate) fn pack(
    height: usize,
    rows: usize,
    columns: usize,
    packed: &mut [f32],
    value: impl Fn(usize, usize) -> f32,
) {
    let mut at = 0;
    for first in (0..rows).step_by(height) {
        let last = rows.min(first + height);
        for column in 0..columns {
            for row in first..last {
                packed[at] = value(row, column);
                at += 1;
            }
        }
    }
}

/// # Safety
/// A whole vector lies behind `start`.
#[inline(always)]
pub(crate) unsafe fn load<S: Simd>(start: *const f32) -> S::f32s {
    // SAFETY: see above; any bits are numbers.
    unsafe { start.cast::<S::f32s>().read_unaligned() }
}

#[cfg(test)]
mod tests;
