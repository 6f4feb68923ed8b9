//! The plan itself: everything that an engine needs to run a model, and what it will take.

use serde::Serialize;
use spec::ema::Ema;
use spec::group::Group;
use spec::init::InitRule;
use spec::job::{Job, Optimizer};
use spec::loss::Loss;
use spec::metric::Metric;
use spec::model::Model;

use crate::buffers::{self, Places, State};
use crate::error::Error;
use crate::group::{self, Stretch};
use crate::initial;
use crate::lane;
use crate::lifetime::Buffer;
use crate::memory::{self, Memory};
use crate::objective::{self, Objective};
use crate::op::Op;
use crate::parameter::{Parameter, Statistic, add_statistics};
use crate::resolve::{Layer, resolve};
use crate::signal::{Per, Signal};
use crate::stage::{Stage, StageKind, stages};
use crate::tail::Tail;

/// What a plan is asked for.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The layers.
    pub model: &'a Model,
    /// What one sample is.
    pub input: Signal,
    /// Classes of the data.
    pub classes: usize,
    /// What has a target.
    pub per: Per,
    /// Samples of a full microbatch, at least 1.
    pub microbatch: usize,
    /// Microbatches of a step, at least 1.
    pub microbatches: u32,
    /// The most microbatches of a step that one rank computes, at least 1.
    pub share: u32,
    /// What is minimised and measured.
    pub objective: Objective<'a>,
    /// How the parameters follow the gradient.
    pub optimizer: &'a Optimizer,
    /// What is done to some parameters and not to others.
    pub rules: Rules<'a>,
    /// Threads of the rank, at least 1.
    pub threads: usize,
    /// What the plan is for.
    pub mode: Mode,
    /// Bytes beside the arena that the data loader and the collective declare.
    pub host_bytes: u64,
}

/// What is done to some parameters and not to others. Groups decide the order of the flat buffer: whoever reads parameters
/// that were trained plans with the rules of their job.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// Parameters that are trained unlike the others.
    pub groups: &'a [Group],
    /// The averages of weights that are kept.
    pub ema: Option<Ema>,
    /// Parameters that begin with values of their own.
    pub init: &'a [InitRule],
}

impl<'a> Rules<'a> {
    /// All parameters are trained alike, and no averages kept.
    pub const NONE: Rules<'static> = Rules {
        groups: &[],
        ema: None,
        init: &[],
    };

    /// Those of a job.
    pub fn of(job: &'a Job) -> Self {
        Rules {
            groups: &job.training.groups,
            ema: job.training.ema,
            init: &job.training.init,
        }
    }
}

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Forward, backward and update.
    Train,
    /// Forward alone.
    Evaluate,
}

/// A model on a batch, resolved: layers, buffers and costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// What one sample is.
    pub input: Signal,
    /// What has a target.
    pub per: Per,
    /// Classes of the data: logits per target.
    pub classes: usize,
    /// Samples of a full microbatch: the most that run at once.
    pub microbatch: usize,
    /// Microbatches of a step.
    pub microbatches: u32,
    /// Threads that the workspace is for.
    pub threads: usize,
    /// What it is for.
    pub mode: Mode,
    /// What is minimised.
    pub loss: Loss,
    /// What is measured beside it.
    pub metrics: Vec<Metric>,
    /// How the parameters follow the gradient.
    pub optimizer: Optimizer,
    /// The layers as they run one after another: those of lists inside lists too, each time that they are repeated.
    pub layers: Vec<Layer>,
    /// The named views of the flat parameter buffer.
    pub parameters: Vec<Parameter>,
    /// Words of the flat parameter buffer, which has no gaps.
    pub parameter_count: usize,
    /// Words of those that are trained, which come first. A gradient, the optimiser's state and averages are as long.
    pub trained_count: usize,
    /// The trained words again, cut by how they are trained.
    pub groups: Vec<Stretch>,
    /// The averages of weights that are kept.
    pub ema: Option<Ema>,
    /// The named views of the flat buffer of running statistics.
    pub running_statistics: Vec<Statistic>,
    /// Words of the flat buffer of running statistics.
    pub statistic_count: usize,
    /// The layers again, as they run.
    pub stages: Vec<Stage>,
    /// All buffers, with their places in the arena.
    pub buffers: Vec<Buffer>,
    /// Which buffer is which.
    pub places: Places,
    /// Size of the arena.
    pub arena_bytes: u64,
    /// Microbatches that are under way at once: 1, or where a norm is over all samples of a step the largest share of a rank.
    pub lanes: usize,
    /// Bytes from a buffer of a lane to the same of the next one; 0 where there is one lane.
    pub lane_bytes: u64,
    /// Records that hold sums of microbatches and of their subtrees while a step is folded.
    pub slots: usize,
    /// Where the tail of a record begins: behind the gradient and the sums of statistics, rounded up to 64.
    pub tail_offset: u64,
    /// What the tail of a record holds.
    pub tail: Tail,
    /// Size of a record: the gradient of what is trained in f32, the sums of statistics in f32 (for each running mean the mean of a microbatch
    /// times its values per channel, for each running variance the unbiased variance times them), then from `tail_offset` on
    /// the tail; little-endian.
    pub record_bytes: u64,
    /// What a rank takes.
    pub memory: Memory,
    /// Floating-point operations of a forward pass per sample.
    pub flops_forward: u64,
    /// Floating-point operations of a backward pass per sample.
    pub flops_backward: u64,
}

