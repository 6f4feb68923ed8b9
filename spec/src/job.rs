//! A job: everything that decides what is trained, on what, how and with which resources. All defaults are filled in.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::ema::Ema;
use crate::group::Group;
use crate::init::InitRule;
use crate::loss::Loss;
use crate::metric::Metric;
use crate::model::Model;
use crate::monitor::{EarlyStopping, Monitor};
use crate::schedule::{LrSchedule, Run};

/// A job with all defaults filled in; canonical once its datasets carry digests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The name people give it; several jobs may share one.
    pub name: String,
    /// What it is trained and validated on.
    pub data: Data,
    /// The network.
    pub model: Model,
    /// How it is trained.
    pub training: Training,
    /// What it runs on.
    pub resources: Resources,
    /// When checkpoints are written and how many are kept.
    pub checkpoint: Checkpointing,
}

/// What a job is trained and validated on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Data {
    /// The rows trained on.
    pub train: SplitRef,
    /// The rows validated on, if any.
    pub validation: Option<Validation>,
    /// What is done to each value before it enters the network; nothing to tokens.
    pub normalize: Normalize,
    /// The most tokens of a sample: the windows of a stream have so many, and rows of tokens are cut there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence_length: Option<u32>,
}

/// A split of a dataset: `name/split`, or `name@digest/split`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitRef {
    /// The dataset's name.
    pub dataset: String,
    /// The dataset's digest, present once resolved.
    pub digest: Option<Digest>,
    /// The split's name.
    pub split: String,
}

impl fmt::Display for SplitRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.digest {
            Some(digest) => write!(f, "{}@{digest}/{}", self.dataset, self.split),
            None => write!(f, "{}/{}", self.dataset, self.split),
        }
    }
}

/// Where the validation rows come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validation {
    /// A split of its own.
    Split(SplitRef),
    /// This fraction of the training split, stratified by class, in (0, 1).
    Fraction(f64),
}

/// What is done to each value before it enters the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalize {
    /// Nothing.
    None,
    /// Division by the dataset's declared maximum.
    Unit,
    /// Subtraction of the channel's mean and division by its standard deviation, both over the rows trained on.
    Standard,
}

/// How a job is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// When training ends.
    pub length: Length,
    /// Samples of one step over the whole gang, at least 1.
    pub batch_size: u32,
    /// Numbered parts of the global batch, each of `ceil(batch_size / microbatches)` samples, none always absent.
    pub microbatches: u32,
    /// The seed of all randomness.
    pub seed: u64,
    /// Parameters that do not begin with the values that their layer gives them; the first rule that takes one decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub init: Vec<InitRule>,
    /// Whether an epoch's last, short batch is left out.
    pub drop_last: bool,
    /// What is minimised.
    pub loss: Loss,
    /// What is measured beside it, each once.
    pub metrics: Vec<Metric>,
    /// How the parameters follow the gradient.
    pub optimizer: Optimizer,
    /// Parameters that are trained unlike the others; the first that takes a parameter is its group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// The averages of weights that are kept, if any are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<Ema>,
    /// How the learning rate changes.
    pub lr_schedule: LrSchedule,
    /// How far a gradient may reach, if not everywhere.
    pub clip: Option<Clip>,
    /// What validation phases are judged by.
    pub monitor: Monitor,
    /// When training ends before its last step, if it may.
    pub early_stopping: Option<EarlyStopping>,
    /// When the validation rows are evaluated.
    pub validate: Validate,
}

/// How far the mean gradient of a step may reach: taken after the fold and the division, before the update.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clip {
    /// Times `min(1, this / (norm + 1e-6))` with the Euclidean norm over all parameters that are trained, as PyTorch's `clip_grad_norm_`.
    /// The gradient norm that is reported is the one before.
    Norm(f64),
    /// Each value is cut to at most this far from 0, as PyTorch's `clip_grad_value_`.
    Value(f64),
}

/// When training ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// After this many passes over the training rows.
    Epochs(u32),
    /// After this many steps.
    Steps(u64),
}

