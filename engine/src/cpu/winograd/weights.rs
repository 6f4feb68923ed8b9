//! Weights between their places and their 36 transformed values.

use std::ops::Range;

use plan::{TILE, WINOGRAD_POINTS};
use pulp::{Simd, WithSimd};

use crate::cpu::shared::Shared;
use crate::cpu::winograd::{both, give_weights, take_weights};

/// `U = G g Gᵀ` of some rows of the right side of a product: `g` of row `r` and column `c` at `r · row + c · column`.
pub(crate) struct TakeWeights<'a> {
    pub weight: &'a [f32],
    pub row: usize,
    pub column: usize,
    /// These rows, of so many.
    pub range: Range<usize>,
    pub rows: usize,
    /// Columns that there are, and how many with those that are 0.
    pub columns: [usize; 2],
    /// In panels, as `products::Multiply` takes them.
    pub transformed: Shared<'a, f32>,
}

impl WithSimd for TakeWeights<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [columns, padded] = self.columns;
        for row in self.range.clone() {
            for first in (0..padded).step_by(S::F32_LANES) {
                let panel = first / TILE * TILE;
                let width = TILE.min(padded - panel);
                let at = panel * self.rows + row * width + (first - panel);
                let mut taps = [simd.splat_f32s(0.0); 9];
                for (tap, values) in taps.iter_mut().enumerate() {
                    let lanes: &mut [f32] = bytemuck::cast_slice_mut(std::slice::from_mut(values));
                    for (column, lane) in (first..columns).zip(lanes) {
                        *lane = self.weight[row * self.row + column * self.column + tap];
                    }
                }
                both(
                    #[inline(always)]
                    |i, j| taps[3 * i + j],
                    simd.splat_f32s(0.0),
                    #[inline(always)]
                    |g| take_weights(simd, g),
                    #[inline(always)]
                    |i, values| {
                        for (j, values) in values.into_iter().enumerate() {
                            let at = (6 * i + j) * self.rows * padded + at;
                            // SAFETY: no two calls share a row.
                            let out = unsafe { self.transformed.part(at..at + S::F32_LANES) };
                            simd.partial_store_f32s(out, values);
                        }
                    },
                );
            }
        }
    }
}

/// `dg = Gᵀ dU G`: gradients of weights `(filters, channels, 3, 3)` from those of their transformed values, each
/// `(channels, filters)` with whole vectors in a row.
pub(crate) struct GiveWeights<'a> {
    pub channels: usize,
    pub filters: usize,
    /// Words of a row, and of a value.
    pub row: usize,
    pub value: usize,
    pub transformed: &'a [f32],
    pub weight: &'a mut [f32],
}

impl WithSimd for GiveWeights<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        assert!(self.transformed.len() >= (WINOGRAD_POINTS - 1) * self.value);
        for channel in 0..self.channels {
            for first in (0..self.filters).step_by(S::F32_LANES) {
                let at = channel * self.row + first;
                both(
                    #[inline(always)]
                    |i, j| {
                        let at = (6 * i + j) * self.value + at;
                        simd.partial_load_f32s(&self.transformed[at..at + S::F32_LANES])
                    },
                    simd.splat_f32s(0.0),
                    #[inline(always)]
                    |u| give_weights(simd, u),
                    #[inline(always)]
                    |i, values| {
                        for (j, values) in values.iter().enumerate() {
                            let lanes: &[f32] = bytemuck::cast_slice(std::slice::from_ref(values));
                            for (filter, &value) in (first..self.filters).zip(lanes) {
                                let at = (filter * self.channels + channel) * 9 + 3 * i + j;
                                self.weight[at] = value;
                            }
                        }
                    },
                );
            }
        }
    }
}
