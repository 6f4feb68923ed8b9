//! Tiles between their places and their 36 transformed values.

use plan::{WINOGRAD_OUTPUTS, WINOGRAD_POINTS};
use pulp::{Simd, WithSimd};

use crate::cpu::product::load;
use crate::cpu::winograd::{both, give_gradients, give_outputs, take_gradients, take_inputs};

/// Some rows of tiles of one sample: in `flat` with all channels of a place side by side, and transformed, value after
/// value, in each tile after tile.
#[derive(Clone, Copy)]
pub(crate) struct Band {
    /// Tiles across.
    pub across: usize,
    /// Which rows of tiles.
    pub down: [usize; 2],
    /// Channels of a place, whole vectors.
    pub lanes: usize,
    /// Places from one row of `flat` to the next.
    pub pitch: usize,
    /// Tiles for which `transformed` has room, and the first of this sample.
    pub rows: usize,
    pub first: usize,
}

impl Band {
    /// Calls `visit(place, transformed)` for every tile and vector with the first word of each.
    #[inline(always)]
    fn each<S: Simd>(&self, mut visit: impl FnMut(usize, usize)) {
        let mut tile = self.first;
        for down in self.down[0]..self.down[1] {
            for across in 0..self.across {
                let place = WINOGRAD_OUTPUTS * (down * self.pitch + across) * self.lanes;
                for lane in (0..self.lanes).step_by(S::F32_LANES) {
                    visit(place + lane, tile * self.lanes + lane);
                }
                tile += 1;
            }
        }
    }

    /// Words from one transformed value to the next.
    fn value(&self) -> usize {
        self.rows * self.lanes
    }

    /// Panics unless all tiles lie inside: `extent` places of each row and column are touched.
    #[inline(always)]
    fn check<S: Simd>(&self, extent: usize, flat: usize, transformed: usize) {
        let count = (self.down[1] - self.down[0]) * self.across;
        assert!(self.lanes.is_multiple_of(S::F32_LANES) && count > 0);
        assert!(WINOGRAD_OUTPUTS * (self.across - 1) + extent <= self.pitch);
        let last = WINOGRAD_OUTPUTS * (self.down[1] - 1) + extent;
        assert!(last * self.pitch * self.lanes <= flat);
        assert!(self.first + count <= self.rows);
        assert!(WINOGRAD_POINTS * self.value() <= transformed);
    }
}

/// `V = Bᵀ d B` of the 6x6 places under each tile.
pub(crate) struct TakeInputs<'a> {
    pub band: Band,
    pub flat: &'a [f32],
    pub transformed: &'a mut [f32],
}

impl WithSimd for TakeInputs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (band, value, row) = (
            self.band,
            self.band.value(),
            self.band.pitch * self.band.lanes,
        );
        band.check::<S>(6, self.flat.len(), self.transformed.len());
        let (from, to) = (self.flat.as_ptr(), self.transformed.as_mut_ptr());
        band.each::<S>(
            #[inline(always)]
            |place, at| {
                // SAFETY: `check` keeps all 6x6 places and all 36 values inside.
                unsafe {
                    both(
                        #[inline(always)]
                        |i, j| load::<S>(from.add(place + i * row + j * band.lanes)),
                        simd.splat_f32s(0.0),
                        #[inline(always)]
                        |d| take_inputs(simd, d),
                        #[inline(always)]
                        |i, values| {
                            for (j, values) in values.into_iter().enumerate() {
                                store::<S>(to.add((6 * i + j) * value + at), values);
                            }
                        },
                    );
                }
            },
        );
    }
}

/// `A dy Aᵀ` of the 4x4 gradients of each tile.
pub(crate) struct TakeGradients<'a> {
    pub band: Band,
    pub flat: &'a [f32],
    pub transformed: &'a mut [f32],
}

impl WithSimd for TakeGradients<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (band, value, row) = (
            self.band,
            self.band.value(),
            self.band.pitch * self.band.lanes,
        );
        band.check::<S>(4, self.flat.len(), self.transformed.len());
        let (from, to) = (self.flat.as_ptr(), self.transformed.as_mut_ptr());
        band.each::<S>(
            #[inline(always)]
            |place, at| {
                // SAFETY: `check` keeps all 4x4 places and all 36 values inside.
                unsafe {
                    both(
                        #[inline(always)]
                        |i, j| load::<S>(from.add(place + i * row + j * band.lanes)),
                        simd.splat_f32s(0.0),
                        #[inline(always)]
                        |y| take_gradients(simd, y),
                        #[inline(always)]
                        |i, values| {
                            for (j, values) in values.into_iter().enumerate() {
                                store::<S>(to.add((6 * i + j) * value + at), values);
                            }
                        },
                    );
                }
            },
        );
    }
}

/// `Y = Aᵀ M A`: the 4x4 outputs of each tile.
pub(crate) struct GiveOutputs<'a> {
    pub band: Band,
    pub transformed: &'a [f32],
    pub flat: &'a mut [f32],
}

impl WithSimd for GiveOutputs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (band, value, row) = (
            self.band,
            self.band.value(),
            self.band.pitch * self.band.lanes,
        );
        band.check::<S>(4, self.flat.len(), self.transformed.len());
        let (from, to) = (self.transformed.as_ptr(), self.flat.as_mut_ptr());
        band.each::<S>(
            #[inline(always)]
            |place, at| {
                // SAFETY: `check` keeps all 4x4 places and all 36 values inside.
                unsafe {
                    both(
                        #[inline(always)]
                        |i, j| load::<S>(from.add((6 * i + j) * value + at)),
                        simd.splat_f32s(0.0),
                        #[inline(always)]
                        |m| give_outputs(simd, m),
                        #[inline(always)]
                        |i, values| {
                            for (j, values) in values.into_iter().enumerate() {
                                store::<S>(to.add(place + i * row + j * band.lanes), values);
                            }
                        },
                    );
                }
            },
        );
    }
}

/// `B dV Bᵀ`, added to the 6x6 places under each tile.
pub(crate) struct AddGradients<'a> {
    pub band: Band,
    pub transformed: &'a [f32],
    pub flat: &'a mut [f32],
}

impl WithSimd for AddGradients<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (band, value, row) = (
            self.band,
            self.band.value(),
            self.band.pitch * self.band.lanes,
        );
        band.check::<S>(6, self.flat.len(), self.transformed.len());
        let (from, to) = (self.transformed.as_ptr(), self.flat.as_mut_ptr());
        band.each::<S>(
            #[inline(always)]
            |place, at| {
                // SAFETY: `check` keeps all 6x6 places and all 36 values inside.
                unsafe {
                    both(
                        #[inline(always)]
                        |i, j| load::<S>(from.add((6 * i + j) * value + at)),
                        simd.splat_f32s(0.0),
                        #[inline(always)]
                        |m| give_gradients(simd, m),
                        #[inline(always)]
                        |i, values| {
                            for (j, values) in values.into_iter().enumerate() {
                                let at = to.add(place + i * row + j * band.lanes);
                                store::<S>(at, simd.add_f32s(load::<S>(at), values));
                            }
                        },
                    );
                }
            },
        );
    }
}

/// # Safety
/// A whole vector lies behind `start`.
#[inline(always)]
unsafe fn store<S: Simd>(start: *mut f32, value: S::f32s) {
    // SAFETY: see above.
    unsafe { start.cast::<S::f32s>().write_unaligned(value) }
}
