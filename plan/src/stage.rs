//! Stages: neighbouring layers that run as one pass over memory, in running order. A convolution takes the batch norm, the relu
//! and the pooling behind it along, so that what lies between them stays in the cache; a linear layer takes its relu along. What
//! begins or ends a branch of a residual is a layer of its own between its neighbours, so that nothing is taken along across it.

use std::ops::Range;

use serde::Serialize;
use spec::model::Activation;

use crate::dense::DenseWork;
use crate::op::{
    BatchNorm, Conv2d, Dropout, Embedding, Geometry, GroupNorm, Linear, Op, OverTime, Recurrent,
    Softmax, TimeKind,
};
use crate::parameter::Parameter;
use crate::recurrent::{RecurrentStage, RecurrentWork};
use crate::resolve::Layer;
use crate::window::WindowWork;

/// Layers that run as one pass, and the buffers it touches, as positions among the plan's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stage {
    /// The layers that it runs.
    pub layers: Range<usize>,
    /// What it computes.
    pub kind: StageKind,
    /// Its weight, and after it its bias if there is one, among the plan's parameters; behind them weight and bias of the
    /// norm that a convolution takes along.
    pub parameters: Range<usize>,
    /// The most steps of what comes in, where it is a sequence.
    pub input_steps: Option<usize>,
    /// The most steps of what goes out, where it is a sequence.
    pub output_steps: Option<usize>,
    /// Values of one sample, or of one step of it, that come in.
    pub inputs: usize,
    /// Values of one sample, or of one step of it, that go out.
    pub outputs: usize,
    /// Whether the loss must flow back through it: some parameter that is trained lies in it or before it.
    pub backward: bool,
    /// The stage whose output it reads; none: the batch. Only a fork's output is read by more than one.
    pub source: Option<usize>,
    /// The stage whose output an add adds to that of `source`: the end of the residual's projection, or its fork.
    pub shortcut: Option<usize>,
    /// Where it reads: `(N, inputs)`.
    pub input: usize,
    /// Where it writes: `(N, outputs)`; its input itself where it works in place.
    pub output: usize,
    /// Where an add reads what it adds: like `input`.
    pub shortcut_input: Option<usize>,
    /// The gradient of its input, where an earlier stage needs it.
    pub input_gradient: Option<usize>,
    /// The gradient that goes into the shortcut, at an add, or that has come through it, at a fork.
    pub shortcut_gradient: Option<usize>,
    /// The gradient of its output, where it has a backward pass.
    pub output_gradient: Option<usize>,
    /// Where in its window each pooled value stood.
    pub indices: Option<usize>,
    /// What a convolution gives before the norm that it takes along: `(N, outputs of the convolution)`.
    pub convolved: Option<usize>,
    /// What the forward pass found and the backward pass reads: mean and inverse deviation of each group of each sample, or mean
    /// and variance of each channel.
    pub statistics: Option<usize>,
    /// Its words of the running statistics, means before variances.
    pub running: Range<usize>,
    /// Workspace of the forward pass.
    pub forward_work: Option<usize>,
    /// Workspace of the backward pass.
    pub backward_work: Option<usize>,
}

/// What a stage computes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StageKind {
    /// A convolution with what follows it.
    Window(Box<Window>),
    /// A fully connected layer with what follows it.
    Dense(Dense),
    /// A pooling of its own.
    Pool(Geometry),
    /// An average pooling.
    Average(Geometry),
    /// A normalisation of channels over samples.
    BatchNorm(BatchNorm),
    /// A normalisation inside each sample.
    GroupNorm(GroupNorm),
    /// A relu of its own, in place unless another branch reads its input.
    Relu,
    /// Another function of one value, in place where its derivative shows in what it gives.
    Activation(Activation),
    /// A softmax, in place.
    Softmax(Softmax),
    /// A dropout, in place.
    Dropout(Dropout),
    /// A value that two branches read: nothing forward; backward, what came through the shortcut is added to what came
    /// through the layers.
    Fork,
    /// A vector for each token.
    Embedding(Embedding),
    /// A recurrent layer, and the embedding before it where that is computed once a token.
    Recurrent(Box<RecurrentStage>),
    /// One value for all steps of a sequence.
    OverTime(OverTime),
    /// The sum of two branches; backward, its gradient is that of both.
    Add,
}

impl Stage {
    /// The most rows of what comes in, for so many samples, if they can be counted.
    pub fn input_rows(&self, samples: usize) -> Option<usize> {
        samples.checked_mul(self.input_steps.unwrap_or(1))
    }

    /// The most rows of what goes out, for so many samples, if they can be counted.
    pub fn output_rows(&self, samples: usize) -> Option<usize> {
        samples.checked_mul(self.output_steps.unwrap_or(1))
    }
}