impl Plan {
    /// The most bytes that a step folds at once: a record, or what meets at a norm over all samples of a step.
    pub fn fold_bytes(&self) -> u64 {
        self.record_bytes.max(self.joint_bytes())
    }

    /// Bytes of everything that a step folds, one number a fold: what meets at each norm over all samples of a step, forward and
    /// where the loss flows back to it backward, and the record.
    pub fn folds(&self) -> impl Iterator<Item = u64> + '_ {
        let norms = self.sync_norms().flat_map(|(index, channels)| {
            let words = [4, if self.stages[index].backward { 2 } else { 0 }];
            words.map(|words| 8 * words * channels as u64)
        });
        norms.filter(|&bytes| bytes > 0).chain([self.record_bytes])
    }

    /// Bytes of what a microbatch brings to the widest norm over all samples of a step: 4 words of 8 a channel.
    pub fn joint_bytes(&self) -> u64 {
        joint_bytes(&self.stages)
    }

    /// The norms over all samples of a step, as positions among the stages, and their channels.
    pub fn sync_norms(&self) -> impl DoubleEndedIterator<Item = (usize, usize)> + '_ {
        let norms = self.stages.iter().enumerate();
        norms.filter_map(|(index, stage)| Some((index, stage.kind.sync()?.channels)))
    }
}

/// Plans a model on a batch.
///
/// # Errors
/// The first layer that does not fit, with its input shape and what would fit; numbers that are 0; sizes that cannot be
/// counted.
pub fn plan(request: &Request<'_>) -> Result<Plan, Error> {
    let numbers = [
        ("the microbatch", request.microbatch),
        ("the number of microbatches", request.microbatches as usize),
        ("the share of a rank", request.share as usize),
        ("the number of threads", request.threads),
        ("the number of classes", request.classes),
    ];
    if let Some(&(what, _)) = numbers.iter().find(|(_, number)| *number == 0) {
        return Err(Error::Zero { what });
    }
    let Objective { loss, metrics, .. } = request.objective;
    let groups = request.rules.groups;
    let (mut layers, mut parameters) = resolve(
        request.model,
        &request.input,
        (request.classes, request.per),
        groups,
        loss,
    )?;
    objective::fits(request.objective, request.classes)?;
    let trains = request.mode == Mode::Train;
    if trains && parameters.is_empty() {
        return Err(Error::NothingToTrain);
    }
    let parameter_count = parameters.last().map_or(0, |last| last.words().end);
    group::check(&parameters, groups)?;
    initial::set(&mut parameters, request.rules.init)?;
    let groups = group::arrange(&mut parameters, groups, request.optimizer);
    let trained_count = groups.last().map_or(0, |last| last.words.end);
    if trains && trained_count == 0 {
        return Err(Error::AllFrozen);
    }
    let mut running_statistics = Vec::new();
    for layer in &layers {
        add_statistics(&layer.path, &layer.kind, &mut running_statistics);
        if let Op::BatchNorm(norm) = &layer.kind
            && norm.plane * request.microbatch == 1
            && !(norm.sync && request.microbatches > 1)
            && trains
        {
            return Err(Error::OneValue {
                layer: layer.entry,
                path: layer.path.clone(),
                input: layer.input.clone(),
            });
        }
    }
    let statistic_count = running_statistics.last().map_or(0, |last| last.words.end);
    let mut stages =
        stages(&layers, &parameters, request.microbatch, request.threads).map_err(|layer| {
            Error::TooLarge {
                layer: layers[layer].entry,
                path: layers[layer].path.clone(),
                word: layers[layer].word,
                input: layers[layer].input.clone(),
            }
        })?;
    let tail_offset = (4 * (trained_count + statistic_count) as u64).next_multiple_of(64);
    let synced = stages.iter().any(|stage| stage.kind.sync().is_some());
    let lanes = if trains && synced {
        request.share.min(request.microbatches) as usize
    } else {
        1
    };
    let slots = if trains && synced {
        // The microbatches of a share are all under way at once.
        lanes
    } else if trains {
        slots(request.microbatches)
    } else {
        0
    };
    let tail = Tail::new(metrics, request.classes, request.objective.confusion);
    let tail_bytes = tail.checked_bytes().ok_or(Error::ArenaTooLarge)?;
    let state = State {
        parameter_bytes: 4 * parameter_count as u64,
        trained_bytes: 4 * trained_count as u64,
        statistic_bytes: 4 * statistic_count as u64,
        averages: request.rules.ema.is_some(),
        spare: spare(&stages, &parameters),
        weight_bytes: objective::weights(loss, request.classes).map(|weights| 4 * weights as u64),
        tail_bytes,
        record_bytes: tail_offset
            .checked_add(tail_bytes)
            .ok_or(Error::ArenaTooLarge)?,
        slots,
        optimizer: optimizer_state(request.optimizer),
        trains,
    };
    let inputs = request.input.values();
    let (mut buffers, places) =
        buffers::lay_out(&mut stages, &layers, inputs, request.microbatch, &state)
            .ok_or(Error::ArenaTooLarge)?;
    let (arena, lane_bytes) =
        lane::pack(&mut buffers, &stages, &places, lanes).ok_or(Error::ArenaTooLarge)?;
    let host = request.host_bytes + joint_bytes(&stages) * (lanes as u64 + 1);
    let total = arena.checked_add(host).ok_or(Error::ArenaTooLarge)?;
    for (stage, bytes) in stages
        .iter()
        .zip(memory::stored(&stages, &buffers, &places))
    {
        layers[stage.layers.end - 1].memory_bytes = bytes;
    }
    let mut kinds = memory::kinds(&stages, &buffers, &places, lanes as u64);
    kinds.unused = arena - kinds.total();
    kinds.data = host;
    Ok(Plan {
        input: request.input.clone(),
        per: request.per,
        classes: request.classes,
        microbatch: request.microbatch,
        microbatches: request.microbatches,
        threads: request.threads,
        mode: request.mode,
        loss: loss.clone(),
        metrics: metrics.to_vec(),
        optimizer: *request.optimizer,
        flops_forward: layers.iter().map(|layer| layer.flops_forward).sum(),
        flops_backward: layers.iter().map(|layer| layer.flops_backward).sum(),
        layers,
        parameters,
        parameter_count,
        trained_count,
        groups,
        ema: request.rules.ema,
        running_statistics,
        statistic_count,
        stages,
        buffers,
        places,
        arena_bytes: arena,
        lanes,
        lane_bytes,
        slots,
        tail_offset,
        tail,
        record_bytes: state.record_bytes,
        memory: Memory {
            arena,
            host,
            total,
            kinds,
        },
    })
}

