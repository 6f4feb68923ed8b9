//! The plain loops of updates and averages, compiled for the widest instruction set there is.

use pulp::{Simd, WithSimd};

use crate::backend::{Adagrad, Adam, RmsProp, Sgd};
use crate::reference::update;

/// One block of SGD.
pub(crate) struct SgdBlock<'a> {
    pub sgd: &'a Sgd,
    pub parameters: &'a mut [f32],
    pub gradient: &'a [f32],
    pub momentum: &'a mut [f32],
}

impl WithSimd for SgdBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        update::block_sgd(self.sgd, self.parameters, self.gradient, self.momentum);
    }
}

/// One block of Adam.
pub(crate) struct AdamBlock<'a> {
    pub adam: &'a Adam,
    pub parameters: &'a mut [f32],
    pub gradient: &'a [f32],
    pub first: &'a mut [f32],
    pub second: &'a mut [f32],
}

impl WithSimd for AdamBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        update::block_adam(
            self.adam,
            self.parameters,
            self.gradient,
            self.first,
            self.second,
        );
    }
}

/// One block of RMSprop.
pub(crate) struct RmsPropBlock<'a> {
    pub rmsprop: &'a RmsProp,
    pub parameters: &'a mut [f32],
    pub gradient: &'a [f32],
    pub square: &'a mut [f32],
    pub momentum: &'a mut [f32],
}

impl WithSimd for RmsPropBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        update::block_rmsprop(
            self.rmsprop,
            self.parameters,
            self.gradient,
            self.square,
            self.momentum,
        );
    }
}

/// One block of Adagrad.
pub(crate) struct AdagradBlock<'a> {
    pub adagrad: &'a Adagrad,
    pub parameters: &'a mut [f32],
    pub gradient: &'a [f32],
    pub sum: &'a mut [f32],
}

impl WithSimd for AdagradBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        update::block_adagrad(self.adagrad, self.parameters, self.gradient, self.sum);
    }
}

/// One block of averages.
pub(crate) struct AverageBlock<'a> {
    pub way: f64,
    pub parameters: &'a [f32],
    pub averages: &'a mut [f32],
}

impl WithSimd for AverageBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        update::block_average(self.way, self.parameters, self.averages);
    }
}
