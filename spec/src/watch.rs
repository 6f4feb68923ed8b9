//! What is decided from the values that validation phases come to: where the learning rate goes, and when to stop. It is
//! part of S, and every rank decides it alike, since all have the same folded values.

use serde::{Deserialize, Serialize};

use crate::job::Training;
use crate::monitor::{EarlyStopping, Monitor};
use crate::schedule::ScheduleKind;

/// What plateaus have done to a learning rate so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    /// The best monitored value; none before the first phase.
    pub best: Option<f64>,
    /// Phases in a row that did not better it.
    pub waited: u64,
    /// The rate they have left; none: the base rate.
    pub lr: Option<f64>,
}

/// Changes of a rate up to this size are not made, as in PyTorch.
const LEAST_CHANGE: f64 = 1e-8;

impl Plateau {
    /// After a phase with this value, where the base rate is `base`; a value that is no number betters nothing.
    fn after(self, kind: ScheduleKind, monitor: Monitor, base: f64, value: Option<f64>) -> Self {
        let ScheduleKind::ReduceOnPlateau {
            factor,
            patience,
            threshold,
            min_lr,
        } = kind
        else {
            return self;
        };
        let better = value.filter(|value| match self.best {
            None => !value.is_nan(),
            Some(best) if monitor.falls() => *value < best * (1.0 - threshold),
            Some(best) => *value > best * (1.0 + threshold),
        });
        if better.is_some() {
            return Plateau {
                best: better,
                waited: 0,
                ..self
            };
        }
        if self.waited < patience {
            return Plateau {
                waited: self.waited + 1,
                ..self
            };
        }
        let old = self.lr.unwrap_or(base);
        let new = (old * factor).max(min_lr);
        Plateau {
            waited: 0,
            lr: Some(new).filter(|new| old - new > LEAST_CHANGE).or(self.lr),
            ..self
        }
    }
}

/// How long the monitored value has not become better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Stall {
    /// The best monitored value; none before the first phase.
    pub best: Option<f64>,
    /// Phases in a row that did not better it.
    pub waited: u64,
}

impl Stall {
    /// After a phase with this value; a value that is no number betters nothing.
    fn after(self, stopping: &EarlyStopping, monitor: Monitor, value: Option<f64>) -> Self {
        let better = value.filter(|value| match self.best {
            None => !value.is_nan(),
            Some(best) if monitor.falls() => *value < best - stopping.min_delta,
            Some(best) => *value > best + stopping.min_delta,
        });
        match better {
            Some(_) => Stall {
                best: better,
                waited: 0,
            },
            None => Stall {
                waited: self.waited + 1,
                ..self
            },
        }
    }
}

/// All that the validation phases so far have decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// For `reduce_on_plateau`.
    pub plateau: Plateau,
    /// For early stopping.
    pub stall: Stall,
    /// The best monitored value that is a finite number; none before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<f64>,
}

impl Watch {
    /// After a validation phase whose monitored value is `value`.
    pub fn after(self, training: &Training, value: Option<f64>) -> Watch {
        let monitor = training.monitor;
        let (kind, base) = (training.lr_schedule.kind, training.optimizer.lr());
        let stall = match &training.early_stopping {
            Some(stopping) => self.stall.after(stopping, monitor, value),
            None => self.stall,
        };
        let finite = value.filter(|value| value.is_finite());
        let is_new = |value: &f64| self.best.is_none_or(|best| monitor.is_better(*value, best));
        Watch {
            plateau: self.plateau.after(kind, monitor, base, value),
            stall,
            best: finite.filter(is_new).or(self.best),
        }
    }

    /// Whether training is to end before its last step.
    pub fn stops(&self, training: &Training) -> bool {
        let stopping = training.early_stopping;
        stopping.is_some_and(|stopping| self.stall.waited >= stopping.patience)
    }

    /// All of it as words, to be digested: six, and a seventh once there is a best value.
    pub fn words(&self) -> Vec<u64> {
        let values = [self.plateau.best, self.plateau.lr, self.stall.best];
        let present = (0..).zip(values).fold(0, |present, (bit, value)| {
            present | u64::from(value.is_some()) << bit
        });
        let [best, lr, stall] = values.map(|value| value.unwrap_or(0.0).to_bits());
        let waited = [self.plateau.waited, self.stall.waited];
        [present, best, lr, stall, waited[0], waited[1]]
            .into_iter()
            .chain(self.best.map(f64::to_bits))
            .collect()
    }
}

#[cfg(test)]
mod tests;
