//! The softmax of one row. Sums run in lanes that the row's length alone decides.

use plan::Scale;

use crate::float::Float;
use crate::reference::functions::Functions;

const LANES: usize = 16;

/// In place.
#[inline(always)]
pub(crate) fn softmax<T: Float, F: Functions<T>>(scale: Scale, row: &mut [T]) {
    let largest = row.iter().fold(
        T::LEAST,
        |largest, &x| if x > largest { x } else { largest },
    );
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

/// The sum of `term` over two slices of one length.
#[inline(always)]
pub(crate) fn total<T: Float>(left: &[T], right: &[T], term: impl Fn(T, T) -> T) -> T {
    let mut sums = [T::ZERO; LANES];
    let ((left, left_rest), (right, right_rest)) =
        (left.as_chunks::<LANES>(), right.as_chunks::<LANES>());
    for (left, right) in left.iter().zip(right) {
        for ((sum, &left), &right) in sums.iter_mut().zip(left).zip(right) {
            *sum += term(left, right);
        }
    }
    for ((sum, &left), &right) in sums.iter_mut().zip(left_rest).zip(right_rest) {
        *sum += term(left, right);
    }
    sums.into_iter().fold(T::ZERO, |sum, lane| sum + lane)
}
