//! Products that run along the columns of the right side: every value of the left one is broadcast.

use std::marker::PhantomData;

use pulp::{Simd, WithSimd};

use crate::cpu::product::{Steps, load, registers, share};

/// Rows of a tile of `Rows` where there are 32 wide registers, and where there are fewer.
const ROWS: [usize; 2] = [12, 6];

/// How many rows a panel of a packed left side of `rows` has.
pub(crate) struct PanelHeight {
    /// Rows of the left side.
    pub rows: usize,
}

impl WithSimd for PanelHeight {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> usize {
        share(self.rows, ROWS[registers::<S>()])
    }
}

/// `out[m][j] = bias[m] + Σ_k left[m][k] · right[k][j]`, then `max(·, 0)` where `relu`.
pub(crate) struct Rows<'a> {
    /// Rows of the left side.
    pub rows: usize,
    /// The left side, packed with the height that `PanelHeight` gives.
    pub left: &'a [f32],
    /// Columns of the packed left side that stand before and after those multiplied.
    pub skipped: [usize; 2],
    /// The right side.
    pub right: &'a [f32],
    /// Where its rows begin.
    pub steps: Steps,
    /// Where the sums begin.
    pub start: Start<'a>,
    /// Whether negative sums become 0.
    pub relu: bool,
    /// Columns of the right side, a multiple of `plan::TILE`.
    pub columns: usize,
    /// `(rows, columns of out)`
    pub out: Columns<'a>,
}

/// Where the sums of a product begin.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a> {
    /// At 0.
    Zero,
    /// At one value per row.
    Bias(&'a [f32]),
}

/// Columns of a matrix that one product writes.
pub(crate) struct Columns<'a> {
    start: *mut f32,
    pitch: usize,
    rows: usize,
    borrowed: PhantomData<&'a mut [f32]>,
}

impl<'a> Columns<'a> {
    /// All `pitch` columns of `matrix`.
    pub fn all(matrix: &'a mut [f32], pitch: usize) -> Self {
        let (start, rows) = (matrix.as_mut_ptr(), matrix.len() / pitch);
        Columns {
            start,
            pitch,
            rows,
            borrowed: PhantomData,
        }
    }
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (depth, height) = (self.steps.rows(), share(self.rows, ROWS[registers::<S>()]));
        let packed = self.skipped[0] + depth + self.skipped[1];
        assert!(
            self.columns.is_multiple_of(2 * S::F32_LANES) && self.left.len() >= self.rows * packed
        );
        assert!(self.steps.end(self.columns) <= self.right.len());
        assert!(self.rows <= self.out.rows && self.out.pitch <= self.columns);
        if let Start::Bias(bias) = self.start {
            assert!(bias.len() >= self.rows);
        }
        for first in (0..self.rows).step_by(height) {
            let count = height.min(self.rows - first);
            let left = &self.left[first * packed + self.skipped[0] * count..];
            let tile = RowsTile {
                task: &self,
                left,
                first,
            };
            for column in (0..self.out.pitch).step_by(2 * S::F32_LANES) {
                // SAFETY: the assertions above keep every access of the tile inside its slice and inside the columns
                // that are this product's own.
                unsafe {
                    match count {
                        1 => tile.run::<S, 1>(simd, column),
                        2 => tile.run::<S, 2>(simd, column),
                        3 => tile.run::<S, 3>(simd, column),
                        4 => tile.run::<S, 4>(simd, column),
                        5 => tile.run::<S, 5>(simd, column),
                        6 => tile.run::<S, 6>(simd, column),
                        7 => tile.run::<S, 7>(simd, column),
                        8 => tile.run::<S, 8>(simd, column),
                        9 => tile.run::<S, 9>(simd, column),
                        10 => tile.run::<S, 10>(simd, column),
                        11 => tile.run::<S, 11>(simd, column),
                        _ => tile.run::<S, 12>(simd, column),
                    }
                }
            }
        }
    }
}

struct RowsTile<'a> {
    task: &'a Rows<'a>,
    left: &'a [f32],
    first: usize,
}

impl RowsTile<'_> {
    /// # Safety
    /// The panel has `M` rows, two vectors from `column` on lie inside every row of the right side, and `column` inside
    /// the output.
    #[inline(always)]
    unsafe fn run<S: Simd, const M: usize>(&self, simd: S, column: usize) {
        let task = self.task;
        let Steps {
            counts: [outer, middle, inner],
            strides,
        } = task.steps;
        let mut sums = [[simd.splat_f32s(0.0); 2]; M];
        // SAFETY: see above; the left side holds M values per row of the right one.
        unsafe {
            match task.start {
                Start::Zero => {}
                Start::Bias(bias) => {
                    for (row, sums) in sums.iter_mut().enumerate() {
                        *sums = [simd.splat_f32s(bias[self.first + row]); 2];
                    }
                }
            }
            let mut left = self.left.as_ptr();
            for a in 0..outer {
                for b in 0..middle {
                    let mut right = task
                        .right
                        .as_ptr()
                        .add(a * strides[0] + b * strides[1] + column);
                    for _ in 0..inner {
                        let values = [load::<S>(right), load::<S>(right.add(S::F32_LANES))];
                        for (row, sums) in sums.iter_mut().enumerate() {
                            let factor = simd.splat_f32s(*left.add(row));
                            sums[0] = simd.mul_add_e_f32s(factor, values[0], sums[0]);
                            sums[1] = simd.mul_add_e_f32s(factor, values[1], sums[1]);
                        }
                        left = left.add(M);
                        right = right.wrapping_add(strides[2]);
                    }
                }
            }
            for (row, sums) in sums.into_iter().enumerate() {
                for (part, mut sum) in sums.into_iter().enumerate() {
                    if task.relu {
                        let zero = simd.splat_f32s(0.0);
                        // A comparison, not a maximum: NaN stays.
                        sum = simd.select_f32s(simd.less_than_f32s(sum, zero), zero, sum);
                    }
                    simd.partial_store_f32s(self.out::<S>(row, column, part), sum);
                }
            }
        }
    }

    /// The words of the output that one vector stands for: fewer than its lanes past the last column.
    ///
    /// # Safety
    /// The row lies inside the output.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    unsafe fn out<S: Simd>(&self, row: usize, column: usize, part: usize) -> &mut [f32] {
        let out = &self.task.out;
        let first = (column + part * S::F32_LANES).min(out.pitch);
        let count = S::F32_LANES.min(out.pitch - first);
        // SAFETY: the words lie inside this product's own columns, and one slice of them is alive at a time.
        unsafe {
            std::slice::from_raw_parts_mut(
                out.start.add((self.first + row) * out.pitch + first),
                count,
            )
        }
    }
}