impl StageKind {
    /// Whether the backward pass reads what came in.
    pub fn reads_input(&self) -> bool {
        match self {
            StageKind::Window(_)
            | StageKind::Dense(_)
            | StageKind::BatchNorm(_)
            | StageKind::GroupNorm(_)
            | StageKind::Recurrent(_) => true,
            // Only a maximum must be found again.
            StageKind::OverTime(over) => over.kind == TimeKind::Max,
            // Neither rises throughout, so that what goes out does not say what came in.
            StageKind::Activation(activation) => {
                matches!(activation, Activation::Gelu(_) | Activation::Silu)
            }
            StageKind::Pool(_)
            | StageKind::Average(_)
            | StageKind::Relu
            | StageKind::Softmax(_)
            | StageKind::Embedding(_)
            | StageKind::Dropout(_)
            | StageKind::Fork
            | StageKind::Add => false,
        }
    }

    /// Whether the backward pass reads what went out: the mask of a relu is its sign.
    pub fn reads_output(&self) -> bool {
        match self {
            // Behind a norm the mask is found anew from what was normalised.
            StageKind::Window(window) => window.relu && window.norm.is_none(),
            StageKind::Dense(dense) => dense.relu,
            StageKind::Pool(_)
            | StageKind::Average(_)
            | StageKind::BatchNorm(_)
            | StageKind::GroupNorm(_)
            | StageKind::Embedding(_)
            | StageKind::OverTime(_)
            | StageKind::Dropout(_)
            | StageKind::Fork
            | StageKind::Add => false,
            StageKind::Relu | StageKind::Softmax(_) | StageKind::Recurrent(_) => true,
            StageKind::Activation(_) => !self.reads_input(),
        }
    }

    /// The batch norm that it is or takes along.
    pub fn norm(&self) -> Option<&BatchNorm> {
        match self {
            StageKind::BatchNorm(norm) => Some(norm),
            StageKind::Window(window) => window.norm.as_ref(),
            _ => None,
        }
    }

    /// Whether the backward pass writes over the gradient of what went out, so that no other may read it later.
    pub fn spoils_gradient(&self) -> bool {
        match self {
            StageKind::Window(window) => window.relu,
            StageKind::Dense(dense) => dense.relu,
            kind => kind.keeps_shape(),
        }
    }

    /// Whether it gives as many values as it takes, each pass able to write where it reads.
    pub fn keeps_shape(&self) -> bool {
        matches!(
            self,
            StageKind::Relu
                | StageKind::Activation(_)
                | StageKind::Softmax(_)
                | StageKind::Dropout(_)
                | StageKind::BatchNorm(_)
                | StageKind::GroupNorm(_)
        )
    }
}

/// A fully connected layer with the relu that follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Dense {
    /// The layer.
    pub linear: Linear,
    /// Whether a relu follows it.
    pub relu: bool,
    /// How its backward pass is cut into work.
    pub work: DenseWork,
}

/// A convolution with the batch norm, the relu and the pooling that follow it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Window {
    /// The convolution.
    pub conv: Conv2d,
    /// The batch norm that follows it, if one does.
    pub norm: Option<BatchNorm>,
    /// Whether a relu follows it.
    pub relu: bool,
    /// The pooling that follows, if one does.
    pub pool: Option<Geometry>,
    /// How it is cut into work.
    pub work: WindowWork,
}

/// A value on its way: what gives it, and whether it depends on parameters.
#[derive(Clone, Copy, Default)]
struct Value {
    stage: Option<usize>,
    trains: bool,
}

/// A residual whose end has not come yet: its input, and what its layers give once its projection has begun.
struct Fork {
    value: Value,
    body: Option<Value>,
}

