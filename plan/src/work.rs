//! What a plan gives a device to do, in the units that time is proportional to: by stage, and beside the stages.
//!
//! Every kind of stage names its kernel here. A new kind whose time none of the kernels stands for needs a kernel of its own in
//! `spec::rates`, and a probe where rates are measured.

use spec::job::Optimizer;
use spec::rates::{Kernel, Work};

use crate::plan::Plan;
use crate::resolve::Layer;
use crate::signal::Per;
use crate::stage::{Stage, StageKind};

/// What a stage does for one microbatch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StageWork {
    /// Forward.
    pub forward: (Kernel, Work),
    /// Backward, where the plan trains and the stage has a backward pass.
    pub backward: Option<(Kernel, Work)>,
}

/// The kernels of a stage, forward and backward.
fn kernels(kind: &StageKind) -> [Kernel; 2] {
    match kind {
        StageKind::Window(_) => [Kernel::ConvForward, Kernel::ConvBackward],
        // Of a recurrent layer nearly all is products, a step after the other.
        StageKind::Dense(_) | StageKind::Recurrent(_) => {
            [Kernel::LinearForward, Kernel::LinearBackward]
        }
        StageKind::Pool(_) | StageKind::Average(_) => [Kernel::PoolForward, Kernel::PoolBackward],
        StageKind::BatchNorm(_) => [Kernel::BatchNormForward, Kernel::BatchNormBackward],
        StageKind::GroupNorm(_) => [Kernel::GroupNormForward, Kernel::GroupNormBackward],
        StageKind::Activation(_) | StageKind::Softmax(_) | StageKind::Dropout(_) => {
            [Kernel::ActivationForward, Kernel::ActivationBackward]
        }
        StageKind::Relu
        | StageKind::Fork
        | StageKind::Add
        | StageKind::Embedding(_)
        | StageKind::OverTime(_) => [Kernel::Pass; 2],
    }
}

impl Plan {
    /// What each stage does for a microbatch of `samples`.
    pub fn stage_work(&self, samples: usize) -> Vec<StageWork> {
        self.stages
            .iter()
            .map(|stage| self.work_of(stage, samples as f64))
            .collect()
    }

    fn work_of(&self, stage: &Stage, samples: f64) -> StageWork {
        let layers = &self.layers[stage.layers.clone()];
        let sum = |of: &dyn Fn(&Layer) -> u64| layers.iter().map(of).sum::<u64>() as f64;
        let weights = 4.0
            * layers
                .iter()
                .map(|layer| layer.parameter_count)
                .sum::<usize>() as f64;
        let [forward, backward] = kernels(&stage.kind);
        // Steps wait for each other, and each reads the weights again; of a table only a few rows are read.
        let calls = match &stage.kind {
            StageKind::Recurrent(_) => stage.input_steps.unwrap_or(1) as f64,
            _ => 1.0,
        };
        let weights = match &stage.kind {
            StageKind::Embedding(_) => 0.0,
            _ => weights * calls,
        };
        let work = |flops: f64, bytes: f64, weight_bytes: f64| Work {
            calls,
            flops: flops * samples,
            bytes: bytes * samples,
            weight_bytes,
        };
        let trains = stage.backward && !self.places.slots.is_empty();
        StageWork {
            forward: (
                forward,
                work(
                    sum(&|layer| layer.flops_forward),
                    sum(&|layer| layer.bytes_forward),
                    weights,
                ),
            ),
            backward: trains.then(|| {
                let (flops, bytes) = (
                    sum(&|layer| layer.flops_backward),
                    sum(&|layer| layer.bytes_backward),
                );
                // The gradient is written, and the parameters are read where a gradient of the input is asked for.
                let passes = if stage.input_gradient.is_some() {
                    2.0
                } else {
                    1.0
                };
                (backward, work(flops, bytes, passes * weights))
            }),
        }
    }

    /// What the loss and its gradient take for a microbatch of `samples`.
    pub fn loss_work(&self, samples: usize) -> Work {
        let steps = match self.per {
            Per::Sample => 1,
            Per::Step => self.input.steps.unwrap_or(1),
        };
        Work {
            calls: 1.0,
            bytes: (4 * 2 * samples * steps * self.classes) as f64,
            ..Work::default()
        }
    }

    /// What adding one record of sums to another takes.
    pub fn add_work(&self) -> Work {
        Work {
            calls: 1.0,
            bytes: 3.0 * self.record_bytes as f64,
            ..Work::default()
        }
    }

    /// What the update of all parameters takes, with the norm of the gradient before it.
    pub fn update_work(&self) -> (Kernel, Work) {
        let kernel = match self.optimizer {
            Optimizer::Sgd { .. } => Kernel::Sgd,
            Optimizer::Adam { .. } | Optimizer::AdamW { .. } => Kernel::Adam,
            Optimizer::RmsProp { .. } => Kernel::RmsProp,
            Optimizer::Adagrad { .. } => Kernel::Adagrad,
        };
        // The gradient is read twice, parameters, state and averages are read and written.
        let buffers = 2 + self.places.optimizer.len() + usize::from(self.ema.is_some());
        let work = Work {
            calls: 1.0,
            weight_bytes: 4.0 * (2 * buffers * self.trained_count) as f64,
            ..Work::default()
        };
        (kernel, work)
    }

    /// What the digest of all parameters takes.
    pub fn digest_work(&self) -> Work {
        Work {
            calls: 1.0,
            weight_bytes: 4.0 * self.parameter_count as f64,
            ..Work::default()
        }
    }
}
