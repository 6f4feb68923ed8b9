//! One value at a time.

use plan::Dropout;
use spec::model::Activation;

use crate::backend::{Draw, Pointwise, View};
use crate::float::Float;
use crate::reference::activation::{activate, derive};
use crate::reference::device::Reference;
use crate::reference::dropout;
use crate::reference::functions::Plain;

impl<T: Float> Pointwise for Reference<T> {
    fn relu_forward(&mut self, x: Option<View>, y: View) {
        let [x, y] = self.numbers([x, Some(y)]);
        if !x.is_empty() {
            y.copy_from_slice(x);
        }
        relu(y);
    }

    fn relu_backward(&mut self, y: View, gradient: View) {
        let [y, gradient] = self.numbers([Some(y), Some(gradient)]);
        mask(y, gradient);
    }

    fn activation_forward(&mut self, activation: &Activation, x: Option<View>, y: View) {
        let [x, y] = self.numbers([x, Some(y)]);
        if !x.is_empty() {
            y.copy_from_slice(x);
        }
        activate::<T, Plain>(activation, y);
    }

    fn activation_backward(&mut self, activation: &Activation, values: View, gradient: View) {
        let [values, gradient] = self.numbers([Some(values), Some(gradient)]);
        derive::<T, Plain>(activation, values, gradient);
    }

    fn add(&mut self, x: Option<View>, addend: View, y: View) {
        let [x, addend, y] = self.numbers([x, Some(addend), Some(y)]);
        if !x.is_empty() {
            y.copy_from_slice(x);
        }
        add(addend, y);
    }

    fn dropout(&mut self, dropout: &Dropout, draw: Draw, x: Option<View>, y: View) {
        let [x, y] = self.numbers([x, Some(y)]);
        if !x.is_empty() {
            y.copy_from_slice(x);
        }
        dropout::dropout(dropout, draw, y);
    }

    fn copy(&mut self, from: View, to: View) {
        let [from, to] = self.numbers([Some(from), Some(to)]);
        to.copy_from_slice(from);
    }
}

/// `y += x`
#[inline(always)]
pub(crate) fn add<T: Float>(x: &[T], y: &mut [T]) {
    for (&x, y) in x.iter().zip(y) {
        *y += x;
    }
}

/// `max(x, 0)`; NaN stays.
#[inline(always)]
pub(crate) fn relu<T: Float>(x: &mut [T]) {
    for value in x {
        *value = if T::ZERO > *value { T::ZERO } else { *value };
    }
}

/// The gradient of a relu whose output is `y`: 0 at 0.
#[inline(always)]
pub(crate) fn mask<T: Float>(y: &[T], gradient: &mut [T]) {
    for (&y, gradient) in y.iter().zip(gradient) {
        *gradient = if y <= T::ZERO { T::ZERO } else { *gradient };
    }
}
