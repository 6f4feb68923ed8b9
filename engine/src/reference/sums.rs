//! Sums that run in lanes: their order is a function of the number of terms alone.

use crate::float::Float;

const LANES: usize = 16;

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
