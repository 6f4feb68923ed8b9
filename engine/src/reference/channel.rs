//! One channel at a time, over all samples.

use plan::BatchNorm;

use crate::backend::{BatchNormBackward, BatchNormForward, Channel, View};
use crate::float::Float;
use crate::reference::batch_norm::{Scaling, add_squares, add_values, leave_sums, update};
use crate::reference::device::Reference;

impl<T: Float> Channel for Reference<T> {
    fn batch_norm_train(&mut self, norm: &BatchNorm, samples: usize, at: BatchNormForward) {
        let [x, statistics] = self.numbers([Some(at.x.unwrap_or(at.y)), Some(at.statistics)]);
        let count = T::of((samples * norm.plane).max(1) as f64);
        let (means, variances) = statistics.split_at_mut(norm.channels);
        statistics_of(norm, count, x, means, variances);
        self.batch_norm_evaluate(norm, samples, at);
    }

    fn batch_norm_evaluate(&mut self, norm: &BatchNorm, samples: usize, at: BatchNormForward) {
        let [x, weights, biases, y, statistics] = self.numbers([
            at.x,
            Some(at.weight),
            Some(at.bias),
            Some(at.y),
            Some(at.statistics),
        ]);
        if !x.is_empty() {
            y.copy_from_slice(x);
        }
        let scaling = scaling(norm, statistics, weights);
        for y in y.chunks_exact_mut(norm.channels * norm.plane).take(samples) {
            scaling.normalise(biases, y);
        }
    }

    fn batch_norm_backward(&mut self, norm: &BatchNorm, samples: usize, at: BatchNormBackward) {
        let [x, weights, statistics, gradient, dw, db, sums] = self.numbers(
            [
                at.x,
                at.weight,
                at.statistics,
                at.gradient,
                at.weight_gradient,
                at.bias_gradient,
                at.sums,
            ]
            .map(Some),
        );
        leave_sums([samples * norm.plane; 2], statistics, sums);
        dw.fill(T::ZERO);
        db.fill(T::ZERO);
        let (scaling, values) = (
            scaling(norm, statistics, weights),
            norm.channels * norm.plane,
        );
        for (x, dy) in x.chunks_exact(values).zip(gradient.chunks_exact(values)) {
            scaling.add_gradients(x, dy, dw, db);
        }
        if at.needs_input {
            let count = T::of((samples * norm.plane).max(1) as f64);
            let rows = x.chunks_exact(values);
            for (x, gradient) in rows.zip(gradient.chunks_exact_mut(values)) {
                scaling.input(count, x, dw, db, gradient);
            }
        }
    }

    fn batch_norm_sums(&mut self, norm: &BatchNorm, samples: usize, statistics: View, sums: View) {
        let [statistics, sums] = self.numbers([Some(statistics), Some(sums)]);
        leave_sums([samples * norm.plane; 2], statistics, sums);
    }

    fn batch_norm_update(
        &mut self,
        norm: &BatchNorm,
        divisors: [u64; 2],
        sums: View,
        running: View,
    ) {
        let [sums, running] = self.numbers([Some(sums), Some(running)]);
        update::<T>(norm.momentum, divisors, sums, running);
    }
}

/// Means and biased variances of whole samples.
pub(crate) fn statistics_of<T: Float>(
    norm: &BatchNorm,
    count: T,
    x: &[T],
    means: &mut [T],
    variances: &mut [T],
) {
    means.fill(T::ZERO);
    variances.fill(T::ZERO);
    let samples = x.chunks_exact(norm.channels * norm.plane);
    for x in samples.clone() {
        add_values(norm.plane, x, means);
    }
    for mean in means.iter_mut() {
        *mean = *mean / count;
    }
    for x in samples {
        add_squares(norm.plane, x, means, variances);
    }
    for variance in variances {
        *variance = *variance / count;
    }
}

/// What all channels are normalised by.
pub(crate) fn scaling<'a, T: Float>(
    norm: &BatchNorm,
    statistics: &'a [T],
    weights: &'a [T],
) -> Scaling<'a, T> {
    let (means, variances) = statistics.split_at(norm.channels);
    Scaling {
        plane: norm.plane,
        eps: T::of(norm.eps),
        means,
        variances,
        weights,
    }
}
