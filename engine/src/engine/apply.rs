//! `S' = apply(S, R)`: the only thing that changes committed state.

use crate::backend::{Gradient, View};
use crate::engine::Engine;
use crate::float::Float;
use crate::optimizer::{Flat, update};
use crate::record::Tail;

/// What a step's record came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepResult {
    /// Mean loss over the samples; `None` if there were none or it is no number.
    pub loss: Option<f64>,
    /// Share of the samples classified right; `None` if there were none.
    pub accuracy: Option<f64>,
    /// Samples of the step.
    pub samples: u64,
    /// Euclidean norm of the mean gradient; `None` if it is no number.
    pub gradient_norm: Option<f64>,
}

impl<T: Float> Engine<T> {
    /// `S' = apply(S, R)`: divides R by its number of samples, updates parameters and optimiser state at learning rate
    /// `lr`, and counts the step. If there are no samples, the gradient is 0.
    ///
    /// # Panics
    /// If the plan is not for training.
    pub fn apply(&mut self, lr: f64) -> StepResult {
        let record = self.record();
        let (_, tail) = self.views.record();
        let Tail {
            loss,
            correct,
            samples,
            paired,
        } = Tail::read(&self.device.bytes(record)[tail..]);
        if samples == 0 {
            self.device.bytes_mut(record).fill(0);
        }
        self.apply_statistics(samples, paired);
        let divisor = samples.max(1) as f64;
        let plan = &self.views.plan;
        let view = |buffer| self.views.words(buffer, plan.parameter_count);
        let gradient = View {
            bytes: plan.parameter_count * self.views.size,
            ..record
        };
        let parameters = view(plan.places.parameters);
        let state: Vec<View> = plan
            .places
            .optimizer
            .iter()
            .map(|&(_, buffer)| view(buffer))
            .collect();
        self.step += 1;
        let (step, optimizer, device) = (self.step, plan.optimizer, &mut self.device);
        let norm = self.pool.enter(|| {
            let norm = device.square_norm(gradient, divisor).sqrt();
            let gradient = Gradient {
                sums: gradient,
                divisor,
                factor: 1.0,
                bound: f64::INFINITY,
            };
            let flat = Flat { parameters, state };
            update(&mut **device, &optimizer, (step, lr), gradient, flat);
            norm
        });
        let share = |sum: f64| Some(sum / divisor).filter(|mean| samples > 0 && mean.is_finite());
        StepResult {
            loss: share(loss),
            accuracy: share(correct as f64),
            samples,
            gradient_norm: Some(norm).filter(|norm| norm.is_finite()),
        }
    }
}
