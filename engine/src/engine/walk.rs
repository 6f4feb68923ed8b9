//! The stages of a plan, one after the other and back. A stage of sequences runs over the rows of all steps as it would
//! over samples.

use std::ops::Range;

use plan::{Stage, StageKind};

use crate::backend::Backend;
use crate::batch::{Batch, Pass, Samples};
use crate::engine::Engine;
use crate::extent::Extent;
use crate::float::Float;
use crate::layers::views::Views;
use crate::layers::{
    activation, avg_pool2d, batch_norm, conv2d, dropout, embedding, group_norm, linear, max_pool2d,
    over_time, recurrent, relu, residual, softmax,
};

impl<T: Float> Engine<T> {
    /// Runs forward through all stages.
    pub(crate) fn forward(&mut self, given: &Samples<'_, T>, extent: Extent, pass: Pass) {
        self.forward_until(given, extent, pass, |_, _, _| false);
    }

    /// Runs forward until `stop` says so after a stage.
    pub(crate) fn forward_until(
        &mut self,
        given: &Samples<'_, T>,
        extent: Extent,
        pass: Pass,
        stop: impl FnMut(&dyn Backend, &Views, &Stage) -> bool,
    ) {
        self.bring(given);
        let all = 0..self.views.plan.stages.len();
        self.forward_through(all, given, extent, pass, stop);
    }

    /// Copies values to where the first stage reads them.
    pub(crate) fn bring(&mut self, given: &Samples<'_, T>) {
        let (values, _) = apart(given);
        self.clock.start();
        let input = self.views.words(self.views.plan.places.input, values.len());
        self.device
            .bytes_mut(input)
            .copy_from_slice(bytemuck::cast_slice(values));
        self.clock.note(|times| &mut times.input);
    }

    /// Runs forward through some stages, until `stop` says so after one.
    pub(crate) fn forward_through(
        &mut self,
        stages: Range<usize>,
        given: &Samples<'_, T>,
        extent: Extent,
        pass: Pass,
        mut stop: impl FnMut(&dyn Backend, &Views, &Stage) -> bool,
    ) {
        let (_, tokens) = apart(given);
        let (device, views, packing) = (&mut *self.device, &self.views, &self.packing);
        let clock = &mut self.clock;
        for index in stages {
            let stage = &views.plan.stages[index];
            let samples = extent.of(stage.input_steps);
            match &stage.kind {
                StageKind::Window(window) => {
                    conv2d::forward(device, views, stage, window, samples, pass)
                }
                StageKind::Dense(dense) => linear::forward(device, views, stage, dense, samples),
                StageKind::Pool(pool) => max_pool2d::forward(device, views, stage, pool, samples),
                StageKind::Average(pool) => {
                    avg_pool2d::forward(device, views, stage, pool, samples)
                }
                StageKind::BatchNorm(norm) => {
                    batch_norm::forward(device, views, stage, norm, samples, pass)
                }
                StageKind::GroupNorm(norm) => {
                    group_norm::forward(device, views, stage, norm, samples)
                }
                StageKind::Relu => relu::forward(device, views, stage, samples),
                StageKind::Activation(activation) => {
                    activation::forward(device, views, stage, activation, samples)
                }
                StageKind::Softmax(softmax) => {
                    softmax::forward(device, views, stage, softmax, samples)
                }
                StageKind::Embedding(table) => {
                    embedding::forward(device, views, stage, table, tokens)
                }
                StageKind::Recurrent(layer) => {
                    recurrent::forward(device, views, stage, layer, packing, tokens)
                }
                StageKind::OverTime(over) => {
                    over_time::forward(device, views, stage, over, packing)
                }
                StageKind::Dropout(rate) => {
                    let rows = dropout::Rows { samples, packing };
                    dropout::forward(device, views, stage, rate, rows, pass)
                }
                StageKind::Fork => {}
                StageKind::Add => residual::add(device, views, stage, samples),
            }
            clock.note(|times| &mut times.forward[index]);
            if stop(&*device, views, stage) {
                return;
            }
        }
    }

    /// Runs backward through some stages, the last first, from the gradient of what the last gives; gradients of parameters
    /// go into `slot`.
    pub(crate) fn backward_through(
        &mut self,
        stages: Range<usize>,
        batch: &Batch<'_, T>,
        extent: Extent,
        slot: usize,
    ) {
        let (_, tokens) = apart(&batch.samples);
        let (device, views, packing) = (&mut *self.device, &self.views, &self.packing);
        let slot = views.plan.places.slots[slot];
        let clock = &mut self.clock;
        for index in stages.rev() {
            let stage = &views.plan.stages[index];
            if !stage.backward {
                continue;
            }
            let samples = extent.of(stage.input_steps);
            match &stage.kind {
                StageKind::Window(window) => {
                    conv2d::backward(device, views, stage, window, samples, slot)
                }
                StageKind::Dense(dense) => {
                    linear::backward(device, views, stage, dense, samples, slot)
                }
                StageKind::Pool(pool) => max_pool2d::backward(device, views, stage, pool, samples),
                StageKind::Average(pool) => {
                    avg_pool2d::backward(device, views, stage, pool, samples)
                }
                StageKind::BatchNorm(norm) => {
                    batch_norm::backward(device, views, stage, norm, samples, slot)
                }
                StageKind::GroupNorm(norm) => {
                    group_norm::backward(device, views, stage, norm, samples, slot)
                }
                StageKind::Relu => relu::backward(device, views, stage, samples),
                StageKind::Activation(activation) => {
                    activation::backward(device, views, stage, activation, samples)
                }
                StageKind::Softmax(softmax) => {
                    softmax::backward(device, views, stage, softmax, samples)
                }
                StageKind::Embedding(table) => {
                    embedding::backward(device, views, stage, table, tokens, slot)
                }
                StageKind::Recurrent(layer) => {
                    recurrent::backward(device, views, stage, layer, packing, tokens, slot)
                }
                StageKind::OverTime(over) => {
                    over_time::backward(device, views, stage, over, packing)
                }
                StageKind::Dropout(rate) => {
                    let rows = dropout::Rows { samples, packing };
                    dropout::backward(device, views, stage, rate, rows, batch.moment)
                }
                StageKind::Fork => residual::fork_backward(device, views, stage, samples),
                StageKind::Add => residual::add_backward(device, views, stage, samples),
            }
            clock.note(|times| &mut times.backward[index]);
        }
    }
}

/// Values and tokens of what is given, one of which it has.
fn apart<'a, T>(given: &Samples<'a, T>) -> (&'a [T], &'a [u32]) {
    match *given {
        Samples::Values(values) | Samples::Sequences { values, .. } => (values, &[]),
        Samples::Tokens { ids, .. } => (&[], ids),
    }
}
