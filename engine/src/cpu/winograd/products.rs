//! The 36 products between transforms: small matrices, one after the other, whose sides stay where they are.

use plan::{TILE, WINOGRAD_POINTS};
use pulp::{Simd, WithSimd};

use crate::cpu::product::{load, registers, share};

/// Rows of a tile where there are 32 wide registers, and where there are fewer.
const ROWS: [usize; 2] = [12, 6];

/// A row-major matrix of each of the 36 values: `value` words from one to the next, `row` words from row to row.
#[derive(Clone, Copy)]
pub(crate) struct Matrices {
    pub value: usize,
    pub row: usize,
}

/// `out[r][c] = Σ_d left[r][d] · right[d][c]` for each value, with `right` in panels of `TILE` columns, the last one
/// narrower: in each row after row.
pub(crate) struct Multiply<'a> {
    pub rows: usize,
    pub depth: usize,
    pub columns: usize,
    pub left: &'a [f32],
    pub left_at: Matrices,
    pub right: &'a [f32],
    pub out: &'a mut [f32],
    pub out_at: Matrices,
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (rows, depth, columns) = (self.rows, self.depth, self.columns);
        if rows == 0 {
            return;
        }
        let last = WINOGRAD_POINTS - 1;
        assert!(columns.is_multiple_of(S::F32_LANES) && columns <= self.out_at.row);
        assert!(
            last * self.left_at.value + (rows - 1) * self.left_at.row + depth <= self.left.len()
        );
        assert!(
            last * self.out_at.value + (rows - 1) * self.out_at.row + columns <= self.out.len()
        );
        assert!(WINOGRAD_POINTS * depth * columns <= self.right.len());
        for value in 0..WINOGRAD_POINTS {
            for first in (0..columns).step_by(TILE) {
                let width = TILE.min(columns - first);
                let panel = value * depth * columns + first * depth;
                // SAFETY: the assertions above keep every row of each side inside its slice.
                unsafe {
                    tiles::<S, false>(
                        simd,
                        rows,
                        width,
                        Sides {
                            depth,
                            left: self.left.as_ptr().add(value * self.left_at.value),
                            left_row: self.left_at.row,
                            left_depth: 1,
                            right: self.right.as_ptr().add(panel),
                            right_depth: width,
                            out: self.out.as_mut_ptr().add(value * self.out_at.value + first),
                            out_row: self.out_at.row,
                        },
                    );
                }
            }
        }
    }
}

/// `out[r][c] = Σ_d left[d][r] · right[d][c]` for each value, or that added to it.
pub(crate) struct MultiplyTransposed<'a> {
    pub rows: usize,
    pub depth: usize,
    pub columns: usize,
    pub left: &'a [f32],
    pub left_at: Matrices,
    pub right: &'a [f32],
    pub right_at: Matrices,
    pub add: bool,
    pub out: &'a mut [f32],
    pub out_at: Matrices,
}

