//! The two inner loops that every product in f32 is made of. `Rows` broadcasts the left side and runs along the columns
//! of the right one; `Dots` runs along both. What a value is summed from, and in which order, depends on neither the tile
//! that it falls into nor its neighbours: an output's bits are the same whatever ran beside it.

use std::marker::PhantomData;
use std::ops::Range;

use pulp::{Simd, WithSimd};

/// Rows of a tile of `Rows` where there are 32 wide registers, and where there are fewer.
const ROWS: [usize; 2] = [12, 6];

/// Left and right rows of a tile of `Dots`, likewise.
const DOTS: [[usize; 2]; 2] = [[4, 6], [2, 4]];

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

fn registers<S: Simd>() -> usize {
    usize::from(S::F32_LANES < 16)
}

/// `most` or fewer per part, parts as equal as can be.
fn share(count: usize, most: usize) -> usize {
    count.div_ceil(count.div_ceil(most).max(1)).max(1)
}

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

/// Packs a left side for [`Rows`]: panels of `height` rows, in each the rows' values side by side, column after column.
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

/// `out[m][j] = bias[m] + Σ_k left[m][k] · right[k][j]`, then `max(·, 0)` where `relu`.
pub(crate) struct Rows<'a> {
    /// Rows of the left side.
    pub rows: usize,
    /// The left side, packed with the height that [`PanelHeight`] gives.
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
    /// Columns of the right side, a multiple of [`plan::TILE`].
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
    /// At what the output holds: the product goes on where it stopped, to the same bits.
    Output,
}

/// Columns of a matrix that one product writes.
pub(crate) struct Columns<'a> {
    start: *mut f32,
    pitch: usize,
    count: usize,
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
            count: pitch,
            rows,
            borrowed: PhantomData,
        }
    }

    /// The columns `range` of a matrix of `rows` rows, `pitch` apart.
    ///
    /// # Safety
    /// `start` points to such a matrix, which outlives `'a`, and nobody else touches these columns meanwhile.
    pub unsafe fn some(start: *mut f32, rows: usize, pitch: usize, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= pitch);
        Columns {
            start: start.wrapping_add(range.start),
            pitch,
            count: range.len(),
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
        assert!(self.rows <= self.out.rows && self.out.count <= self.columns);
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
            for column in (0..self.out.count).step_by(2 * S::F32_LANES) {
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
                Start::Output => {
                    for (row, sums) in sums.iter_mut().enumerate() {
                        for (part, sum) in sums.iter_mut().enumerate() {
                            *sum = simd.partial_load_f32s(self.out::<S>(row, column, part));
                        }
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
        let first = (column + part * S::F32_LANES).min(out.count);
        let count = S::F32_LANES.min(out.count - first);
        // SAFETY: the words lie inside this product's own columns, and one slice of them is alive at a time.
        unsafe {
            std::slice::from_raw_parts_mut(
                out.start.add((self.first + row) * out.pitch + first),
                count,
            )
        }
    }
}

/// `out[m][n] = Σ_samples Σ_j left[m][j] · right[n][j]`, or that added to it.
pub(crate) struct Dots<'a> {
    /// Rows of the left side.
    pub rows: usize,
    /// The left side.
    pub left: &'a [f32],
    /// Words from one of its rows to the next.
    pub left_pitch: usize,
    /// The right side.
    pub right: &'a [f32],
    /// Where its rows begin.
    pub steps: Steps,
    /// Words of a row that are multiplied.
    pub columns: usize,
    /// Samples that are summed over, and the words from one to the next on the left and on the right.
    pub samples: [usize; 3],
    /// Whether `out` is added to; else it is assigned.
    pub add: bool,
    /// `(rows, rows of the right side)`
    pub out: &'a mut [f32],
}

impl WithSimd for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let [samples, left_sample, right_sample] = self.samples;
        let (rights, [most_m, most_n]) = (self.steps.rows(), DOTS[registers::<S>()]);
        let (m, n) = (share(self.rows, most_m), share(rights, most_n));
        if samples == 0 {
            if !self.add {
                self.out[..self.rows * rights].fill(0.0);
            }
            return;
        }
        assert!(
            (samples - 1) * left_sample + (self.rows - 1) * self.left_pitch + self.columns
                <= self.left.len()
        );
        assert!((samples - 1) * right_sample + self.steps.end(self.columns) <= self.right.len());
        for right in (0..rights).step_by(n) {
            for left in (0..self.rows).step_by(m) {
                let tile = (m.min(self.rows - left), n.min(rights - right));
                // SAFETY: the assertions above keep every row of every sample inside its slice.
                unsafe {
                    match tile {
                        (1, 1) => self.tile::<S, 1, 1>(simd, left, right),
                        (1, 2) => self.tile::<S, 1, 2>(simd, left, right),
                        (1, 3) => self.tile::<S, 1, 3>(simd, left, right),
                        (1, 4) => self.tile::<S, 1, 4>(simd, left, right),
                        (1, 5) => self.tile::<S, 1, 5>(simd, left, right),
                        (1, 6) => self.tile::<S, 1, 6>(simd, left, right),
                        (2, 1) => self.tile::<S, 2, 1>(simd, left, right),
                        (2, 2) => self.tile::<S, 2, 2>(simd, left, right),
                        (2, 3) => self.tile::<S, 2, 3>(simd, left, right),
                        (2, 4) => self.tile::<S, 2, 4>(simd, left, right),
                        (2, 5) => self.tile::<S, 2, 5>(simd, left, right),
                        (2, 6) => self.tile::<S, 2, 6>(simd, left, right),
                        (3, 1) => self.tile::<S, 3, 1>(simd, left, right),
                        (3, 2) => self.tile::<S, 3, 2>(simd, left, right),
                        (3, 3) => self.tile::<S, 3, 3>(simd, left, right),
                        (3, 4) => self.tile::<S, 3, 4>(simd, left, right),
                        (3, 5) => self.tile::<S, 3, 5>(simd, left, right),
                        (3, 6) => self.tile::<S, 3, 6>(simd, left, right),
                        (_, 1) => self.tile::<S, 4, 1>(simd, left, right),
                        (_, 2) => self.tile::<S, 4, 2>(simd, left, right),
                        (_, 3) => self.tile::<S, 4, 3>(simd, left, right),
                        (_, 4) => self.tile::<S, 4, 4>(simd, left, right),
                        (_, 5) => self.tile::<S, 4, 5>(simd, left, right),
                        (_, _) => self.tile::<S, 4, 6>(simd, left, right),
                    }
                }
            }
        }
    }
}

