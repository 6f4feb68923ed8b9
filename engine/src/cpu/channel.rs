//! One channel at a time, over all samples: stretches of channels are spread over threads, each summed apart, so that the
//! cut decides no bit.

use std::ops::Range;

use plan::BatchNorm;

use crate::backend::{BatchNormBackward, BatchNormForward, Channel, View};
use crate::cpu::device::Cpu;
use crate::cpu::shared::Shared;
use crate::cpu::wide_norm::{AddGradients, AddSquares, AddValues, InputGradient, Normalise};
use crate::reference::batch_norm::{Scaling, leave_sums, update};

/// Values of a sample that one thread takes at a time, roughly.
const STRETCH: usize = 256;

impl Channel for Cpu {
    fn batch_norm_train(&mut self, norm: &BatchNorm, samples: usize, at: BatchNormForward) {
        let arch = self.arch;
        let views = [
            at.x.unwrap_or(View::EMPTY),
            at.weight,
            at.bias,
            at.y,
            at.statistics,
        ];
        let [x, weights, biases, y, statistics]: [&mut [f32]; 5] = self.arena.numbers(views);
        let (x, weights, biases) = (&*x, &*weights, &*biases);
        let (means, variances) = statistics.split_at_mut(norm.channels);
        let [y, means, variances] = [y, means, variances].map(Shared::new);
        let (count, plane) = ((samples * norm.plane).max(1) as f32, norm.plane);
        self.pool.for_each(stretches(norm), |_, stretch| {
            let channels = stretch_of(norm, stretch);
            // SAFETY: stretches do not overlap, in no sample.
            let [means, variances] =
                [&means, &variances].map(|all| unsafe { all.part(channels.clone()) });
            // SAFETY: as above; each chunk is dropped before the next is taken.
            let chunk = |sample| unsafe { y.part(chunk_of(norm, sample, &channels)) };
            means.fill(0.0);
            variances.fill(0.0);
            for sample in 0..samples {
                let chunk = chunk(sample);
                if !x.is_empty() {
                    chunk.copy_from_slice(&x[chunk_of(norm, sample, &channels)]);
                }
                arch.dispatch(AddValues {
                    plane,
                    chunk,
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
            let scaling = Scaling {
                plane,
                eps: norm.eps as f32,
                means,
                variances,
                weights: &weights[channels.clone()],
            };
            for sample in 0..samples {
                arch.dispatch(Normalise {
                    scaling,
                    biases: &biases[channels.clone()],
                    chunk: chunk(sample),
                });
            }
        });
    }

    fn batch_norm_evaluate(&mut self, norm: &BatchNorm, samples: usize, at: BatchNormForward) {
        let arch = self.arch;
        let views = [
            at.x.unwrap_or(View::EMPTY),
            at.weight,
            at.bias,
            at.y,
            at.statistics,
        ];
        let [x, weights, biases, y, statistics]: [&mut [f32]; 5] = self.arena.numbers(views);
        let (x, weights, biases, y) = (&*x, &*weights, &*biases, Shared::new(y));
        let (means, variances) = statistics.split_at(norm.channels);
        let scaling = Scaling {
            plane: norm.plane,
            eps: norm.eps as f32,
            means,
            variances,
            weights,
        };
        self.pool.for_each(samples, |_, sample| {
            let range = chunk_of(norm, sample, &(0..norm.channels));
            // SAFETY: samples do not overlap.
            let chunk = unsafe { y.part(range.clone()) };
            if !x.is_empty() {
                chunk.copy_from_slice(&x[range]);
            }
            arch.dispatch(Normalise {
                scaling,
                biases,
                chunk,
            });
        });
    }

    fn batch_norm_backward(&mut self, norm: &BatchNorm, samples: usize, at: BatchNormBackward) {
        let arch = self.arch;
        let views = [
            at.x,
            at.weight,
            at.statistics,
            at.gradient,
            at.weight_gradient,
            at.bias_gradient,
            at.sums,
        ];
        let [x, weights, statistics, gradient, dw, db, sums]: [&mut [f32]; 7] =
            self.arena.numbers(views);
        leave_sums([samples * norm.plane; 2], statistics, sums);
        let (x, weights) = (&*x, &*weights);
        let (means, variances) = statistics.split_at(norm.channels);
        let [gradient, dw, db] = [gradient, dw, db].map(Shared::new);
        let (count, plane) = ((samples * norm.plane).max(1) as f32, norm.plane);
        self.pool.for_each(stretches(norm), |_, stretch| {
            let channels = stretch_of(norm, stretch);
            // SAFETY: stretches do not overlap, in no sample.
            let [dw, db] = [&dw, &db].map(|all| unsafe { all.part(channels.clone()) });
            // SAFETY: as above; each chunk is dropped before the next is taken.
            let chunk = |sample| unsafe { gradient.part(chunk_of(norm, sample, &channels)) };
            let scaling = Scaling {
                plane,
                eps: norm.eps as f32,
                means: &means[channels.clone()],
                variances: &variances[channels.clone()],
                weights: &weights[channels.clone()],
            };
            dw.fill(0.0);
            db.fill(0.0);
            for sample in 0..samples {
                arch.dispatch(AddGradients {
                    scaling,
                    x: &x[chunk_of(norm, sample, &channels)],
                    dy: chunk(sample),
                    dw,
                    db,
                });
            }
            for sample in (0..samples).filter(|_| at.needs_input) {
                arch.dispatch(InputGradient {
                    scaling,
                    count,
                    x: &x[chunk_of(norm, sample, &channels)],
                    dw,
                    db,
                    gradient: chunk(sample),
                });
            }
        });
    }

    fn batch_norm_sums(&mut self, norm: &BatchNorm, samples: usize, statistics: View, sums: View) {
        let [statistics, sums]: [&mut [f32]; 2] = self.arena.numbers([statistics, sums]);
        leave_sums([samples * norm.plane; 2], statistics, sums);
    }

    fn batch_norm_update(
        &mut self,
        norm: &BatchNorm,
        divisors: [u64; 2],
        sums: View,
        running: View,
    ) {
        let [sums, running]: [&mut [f32]; 2] = self.arena.numbers([sums, running]);
        update(norm.momentum, divisors, sums, running);
    }
}

/// Channels of a stretch.
fn width(norm: &BatchNorm) -> usize {
    (STRETCH / norm.plane).max(1)
}

pub(super) fn stretches(norm: &BatchNorm) -> usize {
    norm.channels.div_ceil(width(norm))
}

pub(super) fn stretch_of(norm: &BatchNorm, stretch: usize) -> Range<usize> {
    stretch * width(norm)..norm.channels.min((stretch + 1) * width(norm))
}

/// Where some channels of a sample lie.
pub(super) fn chunk_of(norm: &BatchNorm, sample: usize, channels: &Range<usize>) -> Range<usize> {
    let first = sample * norm.channels;
    (first + channels.start) * norm.plane..(first + channels.end) * norm.plane
}