fn joint_bytes(stages: &[Stage]) -> u64 {
    let norms = stages.iter().filter_map(|stage| stage.kind.sync());
    norms
        .map(|norm| 32 * norm.channels as u64)
        .max()
        .unwrap_or(0)
}

/// Bytes for the gradients of frozen parameters, which some kernel gives beside those that are wanted: as many as the flat
/// buffer has behind the trained words, if any stage on the way of the loss has one.
fn spare(stages: &[Stage], parameters: &[Parameter]) -> u64 {
    let on_the_way = stages.iter().filter(|stage| stage.backward);
    let frozen = |stage: &Stage| {
        let tied = match &stage.kind {
            StageKind::Dense(dense) => dense.linear.tied,
            _ => None,
        };
        let mut own = stage.parameters.clone().chain(tied);
        own.any(|parameter| !parameters[parameter].trained)
    };
    if !on_the_way.into_iter().any(frozen) {
        return 0;
    }
    let frozen = parameters.iter().filter(|parameter| !parameter.trained);
    frozen
        .map(|parameter| 4 * parameter.words().len() as u64)
        .sum()
}

/// Records that a rank needs at once: a path from a microbatch up the tree while it folds its own, or the most subtrees
/// that a share can fall into.
fn slots(microbatches: u32) -> usize {
    let depth = u64::from(microbatches).next_power_of_two().trailing_zeros() as usize;
    (depth + 1).max((2 * depth).saturating_sub(1))
}

/// The buffers that an optimiser keeps between steps, each as long as the parameters.
fn optimizer_state(optimizer: &Optimizer) -> Vec<&'static str> {
    match *optimizer {
        Optimizer::Sgd { momentum, .. } if momentum > 0.0 => vec!["momentum"],
        Optimizer::Sgd { .. } => vec![],
        Optimizer::Adam { .. } | Optimizer::AdamW { .. } => vec!["first_moment", "second_moment"],
        Optimizer::RmsProp { momentum, .. } if momentum > 0.0 => vec!["mean_square", "momentum"],
        Optimizer::RmsProp { .. } => vec!["mean_square"],
        Optimizer::Adagrad { .. } => vec!["square_sum"],
    }
}
