//! `S' = apply(S, R)`: the only thing that changes committed state.

use spec::ema::Averaging;
use spec::job::Clip;

use crate::backend::{Gradient, View};
use crate::engine::Engine;
use crate::error::Error;
use crate::float::Float;
use crate::optimizer::Flat;
use crate::tally::{Sums, Tally};

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
    /// The loss; `None` where its normaliser is 0.
    pub loss: Option<f64>,
    /// Share of the rows classified right; `None` where no row has a class.
    pub accuracy: Option<f64>,
    /// Samples of the step.
    pub samples: u64,
    /// Tokens of the step.
    pub tokens: u64,
    /// Euclidean norm of the mean gradient of what is trained, before it is clipped.
    pub gradient_norm: f64,
}

impl<T: Float> Engine<T> {
    /// `S' = apply(S, R)`: divides R by its normaliser, clips, updates parameters and optimiser state, counts the step, and moves
    /// the averages of weights. If the normaliser is 0, the gradient is 0.
    ///
    /// # Errors
    /// A loss or a gradient that is not finite. Nothing of S has changed then.
    ///
    /// # Panics
    /// If the plan is not for training.
    pub fn apply(&mut self, update: impl Into<Update>) -> Result<StepResult, Error> {
        let Update { lr, clip } = update.into();
        let record = self.record();
        let tally = self.tally();
        let (normaliser, loss, accuracy) = (tally.normaliser(), tally.loss(), tally.accuracy());
        let Sums {
            samples,
            paired,
            tokens,
            ..
        } = tally.sums();
        let gradient = View {
            bytes: self.views.plan.trained_count * self.views.size,
            ..record
        };
        let divisor = if normaliser == 0.0 {
            self.device.bytes_mut(gradient).fill(0);
            1.0
        } else {
            normaliser
        };
        let device = &mut self.device;
        let norm = self
            .pool
            .enter(|| device.square_norm(gradient, divisor).sqrt());
        let finite = loss.is_none_or(f64::is_finite);
        if !(finite && norm.is_finite()) {
            return Err(Error::NotFinite {
                what: if finite { "gradient" } else { "loss" },
            });
        }
        self.apply_statistics(samples, paired);
        let (factor, bound) = match clip {
            None => (1.0, f64::INFINITY),
            Some(Clip::Norm(most)) => ((most / (norm + CLIP_EPS)).min(1.0), f64::INFINITY),
            Some(Clip::Value(most)) => (1.0, most),
        };
        self.step += 1;
        let gradient = Gradient {
            sums: gradient,
            divisor,
            factor,
            bound,
        };
        self.update_parameters(lr, gradient);
        self.move_averages();
        Ok(StepResult {
            loss,
            accuracy,
            samples,
            tokens,
            gradient_norm: norm,
        })
    }

    /// Updates what is trained, one stretch of parameters after the other.
    fn update_parameters(&mut self, lr: f64, gradient: Gradient) {
        let (plan, size, device) = (&self.views.plan, self.views.size, &mut self.device);
        let whole = |buffer| self.views.words(buffer, plan.trained_count);
        let parameters = whole(plan.places.parameters);
        let state: Vec<View> = plan
            .places
            .optimizer
            .iter()
            .map(|&(_, buffer)| whole(buffer))
            .collect();
        for stretch in &plan.groups {
            let part = |whole: View| View {
                offset: whole.offset + stretch.words.start * size,
                bytes: stretch.words.len() * size,
            };
            let optimizer = match stretch.weight_decay {
                Some(weight_decay) => plan.optimizer.with_weight_decay(weight_decay),
                None => plan.optimizer,
            };
            let gradient = Gradient {
                sums: part(gradient.sums),
                ..gradient
            };
            let flat = Flat {
                parameters: part(parameters),
                state: state.iter().map(|&view| part(view)).collect(),
            };
            let at = (self.step, lr * stretch.lr_scale);
            self.pool
                .enter(|| crate::optimizer::update(&mut **device, &optimizer, at, gradient, flat));
        }
    }

    /// Moves the averages of weights by the step that has just been counted.
    fn move_averages(&mut self) {
        let (plan, step) = (&self.views.plan, self.step);
        let (Some(ema), Some(averages)) = (plan.ema, plan.places.averages) else {
            return;
        };
        let way = match ema.at(step) {
            Averaging::Begin => 1.0,
            Averaging::Move { decay } => 1.0 - decay,
            Averaging::Rest => return,
        };
        let [parameters, averages] = [plan.places.parameters, averages]
            .map(|buffer| self.views.words(buffer, plan.trained_count));
        let device = &mut self.device;
        self.pool
            .enter(|| device.average(way, parameters, averages));
    }

    /// What the folded record R sums up.
    ///
    /// # Panics
    /// If the plan is not for training.
    pub fn tally(&self) -> Tally<'_> {
        let record = self.record();
        let (_, tail) = self.views.record();
        let tail = View {
            offset: record.offset + tail,
            bytes: self.views.plan.tail.bytes(),
        };
        Tally::new(
            &self.views.plan,
            bytemuck::cast_slice(self.device.bytes(tail)),
        )
    }
}