impl WithSimd for MultiplyTransposed<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (rows, depth, columns) = (self.rows, self.depth, self.columns);
        let last = WINOGRAD_POINTS - 1;
        assert!(columns.is_multiple_of(S::F32_LANES) && depth > 0 && rows > 0);
        assert!(
            last * self.left_at.value + (depth - 1) * self.left_at.row + rows <= self.left.len()
        );
        assert!(
            last * self.right_at.value + (depth - 1) * self.right_at.row + columns
                <= self.right.len()
        );
        assert!(
            last * self.out_at.value + (rows - 1) * self.out_at.row + columns <= self.out.len()
        );
        for value in 0..WINOGRAD_POINTS {
            for first in (0..columns).step_by(TILE) {
                let width = TILE.min(columns - first);
                // SAFETY: the assertions above keep every row of each side inside its slice.
                unsafe {
                    let sides = Sides {
                        depth,
                        left: self.left.as_ptr().add(value * self.left_at.value),
                        left_row: 1,
                        left_depth: self.left_at.row,
                        right: self.right.as_ptr().add(value * self.right_at.value + first),
                        right_depth: self.right_at.row,
                        out: self.out.as_mut_ptr().add(value * self.out_at.value + first),
                        out_row: self.out_at.row,
                    };
                    if self.add {
                        tiles::<S, true>(simd, rows, width, sides);
                    } else {
                        tiles::<S, false>(simd, rows, width, sides);
                    }
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Sides {
    depth: usize,
    left: *const f32,
    left_row: usize,
    left_depth: usize,
    right: *const f32,
    right_depth: usize,
    out: *mut f32,
    out_row: usize,
}

/// # Safety
/// `rows` rows of `left` and `out`, `depth` deep, and `width` columns of `right` and `out` lie inside their slices.
#[inline(always)]
unsafe fn tiles<S: Simd, const ADD: bool>(simd: S, rows: usize, width: usize, sides: Sides) {
    let height = share(rows, ROWS[registers::<S>()]);
    for row in (0..rows).step_by(height) {
        let count = height.min(rows - row);
        let mut column = 0;
        while column < width {
            let wide = width - column >= 2 * S::F32_LANES;
            // SAFETY: see above.
            unsafe {
                let tile = Sides {
                    left: sides.left.add(row * sides.left_row),
                    right: sides.right.add(column),
                    out: sides.out.add(row * sides.out_row + column),
                    ..sides
                };
                match (count, wide) {
                    (1, true) => tile.run::<S, ADD, 1, 2>(simd),
                    (2, true) => tile.run::<S, ADD, 2, 2>(simd),
                    (3, true) => tile.run::<S, ADD, 3, 2>(simd),
                    (4, true) => tile.run::<S, ADD, 4, 2>(simd),
                    (5, true) => tile.run::<S, ADD, 5, 2>(simd),
                    (6, true) => tile.run::<S, ADD, 6, 2>(simd),
                    (7, true) => tile.run::<S, ADD, 7, 2>(simd),
                    (8, true) => tile.run::<S, ADD, 8, 2>(simd),
                    (9, true) => tile.run::<S, ADD, 9, 2>(simd),
                    (10, true) => tile.run::<S, ADD, 10, 2>(simd),
                    (11, true) => tile.run::<S, ADD, 11, 2>(simd),
                    (_, true) => tile.run::<S, ADD, 12, 2>(simd),
                    (1, false) => tile.run::<S, ADD, 1, 1>(simd),
                    (2, false) => tile.run::<S, ADD, 2, 1>(simd),
                    (3, false) => tile.run::<S, ADD, 3, 1>(simd),
                    (4, false) => tile.run::<S, ADD, 4, 1>(simd),
                    (5, false) => tile.run::<S, ADD, 5, 1>(simd),
                    (6, false) => tile.run::<S, ADD, 6, 1>(simd),
                    (7, false) => tile.run::<S, ADD, 7, 1>(simd),
                    (8, false) => tile.run::<S, ADD, 8, 1>(simd),
                    (9, false) => tile.run::<S, ADD, 9, 1>(simd),
                    (10, false) => tile.run::<S, ADD, 10, 1>(simd),
                    (11, false) => tile.run::<S, ADD, 11, 1>(simd),
                    (_, false) => tile.run::<S, ADD, 12, 1>(simd),
                }
            }
            column += if wide { 2 } else { 1 } * S::F32_LANES;
        }
    }
}

impl Sides {
    /// # Safety
    /// `M` rows and `N` vectors lie inside.
    #[inline(always)]
    unsafe fn run<S: Simd, const ADD: bool, const M: usize, const N: usize>(self, simd: S) {
        let mut sums = [[simd.splat_f32s(0.0); N]; M];
        // SAFETY: see above.
        unsafe {
            if ADD {
                for (row, sums) in sums.iter_mut().enumerate() {
                    for (part, sum) in sums.iter_mut().enumerate() {
                        *sum = load::<S>(self.out.add(row * self.out_row + part * S::F32_LANES));
                    }
                }
            }
            let (mut left, mut right) = (self.left, self.right);
            for _ in 0..self.depth {
                let mut values = [simd.splat_f32s(0.0); N];
                for (part, value) in values.iter_mut().enumerate() {
                    *value = load::<S>(right.add(part * S::F32_LANES));
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let factor = simd.splat_f32s(*left.add(row * self.left_row));
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum = simd.mul_add_e_f32s(factor, value, *sum);
                    }
                }
                left = left.wrapping_add(self.left_depth);
                right = right.wrapping_add(self.right_depth);
            }
            for (row, sums) in sums.into_iter().enumerate() {
                for (part, sum) in sums.into_iter().enumerate() {
                    let at = self.out.add(row * self.out_row + part * S::F32_LANES);
                    at.cast::<S::f32s>().write_unaligned(sum);
                }
            }
        }
    }
}