impl Dots<'_> {
    /// # Safety
    /// `M` left rows from `left` on and `N` right rows from `right` on lie inside their slices for every sample.
    #[inline(always)]
    unsafe fn tile<S: Simd, const M: usize, const N: usize>(
        &mut self,
        simd: S,
        left: usize,
        right: usize,
    ) {
        let [samples, left_sample, right_sample] = self.samples;
        let rights = self.steps.rows();
        let offsets: [usize; N] = std::array::from_fn(|row| self.steps.offset(right + row));
        let mut sums = [[simd.splat_f32s(0.0); N]; M];
        let whole = self.columns - self.columns % S::F32_LANES;
        for sample in 0..samples {
            // SAFETY: see above.
            unsafe {
                let lefts = self
                    .left
                    .as_ptr()
                    .add(sample * left_sample + left * self.left_pitch);
                let rights = self.right.as_ptr().add(sample * right_sample);
                let mut column = 0;
                while column < whole {
                    let values: [S::f32s; M] = std::array::from_fn(|row| {
                        load::<S>(lefts.add(row * self.left_pitch + column))
                    });
                    for (n, &offset) in offsets.iter().enumerate() {
                        let value = load::<S>(rights.add(offset + column));
                        for (m, sums) in sums.iter_mut().enumerate() {
                            sums[n] = simd.mul_add_e_f32s(values[m], value, sums[n]);
                        }
                    }
                    column += S::F32_LANES;
                }
                if whole < self.columns {
                    let rest = |start: *const f32| {
                        simd.partial_load_f32s(std::slice::from_raw_parts(
                            start.add(whole),
                            self.columns - whole,
                        ))
                    };
                    let values: [S::f32s; M] =
                        std::array::from_fn(|row| rest(lefts.add(row * self.left_pitch)));
                    for (n, &offset) in offsets.iter().enumerate() {
                        let value = rest(rights.add(offset));
                        for (m, sums) in sums.iter_mut().enumerate() {
                            sums[n] = simd.mul_add_e_f32s(values[m], value, sums[n]);
                        }
                    }
                }
            }
        }
        for (m, sums) in sums.into_iter().enumerate() {
            let out = &mut self.out[(left + m) * rights + right..][..N];
            for (out, sum) in out.iter_mut().zip(sums) {
                let sum = simd.reduce_sum_f32s(sum);
                *out = if self.add { *out + sum } else { sum };
            }
        }
    }
}

/// # Safety
/// A whole vector lies behind `start`.
#[inline(always)]
unsafe fn load<S: Simd>(start: *const f32) -> S::f32s {
    // SAFETY: see above; any bits are numbers.
    unsafe { start.cast::<S::f32s>().read_unaligned() }
}
