//! `S' = apply(S, R)`: the only thing that changes committed state.

use spec::job::Clip;

use crate::backend::{Gradient, View};
use crate::engine::Engine;
use crate::error::Error;
use crate::float::Float;
use crate::optimizer::Flat;
use crate::record::Tail;

/// Keeps a clip factor a number where a norm is 0, as in PyTorch.
const CLIP_EPS: f64 = 1e-6;

/// What one step's update is told beside the plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// Its learning rate.
    pub lr: f64,
    /// How far the gradient may reach.
    pub clip: Option<Clip>,
}

impl From<f64> for Update {
    /// At this learning rate, with the gradient as it is.
    fn from(lr: f64) -> Update {
        Update { lr, clip: None }
    }
}

/// What a step's record came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepResult {
    /// Mean loss over the samples; `None` if there were none.
    pub loss: Option<f64>,
    /// Share of the samples classified right; `None` if there were none.
    pub accuracy: Option<f64>,
    /// Samples of the step.
    pub samples: u64,
    /// Euclidean norm of the mean gradient, before it is clipped.
    pub gradient_norm: f64,
}

impl<T: Float> Engine<T> {
    /// `S' = apply(S, R)`: divides R by its number of samples, clips, updates parameters and optimiser state, and counts the
    /// step. If there are no samples, the gradient is 0.
    ///
    /// # Errors
    /// A loss or a gradient that is not finite. Nothing of S has changed then.
    ///
    /// # Panics
    /// If the plan is not for training.
    pub fn apply(&mut self, update: impl Into<Update>) -> Result<StepResult, Error> {
        let Update { lr, clip } = update.into();
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
        let divisor = samples.max(1) as f64;
        let gradient = View {
            bytes: self.views.plan.parameter_count * self.views.size,
            ..record
        };
        let device = &mut self.device;
        let norm = self
            .pool
            .enter(|| device.square_norm(gradient, divisor).sqrt());
        if !(loss.is_finite() && norm.is_finite()) {
            return Err(Error::NotFinite {
                what: if loss.is_finite() { "gradient" } else { "loss" },
            });
        }
        self.apply_statistics(samples, paired);
        let plan = &self.views.plan;
        let view = |buffer| self.views.words(buffer, plan.parameter_count);
        let parameters = view(plan.places.parameters);
        let state: Vec<View> = plan
            .places
            .optimizer
            .iter()
            .map(|&(_, buffer)| view(buffer))
            .collect();
        self.step += 1;
        let (factor, bound) = match clip {
            None => (1.0, f64::INFINITY),
            Some(Clip::Norm(most)) => ((most / (norm + CLIP_EPS)).min(1.0), f64::INFINITY),
            Some(Clip::Value(most)) => (1.0, most),
        };
        let (step, optimizer, device) = (self.step, plan.optimizer, &mut self.device);
        self.pool.enter(|| {
            let gradient = Gradient {
                sums: gradient,
                divisor,
                factor,
                bound,
            };
            let flat = Flat { parameters, state };
            crate::optimizer::update(&mut **device, &optimizer, (step, lr), gradient, flat);
        });
        let share = |sum: f64| (samples > 0).then_some(sum / divisor);
        Ok(StepResult {
            loss: share(loss),
            accuracy: share(correct as f64),
            samples,
            gradient_norm: norm,
        })
    }
}
