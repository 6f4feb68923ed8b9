//! The loops of normalisation, compiled for the widest instruction set.

use std::ops::Range;

use plan::GroupNorm;
use pulp::{Simd, WithSimd};

use crate::reference::group_norm;

/// One sample normalised, in place.
pub(crate) struct GroupNormSample<'a> {
    pub norm: &'a GroupNorm,
    pub weight: &'a [f32],
    pub bias: &'a [f32],
    pub y: &'a mut [f32],
    pub statistics: &'a mut [f32],
}

impl WithSimd for GroupNormSample<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        group_norm::forward(self.norm, self.weight, self.bias, self.y, self.statistics);
    }
}

/// The gradients of some weights and biases.
pub(crate) struct GroupNormParameters<'a> {
    pub norm: &'a GroupNorm,
    pub range: Range<usize>,
    pub x: &'a [f32],
    pub statistics: &'a [f32],
    pub dy: &'a [f32],
    pub dw: &'a mut [f32],
    pub db: &'a mut [f32],
}

impl WithSimd for GroupNormParameters<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        group_norm::parameters(
            self.norm,
            self.range,
            self.x,
            self.statistics,
            self.dy,
            self.dw,
            self.db,
        );
    }
}

/// The gradient of one sample, in place.
pub(crate) struct GroupNormInput<'a> {
    pub norm: &'a GroupNorm,
    pub weight: &'a [f32],
    pub x: &'a [f32],
    pub statistics: &'a [f32],
    pub gradient: &'a mut [f32],
}

impl WithSimd for GroupNormInput<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        group_norm::input(
            self.norm,
            self.weight,
            self.x,
            self.statistics,
            self.gradient,
        );
    }
}
