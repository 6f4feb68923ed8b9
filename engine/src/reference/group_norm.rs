//! Normalisation inside each sample. A group's statistics are its mean and the inverse of its deviation.

use std::ops::Range;

use plan::GroupNorm;

use crate::float::Float;
use crate::reference::sums::total;

/// One sample in place. `weight`, `bias` and `statistics` may be empty.
#[inline(always)]
pub(crate) fn forward<T: Float>(
    norm: &GroupNorm,
    weight: &[T],
    bias: &[T],
    y: &mut [T],
    statistics: &mut [T],
) {
    let count = T::of(norm.group as f64);
    for (group, y) in y.chunks_exact_mut(norm.group).enumerate() {
        let mean = total(y, y, |x, _| x) / count;
        let variance = total(y, y, |x, _| (x - mean) * (x - mean)) / count;
        let inverse = T::ONE / (variance + T::of(norm.eps)).root();
        if !statistics.is_empty() {
            statistics[2 * group..2 * group + 2].copy_from_slice(&[mean, inverse]);
        }
        for value in y.iter_mut() {
            *value = (*value - mean) * inverse;
        }
        let weights = group * (norm.group / norm.plane)..(group + 1) * (norm.group / norm.plane);
        if weight.is_empty() {
        } else if norm.plane == 1 {
            let affine = weight[weights.clone()].iter().zip(&bias[weights]);
            for (y, (&weight, &bias)) in y.iter_mut().zip(affine) {
                *y = *y * weight + bias;
            }
        } else {
            for (y, channel) in y.chunks_exact_mut(norm.plane).zip(weights) {
                let (weight, bias) = (weight[channel], bias[channel]);
                for y in y {
                    *y = *y * weight + bias;
                }
            }
        }
    }
}

/// The gradients of the weights in `range` and of their biases, over all samples in order.
#[inline(always)]
pub(crate) fn parameters<T: Float>(
    norm: &GroupNorm,
    range: Range<usize>,
    x: &[T],
    statistics: &[T],
    dy: &[T],
    dw: &mut [T],
    db: &mut [T],
) {
    dw.fill(T::ZERO);
    db.fill(T::ZERO);
    let (values, plane) = (norm.groups * norm.group, norm.plane);
    let samples = x.chunks_exact(values).zip(dy.chunks_exact(values));
    for ((x, dy), statistics) in samples.zip(statistics.chunks_exact(2 * norm.groups)) {
        let mut first = range.start;
        while first < range.end {
            // Weights of one group.
            let group = first * plane / norm.group;
            let end = range.end.min((group + 1) * norm.group / plane);
            let (mean, inverse) = (statistics[2 * group], statistics[2 * group + 1]);
            let [dw, db] =
                [&mut *dw, &mut *db].map(|all| &mut all[first - range.start..end - range.start]);
            let [x, dy] = [x, dy].map(|all| &all[first * plane..end * plane]);
            if plane == 1 {
                for ((dw, db), (&x, &dy)) in dw.iter_mut().zip(db).zip(x.iter().zip(dy)) {
                    *dw += dy * ((x - mean) * inverse);
                    *db += dy;
                }
            } else {
                let planes = x.chunks_exact(plane).zip(dy.chunks_exact(plane));
                for ((dw, db), (x, dy)) in dw.iter_mut().zip(db).zip(planes) {
                    *dw += total(dy, x, |dy, x| dy * ((x - mean) * inverse));
                    *db += total(dy, dy, |dy, _| dy);
                }
            }
            first = end;
        }
    }
}

/// The gradient of one sample, in place.
#[inline(always)]
pub(crate) fn input<T: Float>(
    norm: &GroupNorm,
    weight: &[T],
    x: &[T],
    statistics: &[T],
    gradient: &mut [T],
) {
    let count = T::of(norm.group as f64);
    let groups = x.chunks_exact(norm.group).zip(statistics.chunks_exact(2));
    for (group, (gradient, (x, statistics))) in gradient
        .chunks_exact_mut(norm.group)
        .zip(groups)
        .enumerate()
    {
        let (mean, inverse) = (statistics[0], statistics[1]);
        let weights = group * (norm.group / norm.plane)..(group + 1) * (norm.group / norm.plane);
        if weight.is_empty() {
        } else if norm.plane == 1 {
            for (gradient, &weight) in gradient.iter_mut().zip(&weight[weights]) {
                *gradient = *gradient * weight;
            }
        } else {
            let planes = gradient.chunks_exact_mut(norm.plane);
            for (gradient, &weight) in planes.zip(&weight[weights]) {
                for gradient in gradient {
                    *gradient = *gradient * weight;
                }
            }
        }
        let sum = total(gradient, gradient, |gradient, _| gradient) / count;
        let product = total(gradient, x, |gradient, x| gradient * ((x - mean) * inverse)) / count;
        for (gradient, &x) in gradient.iter_mut().zip(x) {
            *gradient = inverse * (*gradient - sum - (x - mean) * inverse * product);
        }
    }
}
