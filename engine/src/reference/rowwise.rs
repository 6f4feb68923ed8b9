//! One row at a time.

use plan::{GroupNorm, Softmax};
use spec::loss::Loss;

use crate::backend::{
    GroupNormBackward, GroupNormForward, LossOperands, RowTargets, RowWise, View,
};
use crate::float::Float;
use crate::reference::device::Reference;
use crate::reference::functions::Plain;
use crate::reference::loss::{Judging, Row, Target, judge};
use crate::reference::{group_norm, softmax};

impl<T: Float> RowWise for Reference<T> {
    fn loss(&mut self, loss: &Loss, targets: RowTargets<'_>, at: LossOperands) {
        let views = [Some(at.outputs), at.weights, at.apart(), Some(at.rows)];
        let views = views.map(|view| view.unwrap_or(View::EMPTY));
        let [outputs, weights, apart, rows] = self.arena.split(views);
        let [outputs, apart]: [&mut [T]; 2] = [outputs, apart].map(bytemuck::cast_slice_mut);
        let judging = Judging {
            loss,
            weights: bytemuck::cast_slice(weights),
            gradient: at.gradient.is_some(),
            ranks: at.ranks,
        };
        let outputs = if apart.is_empty() {
            outputs
        } else {
            apart.copy_from_slice(outputs);
            apart
        };
        let rows: &mut [Row] = bytemuck::cast_slice_mut(rows);
        let outputs = outputs.chunks_exact_mut(at.features).zip(rows);
        for (number, (outputs, row)) in outputs.enumerate() {
            let target = Target::of(targets, number, at.features);
            *row = judge::<T, Plain>(&judging, target, outputs);
        }
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
