//! Sums that run in lanes: their order is a function of the number of terms alone.

use crate::float::Float;

/// How many sums run beside each other.
pub(crate) const LANES: usize = 16;

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

/// The sum of `term` of the numbers below `count`, in the same order.
#[inline(always)]
pub(crate) fn total_by<T: Float>(count: usize, term: impl Fn(usize) -> T) -> T {
    let mut sums = [T::ZERO; LANES];
    let whole = count - count % LANES;
    for first in (0..whole).step_by(LANES) {
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += term(first + lane);
        }
    }
    for (sum, index) in sums.iter_mut().zip(whole..count) {
        *sum += term(index);
    }
    sums.into_iter().fold(T::ZERO, |sum, lane| sum + lane)
}

/// The largest value; what is no number is passed over.
#[inline(always)]
pub(crate) fn largest<T: Float>(values: &[T]) -> T {
    let larger = |largest: T, x: T| if x > largest { x } else { largest };
    let mut lanes = [T::LEAST; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane = larger(*lane, x);
    }
    lanes.into_iter().fold(T::LEAST, larger)
}
