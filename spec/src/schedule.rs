//! Learning rates: a schedule is a pure function of the step, so that nothing about it is stored.
//!
//! Steps count from 1. With base rate `lr`, `W` warm-up steps, `T` steps in all and `E` steps an epoch, step `s` has the
//! rate `lr · min(1, s / (W + 1)) · factor`: a line from 0 before the first step to the base rate at step `W + 1`. The
//! factor of each kind stands at its arm, with `t = s - 1` and `u = max(0, t - W)`, and is that of PyTorch's scheduler of
//! the same name, stepped after every update (`step` by epochs and `exponential`: after every epoch).

use serde::{Deserialize, Serialize};

/// How the learning rate changes over a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LrSchedule {
    /// The steps over which the rate rises from 0; 0 for none.
    pub warmup_steps: u64,
    /// How it goes on.
    pub kind: ScheduleKind,
}

/// How a learning rate goes on after its warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// `1`
    Constant,
    /// `1 + (end - 1) u / (T - W)`, as `LinearLR`.
    Linear {
        /// The factor that it would have after the last step, in [0, 1].
        end: f64,
    },
    /// `gamma^(t / N)`, the quotient rounded down, as `StepLR`; `t / E` for `t` where `N` counts epochs.
    Step {
        /// How long a rate is kept.
        every: Every,
        /// What the rate is multiplied by, in (0, 1].
        gamma: f64,
    },
    /// `gamma^(t / E)`, the quotient rounded down, as `ExponentialLR`.
    Exponential {
        /// What the rate is multiplied by after every epoch, in (0, 1].
        gamma: f64,
    },
    /// The rate `min_lr + (lr - min_lr) (1 + cos(π u / (T - W))) / 2`, as `CosineAnnealingLR` (Loshchilov and Hutter 2017).
    Cosine {
        /// The rate that it would have after the last step, at most the base rate.
        min_lr: f64,
    },
    /// Half a cosine from `max_lr / div_factor` up to `max_lr` over the first `warmup_fraction` of the steps, half a cosine
    /// down to `max_lr / div_factor / final_div_factor` over the rest, as `OneCycleLR` (Smith and Topin 2018) without its
    /// cycle of the momentum. The base rate plays no part.
    OneCycle {
        /// The highest rate.
        max_lr: f64,
        /// The share of the steps in which the rate rises, in (0, 1).
        warmup_fraction: f64,
        /// What the highest rate is divided by for the first step.
        div_factor: f64,
        /// What the rate of the first step is divided by for the last.
        final_div_factor: f64,
    },
    /// The rate is multiplied by `factor` when more than `patience` validation phases in a row did not better the best
    /// monitored value by the relative `threshold`, as `ReduceLROnPlateau`.
    ReduceOnPlateau {
        /// What the rate is multiplied by, in (0, 1).
        factor: f64,
        /// Phases without betterment that are forgiven.
        patience: u64,
        /// The least betterment that counts, relative to the best.
        threshold: f64,
        /// The rate is not lowered below this.
        min_lr: f64,
    },
}

/// A stretch of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// So many steps.
    Steps(u64),
    /// So many epochs.
    Epochs(u32),
}

/// The length of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// All steps, at least 1.
    pub steps: u64,
    /// Steps of an epoch, at least 1.
    pub steps_per_epoch: u64,
}

impl LrSchedule {
    /// The base rate throughout.
    pub const CONSTANT: LrSchedule = LrSchedule {
        warmup_steps: 0,
        kind: ScheduleKind::Constant,
    };

    /// The learning rate of a step, from 1, given the base rate; for `reduce_on_plateau` what the plateaus so far have left
    /// of it.
    pub fn lr(&self, base: f64, step: u64, run: Run) -> f64 {
        let before = step.saturating_sub(1);
        let warmup = self.warmup_steps;
        let risen = if step > warmup {
            1.0
        } else {
            step as f64 / (warmup + 1) as f64
        };
        let (after, rest) = (
            before.saturating_sub(warmup) as f64,
            run.steps.saturating_sub(warmup).max(1) as f64,
        );
        let epoch = before / run.steps_per_epoch.max(1);
        let rate = match self.kind {
            ScheduleKind::Constant | ScheduleKind::ReduceOnPlateau { .. } => base,
            ScheduleKind::Linear { end } => base * (1.0 + (end - 1.0) * (after / rest)),
            ScheduleKind::Step { every, gamma } => {
                let times = match every {
                    Every::Steps(steps) => before / steps.max(1),
                    Every::Epochs(epochs) => epoch / u64::from(epochs.max(1)),
                };
                base * libm::pow(gamma, times as f64)
            }
            ScheduleKind::Exponential { gamma } => base * libm::pow(gamma, epoch as f64),
            ScheduleKind::Cosine { min_lr } => anneal(base, min_lr, after / rest),
            ScheduleKind::OneCycle {
                max_lr,
                warmup_fraction,
                div_factor,
                final_div_factor,
            } => {
                let (first, t) = (max_lr / div_factor, before as f64);
                let top = warmup_fraction * run.steps as f64 - 1.0;
                if t <= top && top > 0.0 {
                    anneal(first, max_lr, t / top)
                } else {
                    let top = top.max(0.0);
                    let down = ((run.steps as f64 - 1.0) - top).max(1.0);
                    anneal(max_lr, first / final_div_factor, (t - top) / down)
                }
            }
        };
        rate * risen
    }

    /// The key and value of what takes longer than the run, and the run's length in the same unit; `None` if all fits.
    pub fn exceeds(&self, run: Run) -> Option<TooLong> {
        let word = self.kind.word();
        if self.warmup_steps >= run.steps {
            return Some(TooLong {
                key: format!("training.lr_schedule.{word}.warmup_steps"),
                value: self.warmup_steps,
                unit: "steps",
                length: run.steps,
            });
        }
        let ScheduleKind::Step { every, .. } = self.kind else {
            return None;
        };
        let (key, value, unit, length) = match every {
            Every::Steps(steps) => ("every_steps", steps, "steps", run.steps),
            Every::Epochs(epochs) => (
                "every_epochs",
                u64::from(epochs),
                "epochs",
                run.steps.div_ceil(run.steps_per_epoch.max(1)),
            ),
        };
        (value >= length).then(|| TooLong {
            key: format!("training.lr_schedule.{word}.{key}"),
            value,
            unit,
            length,
        })
    }
}

/// A part of a schedule that takes at least as long as the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooLong {
    /// The dotted key.
    pub key: String,
    /// Its value.
    pub value: u64,
    /// `steps` or `epochs`.
    pub unit: &'static str,
    /// The run's length in that unit.
    pub length: u64,
}

impl ScheduleKind {
    /// The word that stands for it in a job file.
    pub fn word(&self) -> &'static str {
        match self {
            ScheduleKind::Constant => "constant",
            ScheduleKind::Linear { .. } => "linear",
            ScheduleKind::Step { .. } => "step",
            ScheduleKind::Exponential { .. } => "exponential",
            ScheduleKind::Cosine { .. } => "cosine",
            ScheduleKind::OneCycle { .. } => "one_cycle",
            ScheduleKind::ReduceOnPlateau { .. } => "reduce_on_plateau",
        }
    }
}

/// Half a cosine from `start` to `end`, `way` of 1 along.
fn anneal(start: f64, end: f64, way: f64) -> f64 {
    end + (start - end) * ((1.0 + libm::cos(std::f64::consts::PI * way)) / 2.0)
}

#[cfg(test)]
mod tests;
