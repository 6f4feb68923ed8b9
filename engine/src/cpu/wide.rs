//! Plain loops compiled for the widest instruction set. Each is a type of its own because a closure that is handed to
//! `pulp` is compiled for the narrowest one unless it happens to be inlined.

use std::ops::Range;

use plan::{Conv2d, Geometry, Softmax, Unfolded, Window};
use pulp::{Simd, WithSimd};
use spec::model::Activation;

use crate::cpu::functions::Quick;
use crate::cpu::layout::{self, Pitches};
use crate::cpu::shared::Shared;
use crate::reference::{activation, average, pointwise, reduce, softmax};

/// `max(x, 0)` in place.
pub(crate) struct Relu<'a>(pub &'a mut [f32]);

impl WithSimd for Relu<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        pointwise::relu(self.0);
    }
}

/// Rows whose sums are taken in one go.
const SUM_ROWS: usize = 64;

/// Columns whose sums are taken in one go.
pub(crate) const SUM_COLUMNS: usize = 128;

/// A relu's gradient in place, and the sums of some columns of it. Rows are summed by stretches of [`SUM_ROWS`], each from 0.
pub(crate) struct ColumnSums<'a> {
    /// What the relu gave; empty where there is none.
    pub y: &'a [f32],
    /// `(rows, pitch)`; nobody else touches its `columns` meanwhile.
    pub gradient: Shared<'a, f32>,
    pub rows: usize,
    pub pitch: usize,
    /// At most [`SUM_COLUMNS`].
    pub columns: Range<usize>,
    /// One per column; none if they are not asked for.
    pub sums: &'a mut [f32],
}

impl WithSimd for ColumnSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        self.sums.fill(0.0);
        for first in (0..self.rows).step_by(SUM_ROWS) {
            let mut sums = [0.0; SUM_COLUMNS];
            for row in first..self.rows.min(first + SUM_ROWS) {
                let range =
                    row * self.pitch + self.columns.start..row * self.pitch + self.columns.end;
                // SAFETY: the columns are this call's own.
                let gradient = unsafe { self.gradient.part(range.clone()) };
                if !self.y.is_empty() {
                    pointwise::mask(&self.y[range], gradient);
                }
                for (sum, value) in sums.iter_mut().zip(&*gradient) {
                    *sum += value;
                }
            }
            for (sum, more) in self.sums.iter_mut().zip(sums) {
                *sum += more;
            }
        }
    }
}

/// The gradient of a relu, in place.
pub(crate) struct Mask<'a> {
    pub y: &'a [f32],
    pub gradient: &'a mut [f32],
}

impl WithSimd for Mask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        pointwise::mask(self.y, self.gradient);
    }
}

/// `y = x + addend`, or `y += addend` where `x` is empty.
pub(crate) struct Add<'a> {
    pub x: &'a [f32],
    pub addend: &'a [f32],
    pub y: &'a mut [f32],
}

impl WithSimd for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        if self.x.is_empty() {
            return pointwise::add(self.addend, self.y);
        }
        for ((y, &x), &addend) in self.y.iter_mut().zip(self.x).zip(self.addend) {
            *y = x + addend;
        }
    }
}

/// An activation in place.
pub(crate) struct Activate<'a> {
    pub activation: &'a Activation,
    pub values: &'a mut [f32],
}

impl WithSimd for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        activation::activate::<f32, Quick>(self.activation, self.values);
    }
}

/// The gradient of an activation, in place.
pub(crate) struct DeriveActivation<'a> {
    pub activation: &'a Activation,
    pub values: &'a [f32],
    pub gradient: &'a mut [f32],
}

impl WithSimd for DeriveActivation<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        activation::derive::<f32, Quick>(self.activation, self.values, self.gradient);
    }
}

/// The softmax of some rows, in place.
pub(crate) struct SoftmaxRows<'a> {
    pub softmax: &'a Softmax,
    pub rows: &'a mut [f32],
}

impl WithSimd for SoftmaxRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        for row in self.rows.chunks_exact_mut(self.softmax.features) {
            softmax::softmax::<f32, Quick>(self.softmax.scale, row);
        }
    }
}

/// The gradient of the softmax of some rows, in place.
pub(crate) struct DeriveSoftmax<'a> {
    pub softmax: &'a Softmax,
    pub y: &'a [f32],
    pub gradient: &'a mut [f32],
}

impl WithSimd for DeriveSoftmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let features = self.softmax.features;
        let rows = self.y.chunks_exact(features);
        for (y, gradient) in rows.zip(self.gradient.chunks_exact_mut(features)) {
            softmax::derive::<f32, Quick>(self.softmax.scale, y, gradient);
        }
    }
}

/// The squares of one block of `gradient / divisor`, summed.
pub(crate) struct SquareNorm<'a> {
    pub block: &'a [f32],
    pub divisor: f32,
}

impl WithSimd for SquareNorm<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> f64 {
        reduce::block_square_norm(self.block, self.divisor)
    }
}

/// The digest of one block.
pub(crate) struct Digest<'a> {
    pub block: &'a [f32],
    pub number: u64,
}

impl WithSimd for Digest<'_> {
    type Output = [u64; 2];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> [u64; 2] {
        reduce::block_digest(self.block, self.number)
    }
}

/// One sample laid out as the right side of a convolution's product.
pub(crate) struct Unfold<'a> {
    pub conv: &'a Conv2d,
    pub side: &'a Unfolded,
    pub x: &'a [f32],
    pub source: &'a mut [f32],
}

impl WithSimd for Unfold<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        layout::unfold(self.conv, self.side, self.x, self.source);
    }
}

/// The pitched output of a convolution, pooled.
pub(crate) struct PoolForward<'a> {
    pub pitches: Pitches,
    pub pool: &'a Geometry,
    pub flat: &'a mut [f32],
    pub y: &'a mut [f32],
    pub indices: &'a mut [u8],
}

impl WithSimd for PoolForward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        layout::pool_forward(self.pitches, self.pool, self.flat, self.y, self.indices);
    }
}

/// A stage's pooling undone for one sample, pitched, and where there is no norm its relu first.
pub(crate) struct Unpool<'a> {
    pub window: &'a Window,
    pub pitches: Pitches,
    pub y: &'a [f32],
    pub y_gradient: &'a mut [f32],
    pub indices: &'a [u8],
    pub flat: &'a mut [f32],
}

impl WithSimd for Unpool<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        if self.window.relu && self.window.norm.is_none() {
            pointwise::mask(self.y, self.y_gradient);
        }
        let (dy, indices) = (&*self.y_gradient, self.indices);
        layout::unpool(self.window, self.pitches, dy, indices, self.flat);
    }
}

/// The sums over each channel of a pitched sample, added to `sums`.
pub(crate) struct AddRows<'a> {
    pub pitches: Pitches,
    pub flat: &'a [f32],
    pub sums: &'a mut [f32],
}

impl WithSimd for AddRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        layout::add_rows(self.flat, self.pitches, self.sums);
    }
}

/// One sample, pooled by averages.
pub(crate) struct Average<'a> {
    pub pool: &'a Geometry,
    pub x: &'a [f32],
    pub y: &'a mut [f32],
}

impl WithSimd for Average<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        average::average_forward(self.pool, self.x, self.y);
    }
}

/// The averages of one sample undone.
pub(crate) struct AverageBackward<'a> {
    pub pool: &'a Geometry,
    pub dy: &'a [f32],
    pub dx: &'a mut [f32],
}

impl WithSimd for AverageBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        average::average_backward(self.pool, self.dy, self.dx);
    }
}
