//! The parts of a batch norm between which microbatches meet, cut into stretches of channels as the whole is.

use plan::BatchNorm;

use crate::backend::{BatchNormBackward, SyncNorm, View};
use crate::cpu::channel::{chunk_of, stretch_of, stretches};
use crate::cpu::device::Cpu;
use crate::cpu::shared::Shared;
use crate::cpu::wide_norm::{AddGradients, AddSquares, AddValues, InputGradient};
use crate::reference::batch_norm::{Scaling, leave_sums};

impl SyncNorm for Cpu {
    fn sync_norm_statistics(
        &mut self,
        norm: &BatchNorm,
        samples: usize,
        x: View,
        statistics: View,
    ) {
        let arch = self.arch;
        let [x, statistics]: [&mut [f32]; 2] = self.arena.numbers([x, statistics]);
        let (means, variances) = statistics.split_at_mut(norm.channels);
        let (x, [means, variances]) = (&*x, [means, variances].map(Shared::new));
        let (count, plane) = ((samples * norm.plane).max(1) as f32, norm.plane);
        self.pool.for_each(stretches(norm), |_, stretch| {
            let channels = stretch_of(norm, stretch);
            // SAFETY: stretches do not overlap.
            let [means, variances] =
                [&means, &variances].map(|all| unsafe { all.part(channels.clone()) });
            let chunk = |sample| &x[chunk_of(norm, sample, &channels)];
            means.fill(0.0);
            variances.fill(0.0);
            for sample in 0..samples {
                arch.dispatch(AddValues {
                    plane,
                    chunk: chunk(sample),
                    sums: means,
                });
            }
            means.iter_mut().for_each(|mean| *mean /= count);
            for sample in 0..samples {
                arch.dispatch(AddSquares {
                    plane,
                    chunk: chunk(sample),
                    means,
                    sums: variances,
                });
            }
            variances.iter_mut().for_each(|variance| *variance /= count);
        });
    }

    fn sync_norm_sums(
        &mut self,
        norm: &BatchNorm,
        samples: usize,
        values: u64,
        statistics: View,
        sums: View,
    ) {
        let [statistics, sums]: [&mut [f32]; 2] = self.arena.numbers([statistics, sums]);
        leave_sums([samples * norm.plane, values as usize], statistics, sums);
    }

    fn sync_norm_gradients(&mut self, norm: &BatchNorm, samples: usize, at: BatchNormBackward) {
        let arch = self.arch;
        let gradients = [at.weight_gradient, at.bias_gradient];
        let views = [
            at.x,
            at.weight,
            at.statistics,
            at.gradient,
            gradients[0],
            gradients[1],
        ];
        let [x, weights, statistics, dy, dw, db]: [&mut [f32]; 6] = self.arena.numbers(views);
        let (x, weights, dy) = (&*x, &*weights, &*dy);
        let (means, variances) = statistics.split_at(norm.channels);
        let [dw, db] = [dw, db].map(Shared::new);
        self.pool.for_each(stretches(norm), |_, stretch| {
            let channels = stretch_of(norm, stretch);
            // SAFETY: stretches do not overlap.
            let [dw, db] = [&dw, &db].map(|all| unsafe { all.part(channels.clone()) });
            dw.fill(0.0);
            db.fill(0.0);
            for sample in 0..samples {
                let chunk = chunk_of(norm, sample, &channels);
                arch.dispatch(AddGradients {
                    scaling: Scaling {
                        plane: norm.plane,
                        eps: norm.eps as f32,
                        means: &means[channels.clone()],
                        variances: &variances[channels.clone()],
                        weights: &weights[channels.clone()],
                    },
                    x: &x[chunk.clone()],
                    dy: &dy[chunk],
                    dw,
                    db,
                });
            }
        });
    }

    fn sync_norm_input(
        &mut self,
        norm: &BatchNorm,
        samples: usize,
        values: u64,
        at: BatchNormBackward,
        totals: View,
    ) {
        let arch = self.arch;
        let views = [at.x, at.weight, at.statistics, at.gradient, totals];
        let [x, weights, statistics, gradient, totals]: [&mut [f32]; 5] = self.arena.numbers(views);
        let (x, gradient) = (&*x, Shared::new(gradient));
        let (means, variances) = statistics.split_at(norm.channels);
        let (dw, db) = totals.split_at(norm.channels);
        let scaling = Scaling {
            plane: norm.plane,
            eps: norm.eps as f32,
            means,
            variances,
            weights,
        };
        self.pool.for_each(samples, |_, sample| {
            let chunk = chunk_of(norm, sample, &(0..norm.channels));
            // SAFETY: samples do not overlap.
            let gradient = unsafe { gradient.part(chunk.clone()) };
            arch.dispatch(InputGradient {
                scaling,
                count: values.max(1) as f32,
                x: &x[chunk],
                dw,
                db,
                gradient,
            });
        });
    }
}
