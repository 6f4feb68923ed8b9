//! The softmax of one row.

use plan::Scale;

use crate::float::Float;
use crate::reference::functions::Functions;
use crate::reference::sums::{largest, total};

/// In place.
#[inline(always)]
pub(crate) fn softmax<T: Float, F: Functions<T>>(scale: Scale, row: &mut [T]) {
    let largest = largest(row);
    match scale {
        Scale::Linear => {
            for x in row.iter_mut() {
                *x = F::exponential(*x - largest);
            }
            let sum = total(row, row, |x, _| x);
            for x in row {
                *x = *x / sum;
            }
        }
        Scale::Logarithmic => {
            for x in row.iter_mut() {
                *x = *x - largest;
            }
            let sum = total(row, row, |x, _| F::exponential(x)).logarithm();
            for x in row {
                *x = *x - sum;
            }
        }
    }
}

/// The gradient from that of the softmax `y`, in place.
#[inline(always)]
pub(crate) fn derive<T: Float, F: Functions<T>>(scale: Scale, y: &[T], gradient: &mut [T]) {
    match scale {
        Scale::Linear => {
            let sum = total(y, gradient, |y, gradient| y * gradient);
            for (gradient, &y) in gradient.iter_mut().zip(y) {
                *gradient = y * (*gradient - sum);
            }
        }
        Scale::Logarithmic => {
            let sum = total(gradient, gradient, |gradient, _| gradient);
            for (gradient, &y) in gradient.iter_mut().zip(y) {
                *gradient = *gradient - F::exponential(y) * sum;
            }
        }
    }
}
