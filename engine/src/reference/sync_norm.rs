//! The parts of a batch norm between which microbatches meet.

use plan::BatchNorm;

use crate::backend::{BatchNormBackward, SyncNorm, View};
use crate::float::Float;
use crate::reference::batch_norm::leave_sums;
use crate::reference::channel::{scaling, statistics_of};
use crate::reference::device::Reference;

impl<T: Float> SyncNorm for Reference<T> {
    fn sync_norm_statistics(
        &mut self,
        norm: &BatchNorm,
        samples: usize,
        x: View,
        statistics: View,
    ) {
        let [x, statistics] = self.numbers([Some(x), Some(statistics)]);
        let count = T::of((samples * norm.plane).max(1) as f64);
        let (means, variances) = statistics.split_at_mut(norm.channels);
        statistics_of(norm, count, x, means, variances);
    }

    fn sync_norm_sums(
        &mut self,
        norm: &BatchNorm,
        samples: usize,
        values: u64,
        statistics: View,
        sums: View,
    ) {
        let [statistics, sums] = self.numbers([Some(statistics), Some(sums)]);
        leave_sums([samples * norm.plane, values as usize], statistics, sums);
    }

    fn sync_norm_gradients(&mut self, norm: &BatchNorm, samples: usize, at: BatchNormBackward) {
        let views = [at.x, at.weight, at.statistics, at.gradient];
        let gradients = [at.weight_gradient, at.bias_gradient];
        let [x, weights, statistics, dy, dw, db] = self.numbers(
            [
                views[0],
                views[1],
                views[2],
                views[3],
                gradients[0],
                gradients[1],
            ]
            .map(Some),
        );
        dw.fill(T::ZERO);
        db.fill(T::ZERO);
        let (scaling, sample) = (
            scaling(norm, statistics, weights),
            norm.channels * norm.plane,
        );
        let rows = x.chunks_exact(sample).zip(dy.chunks_exact(sample));
        for (x, dy) in rows.take(samples) {
            scaling.add_gradients(x, dy, dw, db);
        }
    }

    fn sync_norm_input(
        &mut self,
        norm: &BatchNorm,
        samples: usize,
        values: u64,
        at: BatchNormBackward,
        totals: View,
    ) {
        let views = [at.x, at.weight, at.statistics, at.gradient, totals];
        let [x, weights, statistics, gradient, totals] = self.numbers(views.map(Some));
        let (dw, db) = totals.split_at(norm.channels);
        let (scaling, sample) = (
            scaling(norm, statistics, weights),
            norm.channels * norm.plane,
        );
        let count = T::of(values.max(1) as f64);
        let rows = x
            .chunks_exact(sample)
            .zip(gradient.chunks_exact_mut(sample));
        for (x, gradient) in rows.take(samples) {
            scaling.input(count, x, dw, db, gradient);
        }
    }
}