/// The stages of `layers` for microbatches of `samples`, without their buffers; or the position of the layer whose
/// work is too large to count.
pub(crate) fn stages(
    layers: &[Layer],
    parameters: &[Parameter],
    samples: usize,
    threads: usize,
) -> Result<Vec<Stage>, usize> {
    let mut stages: Vec<Stage> = Vec::new();
    let mut at = 0;
    let mut value = Value::default();
    let mut forks: Vec<Fork> = Vec::new();
    let mut statistics = 0;
    while at < layers.len() {
        let first = at;
        let take_relu = |at: &mut usize| {
            let found = matches!(layers.get(*at).map(|layer| &layer.kind), Some(Op::Relu));
            *at += usize::from(found);
            found
        };
        at += 1;
        let before = value;
        let (mut source, mut shortcut) = (before.stage, None);
        value = Value {
            stage: Some(stages.len()),
            trains: before.trains,
        };
        let kind = match &layers[first].kind {
            Op::Flatten => {
                value = before;
                continue;
            }
            Op::Fork => {
                forks.push(Fork { value, body: None });
                StageKind::Fork
            }
            Op::Shortcut => {
                let fork = forks.last_mut().expect("a residual is open");
                (fork.body, value) = (Some(before), fork.value);
                continue;
            }
            Op::Add => {
                let fork = forks.pop().expect("a residual is open");
                let (body, other) = match fork.body {
                    Some(body) => (body, before),
                    None => (before, fork.value),
                };
                value.trains = body.trains || other.trains;
                (source, shortcut) = (body.stage, other.stage);
                StageKind::Add
            }
            Op::Relu => StageKind::Relu,
            Op::Activation(activation) => StageKind::Activation(*activation),
            Op::Softmax(softmax) => StageKind::Softmax(*softmax),
            Op::Dropout(dropout) => StageKind::Dropout(*dropout),
            Op::MaxPool2d(pool) => StageKind::Pool(*pool),
            Op::AvgPool2d(pool) => StageKind::Average(*pool),
            Op::BatchNorm(norm) => StageKind::BatchNorm(*norm),
            Op::LayerNorm(norm) | Op::GroupNorm(norm) => StageKind::GroupNorm(*norm),
            Op::Embedding(embedding) => {
                let rows = samples.saturating_mul(layers[first].input_steps.unwrap_or(1));
                match layers.get(at).map(|layer| &layer.kind) {
                    Some(Op::Recurrent(layer)) if 2 * embedding.vocabulary <= rows => {
                        at += 1;
                        let table = Some(*embedding);
                        recurrent(layer, table, &layers[first], samples, threads).ok_or(first)?
                    }
                    _ => StageKind::Embedding(*embedding),
                }
            }
            Op::Recurrent(layer) => {
                recurrent(layer, None, &layers[first], samples, threads).ok_or(first)?
            }
            Op::OverTime(over) => StageKind::OverTime(*over),
            Op::Linear(linear) => {
                let rows = samples.checked_mul(layers[first].input_steps.unwrap_or(1));
                let work = rows.and_then(|rows| DenseWork::new(linear, rows, threads));
                let work = work.ok_or(first)?;
                StageKind::Dense(Dense {
                    linear: *linear,
                    relu: take_relu(&mut at),
                    work,
                })
            }
            Op::Conv2d(conv) => {
                let norm = match layers.get(at).map(|layer| &layer.kind) {
                    Some(Op::BatchNorm(norm)) if !norm.sync => Some(*norm),
                    _ => None,
                };
                at += usize::from(norm.is_some());
                let relu = take_relu(&mut at);
                let pool = match layers.get(at).map(|layer| &layer.kind) {
                    Some(Op::MaxPool2d(pool)) => Some(*pool),
                    _ => None,
                };
                at += usize::from(pool.is_some());
                let trains = before.trains;
                let work = WindowWork::new(conv, norm.is_some(), trains, samples, threads);
                StageKind::Window(Box::new(Window {
                    conv: *conv,
                    norm,
                    relu,
                    pool,
                    work: work.ok_or(first)?,
                }))
            }
        };
        let first_statistic = statistics;
        if let Some(norm) = kind.norm() {
            statistics += 2 * norm.channels;
        }
        let running = first_statistic..statistics;
        let own = layers[first].parameters.start..layers[at - 1].parameters.end;
        value.trains |= parameters[own.clone()]
            .iter()
            .any(|parameter| parameter.trained);
        stages.push(Stage {
            layers: first..at,
            kind,
            parameters: own,
            input_steps: layers[first].input_steps,
            output_steps: layers[at - 1].output_steps,
            inputs: layers[first].input.elements(),
            outputs: layers[at - 1].output.elements(),
            backward: value.trains,
            source,
            shortcut,
            input: 0,
            shortcut_input: None,
            output: 0,
            input_gradient: None,
            shortcut_gradient: None,
            output_gradient: None,
            indices: None,
            convolved: None,
            statistics: None,
            running,
            forward_work: None,
            backward_work: None,
        });
    }
    Ok(stages)
}

/// A recurrent layer that begins with `first`, its buffers not yet placed.
fn recurrent(
    layer: &Recurrent,
    table: Option<Embedding>,
    first: &Layer,
    samples: usize,
    threads: usize,
) -> Option<StageKind> {
    let extents = [samples, first.input_steps?];
    let work = RecurrentWork::new(layer, table.as_ref(), extents, threads)?;
    Some(StageKind::Recurrent(Box::new(RecurrentStage {
        layer: *layer,
        table,
        kept: Vec::new(),
        work,
    })))
}

#[cfg(test)]
mod tests;
