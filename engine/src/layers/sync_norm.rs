//! Batch norm over all samples of a step: what each microbatch measures, and what it does with what all of them have
//! measured together. Evaluation is that of any batch norm.

use std::marker::PhantomData;

use plan::{BatchNorm, Stage};

use crate::backend::{Backend, BatchNormBackward, BatchNormForward, View};
use crate::float::Float;
use crate::layers::batch_norm;
use crate::layers::views::Views;

/// A microbatch at a norm.
pub(crate) struct At<'v, T> {
    views: &'v Views,
    stage: &'v Stage,
    norm: &'v BatchNorm,
    samples: usize,
    number: PhantomData<T>,
}

impl<'v, T: Float> At<'v, T> {
    /// At a stage that is such a norm.
    pub fn new(views: &'v Views, stage: usize, samples: usize) -> Self {
        let stage = &views.plan.stages[stage];
        let norm = stage.kind.sync();
        At {
            views,
            stage,
            norm: norm.expect("a norm over all samples of a step"),
            samples,
            number: PhantomData,
        }
    }

    /// The words of the stage's statistics from `pair` on: 0 for means and variances, 1 for the gradients of weights and biases.
    fn statistics(&self, pair: usize) -> View {
        let statistics = self.stage.statistics;
        let statistics = statistics.expect("a norm that trains keeps statistics");
        let bytes = 2 * self.norm.channels * self.views.size;
        let whole = self.views.buffer(statistics);
        View {
            offset: whole.offset + pair * bytes,
            bytes,
        }
    }

    /// Its moments, channel after channel.
    pub fn measure(&self, device: &mut dyn Backend, part: &mut [f64]) {
        let x = self.views.batch(self.stage, self.samples).x;
        let statistics = self.statistics(0);
        device.sync_norm_statistics(self.norm, self.samples, x, statistics);
        let values = (self.samples * self.norm.plane) as f64;
        let statistics: &[T] = bytemuck::cast_slice(device.bytes(statistics));
        let (means, variances) = statistics.split_at(self.norm.channels);
        let channels = means.iter().zip(variances);
        for (part, (mean, variance)) in part.chunks_exact_mut(4).zip(channels) {
            part.copy_from_slice(&[values, mean.wide(), variance.wide() * values, 0.0]);
        }
    }

    /// Normalises by the moments of all, and leaves in its record what the running statistics move by.
    pub fn normalise(&self, device: &mut dyn Backend, total: &[f64], record: View) {
        let view = self.statistics(0);
        let statistics: &mut [T] = bytemuck::cast_slice_mut(device.bytes_mut(view));
        let (means, variances) = statistics.split_at_mut(self.norm.channels);
        let channels = means.iter_mut().zip(variances);
        for (total, (mean, variance)) in total.chunks_exact(4).zip(channels) {
            *mean = T::of(total[1]);
            *variance = T::of(total[2] / total[0].max(1.0));
        }
        let values = total.first().map_or(0, |&values| values as u64);
        let sums = batch_norm::sums(self.views, self.stage, record);
        device.sync_norm_sums(self.norm, self.samples, values, view, sums);
        let (weight, bias) = self.parameters();
        let batch = self.views.batch(self.stage, self.samples);
        let at = BatchNormForward {
            x: batch.source(self.stage),
            weight,
            bias,
            y: batch.y,
            statistics: view,
        };
        device.batch_norm_evaluate(self.norm, self.samples, at);
    }

    /// The gradients of weight and bias over the microbatch: into its record, and channel after channel into `part`.
    pub fn gradients(&self, device: &mut dyn Backend, record: View, part: &mut [f64]) {
        let at = self.backward(record);
        device.sync_norm_gradients(self.norm, self.samples, at);
        let [weights, biases] = [at.weight_gradient, at.bias_gradient]
            .map(|view| bytemuck::cast_slice::<u8, T>(device.bytes(view)));
        let channels = weights.iter().zip(biases);
        for (part, (weight, bias)) in part.chunks_exact_mut(2).zip(channels) {
            part.copy_from_slice(&[weight.wide(), bias.wide()]);
        }
    }

    /// The gradient of its input, from those of weight and bias over all so many values of a channel.
    pub fn input(&self, device: &mut dyn Backend, values: u64, total: &[f64], record: View) {
        let at = self.backward(record);
        let view = self.statistics(1);
        let totals: &mut [T] = bytemuck::cast_slice_mut(device.bytes_mut(view));
        let (weights, biases) = totals.split_at_mut(self.norm.channels);
        let channels = weights.iter_mut().zip(biases);
        for (total, (weight, bias)) in total.chunks_exact(2).zip(channels) {
            (*weight, *bias) = (T::of(total[0]), T::of(total[1]));
        }
        if at.needs_input {
            device.sync_norm_input(self.norm, self.samples, values, at, view);
        }
    }

    fn parameters(&self) -> (View, View) {
        let parameters = self.views.plan.places.parameters;
        let (weight, bias) = self.views.weight_and_bias(self.stage, parameters);
        (weight, bias.expect("a batch norm has a bias"))
    }

    fn backward(&self, record: View) -> BatchNormBackward {
        let slots = &self.views.plan.places.slots;
        let mut slots = slots.iter().copied();
        let slot = slots.find(|&slot| self.views.buffer(slot).offset == record.offset);
        let slot = slot.expect("a record is that of a slot");
        let (weight_gradient, bias_gradient) = self.views.weight_and_bias(self.stage, slot);
        let batch = self.views.batch(self.stage, self.samples);
        BatchNormBackward {
            x: batch.x,
            weight: self.parameters().0,
            statistics: self.statistics(0),
            gradient: batch
                .y_gradient
                .expect("a stage that trains has a gradient"),
            weight_gradient,
            bias_gradient: bias_gradient.expect("a batch norm has a bias"),
            sums: batch_norm::sums(self.views, self.stage, record),
            needs_input: batch.x_gradient.is_some(),
        }
    }
}
