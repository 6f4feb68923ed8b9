//! Products that run along the rows of both sides.

use pulp::{Simd, WithSimd};

use crate::cpu::product::{Steps, load, registers, share};

/// Left and right rows of a tile of `Dots`, where there are 32 wide registers, and where there are fewer.
const DOTS: [[usize; 2]; 2] = [[4, 6], [2, 4]];

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