/// How the parameters follow the gradient.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Stochastic gradient descent with momentum, as PyTorch's `SGD` (dampening 0).
    Sgd {
        /// Learning rate.
        lr: f64,
        /// Momentum, in [0, 1).
        momentum: f64,
        /// Whether the step looks ahead along the momentum (Nesterov 1983); needs momentum.
        nesterov: bool,
        /// Added to the gradient times the parameter.
        weight_decay: f64,
    },
    /// Adam, as PyTorch's `Adam` (Kingma and Ba 2015).
    Adam {
        /// Learning rate.
        lr: f64,
        /// Decay of the first and the second moment, each in [0, 1).
        betas: [f64; 2],
        /// Added to the root of the second moment.
        eps: f64,
        /// Added to the gradient times the parameter.
        weight_decay: f64,
    },
    /// Adam with decoupled weight decay, as PyTorch's `AdamW` (Loshchilov and Hutter 2019).
    #[serde(rename = "adamw")]
    AdamW {
        /// Learning rate.
        lr: f64,
        /// Decay of the first and the second moment, each in [0, 1).
        betas: [f64; 2],
        /// Added to the root of the second moment.
        eps: f64,
        /// The share of itself, times the learning rate, that a parameter loses each step.
        weight_decay: f64,
    },
    /// RMSprop, as PyTorch's `RMSprop`, not centred (Tieleman and Hinton 2012).
    #[serde(rename = "rmsprop")]
    RmsProp {
        /// Learning rate.
        lr: f64,
        /// Decay of the mean square, in [0, 1).
        alpha: f64,
        /// Added to the root of the mean square.
        eps: f64,
        /// Momentum of the scaled gradient, in [0, 1).
        momentum: f64,
        /// Added to the gradient times the parameter.
        weight_decay: f64,
    },
    /// Adagrad, as PyTorch's `Adagrad` from sums of 0 (Duchi, Hazan and Singer 2011).
    Adagrad {
        /// Learning rate.
        lr: f64,
        /// The rate of step s is `lr / (1 + (s - 1) lr_decay)`.
        lr_decay: f64,
        /// Added to the root of the sum of squares.
        eps: f64,
        /// Added to the gradient times the parameter.
        weight_decay: f64,
    },
}

impl Optimizer {
    /// The learning rate that schedules start from.
    pub fn lr(&self) -> f64 {
        match *self {
            Optimizer::Sgd { lr, .. }
            | Optimizer::Adam { lr, .. }
            | Optimizer::AdamW { lr, .. }
            | Optimizer::RmsProp { lr, .. }
            | Optimizer::Adagrad { lr, .. } => lr,
        }
    }

    /// The same with another weight decay.
    pub fn with_weight_decay(mut self, decay: f64) -> Optimizer {
        match &mut self {
            Optimizer::Sgd { weight_decay, .. }
            | Optimizer::Adam { weight_decay, .. }
            | Optimizer::AdamW { weight_decay, .. }
            | Optimizer::RmsProp { weight_decay, .. }
            | Optimizer::Adagrad { weight_decay, .. } => *weight_decay = decay,
        }
        self
    }
}

/// When the validation rows are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validate {
    /// After every so many epochs, and after the last step.
    pub every_epochs: u32,
}

/// What a job runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// The kind of device.
    pub device: Device,
    /// Ranks of the gang, at most `microbatches`.
    pub ranks: u32,
    /// Thread slots per CPU rank.
    pub threads: u32,
}

/// The kind of device that ranks run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// Thread slots of a machine.
    Cpu,
}

/// When checkpoints are written and how many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpointing {
    /// A checkpoint after every so many steps; there is one at the end in any case.
    pub every_steps: Option<u64>,
    /// How many of the newest are kept, at least 1.
    pub keep_last: u32,
    /// How many of the best are kept beside them; if not 0, there is one after each validation that betters all before it.
    #[serde(default, skip_serializing_if = "is_none_kept")]
    pub keep_best: u32,
}

/// Jobs from before there was `keep_best` have no such key, and their checkpoints' digests are without it.
fn is_none_kept(keep_best: &u32) -> bool {
    *keep_best == 0
}

impl Job {
    /// Samples of a full microbatch: `ceil(batch_size / microbatches)`.
    pub fn microbatch_size(&self) -> usize {
        self.training
            .batch_size
            .div_ceil(self.training.microbatches) as usize
    }

    /// Steps of one pass over `rows` training rows; 0 if `drop_last` leaves none.
    pub fn steps_per_epoch(&self, rows: u64) -> u64 {
        let batch = u64::from(self.training.batch_size);
        if self.training.drop_last {
            rows / batch
        } else {
            rows.div_ceil(batch)
        }
    }

    /// The length of the whole job on `rows` training rows.
    pub fn run(&self, rows: u64) -> Run {
        Run {
            steps: self.steps(rows).max(1),
            steps_per_epoch: self.steps_per_epoch(rows).max(1),
        }
    }

    /// Steps of the whole job on `rows` training rows.
    pub fn steps(&self, rows: u64) -> u64 {
        match self.training.length {
            Length::Epochs(epochs) => u64::from(epochs) * self.steps_per_epoch(rows),
            Length::Steps(steps) => steps,
        }
    }
}
