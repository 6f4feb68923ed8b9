//! One row at a time.

use plan::{GroupNorm, Softmax};
use spec::loss::Loss;

use crate::backend::{
    GroupNormBackward, GroupNormForward, LossOperands, RowTargets, RowWise, View,
};
use crate::cpu::device::Cpu;
use crate::cpu::shared::Shared;
use crate::cpu::wide::{DeriveSoftmax, SoftmaxRows};
use crate::cpu::wide_loss::JudgeRows;
use crate::cpu::wide_norm::{GroupNormInput, GroupNormParameters, GroupNormSample};
use crate::reference::loss::{Judging, Row};

/// Words that one thread takes at a time, roughly.
const BLOCK: usize = 16 << 10;

impl RowWise for Cpu {
    fn loss(&mut self, loss: &Loss, targets: RowTargets<'_>, at: LossOperands) {
        let arch = self.arch;
        let views = [Some(at.outputs), at.weights, at.apart(), Some(at.rows)];
        let views = views.map(|view| view.unwrap_or(View::EMPTY));
        let [outputs, weights, apart, rows] = self.arena.split(views);
        let [outputs, apart]: [&mut [f32]; 2] = [outputs, apart].map(bytemuck::cast_slice_mut);
        let judging = Judging {
            loss,
            weights: bytemuck::cast_slice(weights),
            gradient: at.gradient.is_some(),
            ranks: at.ranks,
        };
        let rows: &mut [Row] = bytemuck::cast_slice_mut(rows);
        let (count, features) = (rows.len(), at.features);
        let [outputs, apart] = [outputs, apart].map(Shared::new);
        let rows = Shared::new(rows);
        // Each row is judged by itself, so that the cut decides no bit.
        let block = (BLOCK / features).max(1);
        self.pool.for_each(count.div_ceil(block), |_, index| {
            let numbers = index * block..count.min((index + 1) * block);
            let words = numbers.start * features..numbers.end * features;
            // SAFETY: blocks do not overlap.
            let (outputs, apart, rows) = unsafe {
                (
                    outputs.part(words.clone()),
                    apart.part(words),
                    rows.part(numbers.clone()),
                )
            };
            arch.dispatch(JudgeRows {
                judging: &judging,
                targets,
                first: numbers.start,
                features,
                outputs,
                apart,
                rows,
            });
        });
    }

    fn softmax_forward(&mut self, softmax: &Softmax, x: Option<View>, y: View) {
        let arch = self.arch;
        let [x, y]: [&mut [f32]; 2] = self.arena.numbers([x.unwrap_or(View::EMPTY), y]);
        let (x, words, y) = (&*x, y.len(), Shared::new(y));
        let block = rows_together(softmax) * softmax.features;
        self.pool.for_each(words.div_ceil(block), |_, index| {
            let range = index * block..words.min((index + 1) * block);
            // SAFETY: blocks do not overlap.
            let rows = unsafe { y.part(range.clone()) };
            if !x.is_empty() {
                rows.copy_from_slice(&x[range]);
            }
            arch.dispatch(SoftmaxRows { softmax, rows });
        });
    }

    fn group_norm_forward(&mut self, norm: &GroupNorm, samples: usize, at: GroupNormForward) {
        let arch = self.arch;
        let views = [
            at.x.unwrap_or(View::EMPTY),
            at.weight.unwrap_or(View::EMPTY),
            at.bias.unwrap_or(View::EMPTY),
            at.y,
            at.statistics.unwrap_or(View::EMPTY),
        ];
        let [x, weight, bias, y, statistics]: [&mut [f32]; 5] = self.arena.numbers(views);
        let (x, weight, bias) = (&*x, &*weight, &*bias);
        let values = norm.groups * norm.group;
        let [y, statistics] = [y, statistics].map(Shared::new);
        self.pool.for_each(samples, |_, sample| {
            let range = sample * values..(sample + 1) * values;
            let words = 2 * norm.groups;
            // SAFETY: samples do not overlap.
            let (y, statistics) = unsafe {
                (
                    y.part(range.clone()),
                    statistics.part(sample * words..(sample + 1) * words),
                )
            };
            if !x.is_empty() {
                y.copy_from_slice(&x[range]);
            }
            arch.dispatch(GroupNormSample {
                norm,
                weight,
                bias,
                y,
                statistics,
            });
        });
    }

    fn group_norm_backward(&mut self, norm: &GroupNorm, samples: usize, at: GroupNormBackward) {
        let arch = self.arch;
        let views = [
            at.x,
            at.weight.unwrap_or(View::EMPTY),
            at.statistics,
            at.gradient,
            at.weight_gradient.unwrap_or(View::EMPTY),
            at.bias_gradient.unwrap_or(View::EMPTY),
        ];
        let [x, weight, statistics, gradient, dw, db]: [&mut [f32]; 6] = self.arena.numbers(views);
        let (x, weight, statistics) = (&*x, &*weight, &*statistics);
        let weights = dw.len();
        if weights > 0 {
            let dy = &*gradient;
            let [dw, db] = [dw, db].map(Shared::new);
            // Each weight is summed apart, so that the cut decides no bit.
            let block = (BLOCK / (norm.plane * samples.max(1))).max(16);
            self.pool.for_each(weights.div_ceil(block), |_, index| {
                let range = index * block..weights.min((index + 1) * block);
                // SAFETY: blocks do not overlap.
                let [dw, db] = [&dw, &db].map(|all| unsafe { all.part(range.clone()) });
                arch.dispatch(GroupNormParameters {
                    norm,
                    range,
                    x,
                    statistics,
                    dy,
                    dw,
                    db,
                });
            });
        }
        if !at.needs_input {
            return;
        }
        let (values, words) = (norm.groups * norm.group, 2 * norm.groups);
        let gradient = Shared::new(gradient);
        self.pool.for_each(samples, |_, sample| {
            let range = sample * values..(sample + 1) * values;
            // SAFETY: samples do not overlap.
            let gradient = unsafe { gradient.part(range.clone()) };
            arch.dispatch(GroupNormInput {
                norm,
                weight,
                x: &x[range],
                statistics: &statistics[sample * words..(sample + 1) * words],
                gradient,
            });
        });
    }

    fn softmax_backward(&mut self, softmax: &Softmax, y: View, gradient: View) {
        let arch = self.arch;
        let [y, gradient]: [&mut [f32]; 2] = self.arena.numbers([y, gradient]);
        let (y, words, gradient) = (&*y, gradient.len(), Shared::new(gradient));
        let block = rows_together(softmax) * softmax.features;
        self.pool.for_each(words.div_ceil(block), |_, index| {
            let range = index * block..words.min((index + 1) * block);
            // SAFETY: blocks do not overlap.
            let gradient = unsafe { gradient.part(range.clone()) };
            arch.dispatch(DeriveSoftmax {
                softmax,
                y: &y[range],
                gradient,
            });
        });
    }
}

/// Rows that one thread takes at a time.
fn rows_together(softmax: &Softmax) -> usize {
    (BLOCK / softmax.features).max(1)
}
