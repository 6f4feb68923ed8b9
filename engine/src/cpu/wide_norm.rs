//! The loops of normalisation, compiled for the widest instruction set.

use std::ops::Range;

use plan::GroupNorm;
use pulp::{Simd, WithSimd};

use crate::reference::batch_norm::{Scaling, add_squares, add_values};
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

/// Each channel's values of one sample, added to `sums`.
pub(crate) struct AddValues<'a> {
    pub plane: usize,
    pub chunk: &'a [f32],
    pub sums: &'a mut [f32],
}

impl WithSimd for AddValues<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        add_values(self.plane, self.chunk, self.sums);
    }
}

/// The squares of each channel's values of one sample without their mean, added to `sums`.
pub(crate) struct AddSquares<'a> {
    pub plane: usize,
    pub chunk: &'a [f32],
    pub means: &'a [f32],
    pub sums: &'a mut [f32],
}

impl WithSimd for AddSquares<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        add_squares(self.plane, self.chunk, self.means, self.sums);
    }
}

/// Some channels of one sample normalised, in place.
pub(crate) struct Normalise<'a> {
    pub scaling: Scaling<'a, f32>,
    pub biases: &'a [f32],
    pub chunk: &'a mut [f32],
}

impl WithSimd for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        self.scaling.normalise(self.biases, self.chunk);
    }
}

/// One sample's part of the gradients of weights and biases.
pub(crate) struct AddGradients<'a> {
    pub scaling: Scaling<'a, f32>,
    pub x: &'a [f32],
    pub dy: &'a [f32],
    pub dw: &'a mut [f32],
    pub db: &'a mut [f32],
}

impl WithSimd for AddGradients<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        self.scaling
            .add_gradients(self.x, self.dy, self.dw, self.db);
    }
}

/// The gradient of some channels of one sample, in place.
pub(crate) struct InputGradient<'a> {
    pub scaling: Scaling<'a, f32>,
    pub count: f32,
    pub x: &'a [f32],
    pub dw: &'a [f32],
    pub db: &'a [f32],
    pub gradient: &'a mut [f32],
}

impl WithSimd for InputGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        self.scaling
            .input(self.count, self.x, self.dw, self.db, self.gradient);
    }
}
