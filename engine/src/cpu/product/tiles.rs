//! The inner loop of [`Gemm`](super::gemm::Gemm): a packed block of the left side times a packed strip of the right one,
//! tile by tile, each tile's sums in registers.

use plan::TILE;
use pulp::{Simd, WithSimd};

use crate::cpu::product::matrix::Out;
use crate::cpu::product::{load, registers, share};

/// Rows of a tile where there are 32 wide registers, and where there are fewer.
const ROWS: [usize; 2] = [12, 6];

/// How many rows each tile of a block of `rows` has, the last one apart.
pub(super) struct TileHeight {
    pub rows: usize,
}

impl WithSimd for TileHeight {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> usize {
        height::<S>(self.rows)
    }
}

#[inline(always)]
fn height<S: Simd>(rows: usize) -> usize {
    share(rows, ROWS[registers::<S>()])
}

/// What is done to a sum that is complete.
#[derive(Clone, Copy)]
pub(super) struct Finish<'a> {
    /// Added, one value per column.
    pub bias: Option<&'a [f32]>,
    /// Then cut below 0; NaN stays.
    pub relu: bool,
}

/// `out = left · right`, or that added to what is there.
pub(super) struct Tiles<'a> {
    /// Tiles of rows, each `(depth, rows of the tile)`.
    pub left: &'a [f32],
    pub depth: usize,
    /// Strips of columns, each `(depth, TILE)`.
    pub right: &'a [f32],
    /// Words from one strip to the next.
    pub strip: usize,
    /// Whether `out` is added to; else it is assigned.
    pub add: bool,
    pub finish: Finish<'a>,
    pub out: Out<'a>,
}

impl WithSimd for Tiles<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (rows, columns) = (self.out.rows(), self.out.columns());
        if rows == 0 || columns == 0 {
            return;
        }
        let before = (columns - 1) / TILE * self.strip;
        assert!(TILE.is_multiple_of(2 * S::F32_LANES) && self.strip >= self.depth * TILE);
        assert!(self.left.len() >= rows * self.depth);
        assert!(self.right.len() >= before + self.depth * TILE);
        if let Some(bias) = self.finish.bias {
            assert!(bias.len() == columns);
        }
        let height = height::<S>(rows);
        for first in (0..rows).step_by(height) {
            let count = height.min(rows - first);
            for column in (0..columns).step_by(2 * S::F32_LANES) {
                // SAFETY: the assertions above keep every access inside the packed sides; the output is bounded by its
                // own rows and columns.
                unsafe {
                    if columns - column > S::F32_LANES {
                        self.tile::<S, 2>(simd, count, first, column);
                    } else {
                        self.tile::<S, 1>(simd, count, first, column);
                    }
                }
            }
        }
    }
}

impl Tiles<'_> {
    /// # Safety
    /// See [`Tiles::run`].
    #[inline(always)]
    unsafe fn tile<S: Simd, const V: usize>(
        &self,
        simd: S,
        count: usize,
        first: usize,
        column: usize,
    ) {
        // SAFETY: the caller's.
        unsafe {
            match count {
                1 => self.run::<S, 1, V>(simd, first, column),
                2 => self.run::<S, 2, V>(simd, first, column),
                3 => self.run::<S, 3, V>(simd, first, column),
                4 => self.run::<S, 4, V>(simd, first, column),
                5 => self.run::<S, 5, V>(simd, first, column),
                6 => self.run::<S, 6, V>(simd, first, column),
                7 => self.run::<S, 7, V>(simd, first, column),
                8 => self.run::<S, 8, V>(simd, first, column),
                9 => self.run::<S, 9, V>(simd, first, column),
                10 => self.run::<S, 10, V>(simd, first, column),
                11 => self.run::<S, 11, V>(simd, first, column),
                _ => self.run::<S, 12, V>(simd, first, column),
            }
        }
    }

    /// # Safety
    /// A tile of `M` rows begins at row `first`, and `V` vectors from `column` on lie inside each row of the strip.
    #[inline(always)]
    unsafe fn run<S: Simd, const M: usize, const V: usize>(
        &self,
        simd: S,
        first: usize,
        column: usize,
    ) {
        let mut sums = [[simd.splat_f32s(0.0); V]; M];
        let mut left = self.left[first * self.depth..].as_ptr();
        let strip = column / TILE * self.strip;
        let mut right = self.right[strip + column % TILE..].as_ptr();
        for _ in 0..self.depth {
            // SAFETY: see above.
            unsafe {
                let mut values = [simd.splat_f32s(0.0); V];
                for (part, value) in values.iter_mut().enumerate() {
                    *value = load::<S>(right.add(part * S::F32_LANES));
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let factor = simd.splat_f32s(*left.add(row));
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum = simd.mul_add_e_f32s(factor, value, *sum);
                    }
                }
            }
            left = left.wrapping_add(M);
            right = right.wrapping_add(TILE);
        }
        // By value, so that no sum has a place in memory before it is complete.
        for (row, sums) in sums.into_iter().enumerate() {
            for (part, sum) in sums.into_iter().enumerate() {
                // SAFETY: the caller's.
                unsafe { self.put::<S>(simd, sum, first + row, column + part * S::F32_LANES) };
            }
        }
    }

    /// Finishes the sums of one row from `column` on, those that there are.
    ///
    /// # Safety
    /// The row and the column lie inside the output, which nobody else touches.
    #[inline(always)]
    unsafe fn put<S: Simd>(&self, simd: S, mut sum: S::f32s, row: usize, column: usize) {
        let columns = column..self.out.columns().min(column + S::F32_LANES);
        let bias = self.finish.bias.map(|bias| &bias[columns.clone()]);
        let at = self.out.at(row, column);
        // SAFETY: the words from `at` on that stand for `columns` are this product's own.
        unsafe {
            if columns.len() == S::F32_LANES {
                if self.add {
                    sum = simd.add_f32s(load::<S>(at), sum);
                }
                let bias = bias.map(|bias| load::<S>(bias.as_ptr()));
                at.cast::<S::f32s>()
                    .write_unaligned(self.finished(simd, sum, bias));
            } else {
                let words = std::slice::from_raw_parts_mut(at, columns.len());
                if self.add {
                    sum = simd.add_f32s(simd.partial_load_f32s(words), sum);
                }
                let bias = bias.map(|bias| simd.partial_load_f32s(bias));
                simd.partial_store_f32s(words, self.finished(simd, sum, bias));
            }
        }
    }

    #[inline(always)]
    fn finished<S: Simd>(&self, simd: S, mut sum: S::f32s, bias: Option<S::f32s>) -> S::f32s {
        if let Some(bias) = bias {
            sum = simd.add_f32s(sum, bias);
        }
        if self.finish.relu {
            let zero = simd.splat_f32s(0.0);
            // A comparison, not a maximum: NaN stays.
            sum = simd.select_f32s(simd.less_than_f32s(sum, zero), zero, sum);
        }
        sum
    }
}
