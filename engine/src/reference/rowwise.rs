//! One row at a time.

use plan::{GroupNorm, Softmax};

use crate::backend::{GroupNormBackward, GroupNormForward, RowWise, View};
use crate::float::Float;
use crate::reference::device::Reference;
use crate::reference::functions::Plain;
use crate::reference::{group_norm, softmax};

impl<T: Float> RowWise for Reference<T> {
    fn cross_entropy(
        &mut self,
        logits: View,
        labels: &[u32],
        gradient: Option<View>,
    ) -> (f64, u64) {
        let [logits, gradient] = self.numbers([Some(logits), gradient]);
        cross_entropy(logits, labels, gradient)
    }

    fn softmax_forward(&mut self, softmax: &Softmax, x: Option<View>, y: View) {
        let [x, y] = self.numbers([x, Some(y)]);
        if !x.is_empty() {
            y.copy_from_slice(x);
        }
        for row in y.chunks_exact_mut(softmax.features) {
            softmax::softmax::<T, Plain>(softmax.scale, row);
        }
    }

    fn group_norm_forward(&mut self, norm: &GroupNorm, samples: usize, at: GroupNormForward) {
        let [x, weight, bias, y, statistics] =
            self.numbers([at.x, at.weight, at.bias, Some(at.y), at.statistics]);
        if !x.is_empty() {
            y.copy_from_slice(x);
        }
        let words = if statistics.is_empty() {
            0
        } else {
            2 * norm.groups
        };
        let rows = y.chunks_exact_mut(norm.groups * norm.group).take(samples);
        for (sample, y) in rows.enumerate() {
            let statistics = &mut statistics[sample * words..(sample + 1) * words];
            group_norm::forward::<T>(norm, weight, bias, y, statistics);
        }
    }

    fn group_norm_backward(&mut self, norm: &GroupNorm, samples: usize, at: GroupNormBackward) {
        let [x, weight, statistics, gradient, dw, db] = self.numbers([
            Some(at.x),
            at.weight,
            Some(at.statistics),
            Some(at.gradient),
            at.weight_gradient,
            at.bias_gradient,
        ]);
        if !dw.is_empty() {
            let range = 0..norm.weights();
            group_norm::parameters::<T>(norm, range, x, statistics, gradient, dw, db);
        }
        if at.needs_input {
            let values = norm.groups * norm.group;
            let rows = x
                .chunks_exact(values)
                .zip(gradient.chunks_exact_mut(values));
            let rows = rows.zip(statistics.chunks_exact(2 * norm.groups));
            for ((x, gradient), statistics) in rows.take(samples) {
                group_norm::input::<T>(norm, weight, x, statistics, gradient);
            }
        }
    }

    fn softmax_backward(&mut self, softmax: &Softmax, y: View, gradient: View) {
        let [y, gradient] = self.numbers([Some(y), Some(gradient)]);
        let rows = y.chunks_exact(softmax.features);
        for (y, gradient) in rows.zip(gradient.chunks_exact_mut(softmax.features)) {
            softmax::derive::<T, Plain>(softmax.scale, y, gradient);
        }
    }
}

/// `logits: (N, classes)`, one label each; the gradient may be empty.
pub(crate) fn cross_entropy<T: Float>(
    logits: &[T],
    labels: &[u32],
    gradient: &mut [T],
) -> (f64, u64) {
    let (mut loss, mut correct) = (0.0, 0);
    if labels.is_empty() {
        return (loss, correct);
    }
    let classes = logits.len() / labels.len();
    for (row, (logits, &label)) in logits.chunks_exact(classes).zip(labels).enumerate() {
        let label = label as usize;
        let mut best = 0;
        for (class, &logit) in logits.iter().enumerate() {
            if logit > logits[best] {
                best = class;
            }
        }
        let largest = logits[best];
        let sum = logits
            .iter()
            .fold(T::ZERO, |sum, &logit| sum + (logit - largest).exponential());
        loss += (sum.logarithm() - (logits[label] - largest)).wide();
        correct += u64::from(best == label);
        if !gradient.is_empty() {
            let gradient = &mut gradient[row * classes..(row + 1) * classes];
            for (gradient, &logit) in gradient.iter_mut().zip(logits) {
                *gradient = (logit - largest).exponential() / sum;
            }
            gradient[label] = gradient[label] - T::ONE;
        }
    }
    (loss, correct)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_of_equal_logits_is_the_logarithm_of_their_number() {
        let mut gradient = [9.0; 8];
        let (loss, correct) = cross_entropy(&[3.0f64; 8], &[0, 2], &mut gradient);
        assert!((loss - 2.0 * libm::log(4.0)).abs() < 1e-15);
        assert_eq!(correct, 1);
        assert_eq!(gradient, [-0.75, 0.25, 0.25, 0.25, 0.25, 0.25, -0.75, 0.25]);
    }

    #[test]
    fn large_logits_do_not_overflow_and_nan_reaches_the_loss() {
        let (loss, correct) = cross_entropy(&[1e4f32, -1e4], &[1], &mut []);
        assert_eq!((loss, correct), (2e4, 0));
        assert!(cross_entropy(&[f32::NAN, 0.0], &[1], &mut []).0.is_nan());
        assert!(cross_entropy(&[0.0, f32::NAN], &[0], &mut []).0.is_nan());
    }
}
