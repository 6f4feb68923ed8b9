//! Where a number that is none first appeared.

use std::sync::Arc;

use plan::Stage;

use crate::backend::Backend;
use crate::batch::{Batch, Pass, Samples};
use crate::engine::Engine;
use crate::error::Error;
use crate::float::Float;
use crate::layers::views::Views;

/// Where a number first was not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// In the samples.
    Samples,
    /// In the parameters of this layer, counted from 0.
    Parameters(usize),
    /// In what this layer gives, counted from 0.
    Output(usize),
    /// In the gradient of this layer's parameters, counted from 0.
    Gradient(usize),
}

fn finite<T: Float>(words: &[T]) -> bool {
    words.iter().all(|word| word.wide().is_finite())
}

impl<T: Float> Engine<T> {
    /// Runs a microbatch forward and finds where a number first is not finite; `None`: nowhere.
    ///
    /// # Errors
    /// Samples that do not fit.
    pub fn forward_fault(&mut self, batch: &Batch<'_, T>) -> Result<Option<Fault>, Error> {
        let extent = self.check(&batch.samples)?;
        if let Samples::Values(x) | Samples::Sequences { values: x, .. } = batch.samples
            && !finite(x)
        {
            return Ok(Some(Fault::Samples));
        }
        if let Some(layer) = self.layer_of_fault(self.parameters(), false) {
            return Ok(Some(Fault::Parameters(layer)));
        }
        let mut fault = None;
        let pool = Arc::clone(&self.pool);
        let seen = |device: &dyn Backend, views: &Views, stage: &Stage| {
            let rows = extent.of(stage.output_steps);
            let output = views.words(stage.output, stage.outputs * rows);
            if !finite::<T>(bytemuck::cast_slice(device.bytes(output))) {
                fault = Some(Fault::Output(stage.layers.start));
            }
            fault.is_some()
        };
        pool.enter(|| self.forward_until(&batch.samples, extent, Pass::Train(batch.moment), seen));
        Ok(fault)
    }

    /// The layer in whose gradient, of those in the folded record, a number first was not finite: the last in the order of
    /// the layers, since gradients come from the end.
    ///
    /// # Panics
    /// If the plan is not for training.
    pub fn gradient_fault(&self) -> Option<Fault> {
        let words = self.plan().trained_count * size_of::<T>();
        let gradient: &[T] = bytemuck::cast_slice(&self.record_bytes()[..words]);
        self.layer_of_fault(gradient, true).map(Fault::Gradient)
    }

    /// The first layer, or the last, with a number in its part of a flat buffer that is not finite.
    fn layer_of_fault(&self, flat: &[T], last: bool) -> Option<usize> {
        let parameters = &self.plan().parameters;
        // A gradient ends where the frozen parameters begin.
        let there =
            (0..parameters.len()).filter(|&number| parameters[number].words().end <= flat.len());
        let mut faulty = there.filter(|&number| !finite(&flat[parameters[number].words()]));
        let number = if last { faulty.last() } else { faulty.next() }?;
        let layers = &self.plan().layers;
        layers
            .iter()
            .position(|layer| layer.parameters.contains(&number))
    }
}
