//! Every buffer of a plan, state and passes alike; those of the backward pass alone are in `gradients.rs`.

use std::ops::RangeInclusive;

use serde::Serialize;
use spec::recurrent::Cell;

use crate::gradients;
use crate::lifetime::{Buffer, Buffers, Clock, batch_bytes, words_bytes};
use crate::recurrent::Kept;
use crate::resolve::Layer;
use crate::stage::{Stage, StageKind};

/// Which buffer is which, as positions among the plan's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Places {
    /// All parameters, flat.
    pub parameters: usize,
    /// The optimiser's state, each as long as what is trained, by name, as `first_moment`.
    pub optimizer: Vec<(&'static str, usize)>,
    /// The averages of what is trained, where some are kept.
    pub averages: Option<usize>,
    /// Where the gradients of frozen parameters go that come along: as the flat buffer behind what is trained.
    pub spare_gradients: Option<usize>,
    /// The running statistics, flat, where there are any.
    pub running_statistics: Option<usize>,
    /// What classes or outputs weigh in the loss, where they do not all weigh 1.
    pub loss_weights: Option<usize>,
    /// The sums of microbatches and of their subtrees, one record each.
    pub slots: Vec<usize>,
    /// The folded record of a step.
    pub record: Option<usize>,
    /// The batch: `(N, inputs of the first layer)`.
    pub input: usize,
    /// What the last layer gives: `(N, classes)`.
    pub logits: usize,
    /// The gradient of the logits: in their own place where nobody reads them any more.
    pub logits_gradient: Option<usize>,
    /// The tail that an evaluation is summed in.
    pub evaluation: usize,
    /// What the loss says of each row, [`ROW_BYTES`] each.
    pub rows: usize,
}

/// Bytes of what the loss says of one row: its loss and its weight (f64), its answer and the rank of its class (u32).
pub const ROW_BYTES: usize = 24;

/// What the state of a plan takes.
pub(crate) struct State {
    pub parameter_bytes: u64,
    pub trained_bytes: u64,
    pub statistic_bytes: u64,
    pub averages: bool,
    /// Bytes of gradients that nobody wants.
    pub spare: u64,
    pub weight_bytes: Option<u64>,
    pub tail_bytes: u64,
    pub record_bytes: u64,
    pub slots: usize,
    pub optimizer: Vec<&'static str>,
    pub trains: bool,
}

/// Lays out the buffers of `stages` over microbatches of `samples` and writes their positions into the stages.
pub(crate) fn lay_out(
    stages: &mut [Stage],
    layers: &[Layer],
    inputs: usize,
    samples: usize,
    state: &State,
) -> Option<(Vec<Buffer>, Places)> {
    let clock = Clock::new(stages.len(), state.trains);
    let mut buffers = Buffers {
        list: Vec::new(),
        layers,
    };
    let mut places = Places::default();
    let whole = 0..=clock.end;
    places.parameters = buffers.add("parameters".into(), state.parameter_bytes, whole.clone());
    if state.statistic_bytes > 0 {
        let (name, bytes) = ("running statistics".into(), state.statistic_bytes);
        places.running_statistics = Some(buffers.add(name, bytes, whole.clone()));
    }
    places.evaluation = buffers.add("evaluation".into(), state.tail_bytes, whole.clone());
    if let Some(bytes) = state.weight_bytes {
        places.loss_weights = Some(buffers.add("loss weights".into(), bytes, whole.clone()));
    }
    if state.trains {
        for name in &state.optimizer {
            places.optimizer.push((
                name,
                buffers.add(name.to_string(), state.trained_bytes, whole.clone()),
            ));
        }
        if state.averages {
            let bytes = state.trained_bytes;
            places.averages = Some(buffers.add("averages".into(), bytes, whole.clone()));
        }
        if state.spare > 0 {
            let when = clock.loss..=clock.end;
            let name = "gradients of frozen parameters".into();
            places.spare_gradients = Some(buffers.add(name, state.spare, when));
        }
        for slot in 0..state.slots {
            places.slots.push(buffers.add(
                format!("slot {slot}"),
                state.record_bytes,
                whole.clone(),
            ));
        }
        places.record = Some(buffers.add("record".into(), state.record_bytes, whole));
    }
    places.input = buffers.add("input".into(), batch_bytes(inputs, samples)?, 0..=0);
    let mut last = places.input;
    for index in 0..stages.len() {
        let source =
            |stage: Option<usize>| stage.map_or(places.input, |stage| stages[stage].output);
        let (input, shortcut) = (source(stages[index].source), stages[index].shortcut);
        let shortcut = shortcut.map(|stage| source(Some(stage)));
        (stages[index].input, stages[index].shortcut_input) = (input, shortcut);
        buffers.extend(input, clock.reads_input(index, &stages[index]));
        if let Some(shortcut) = shortcut {
            buffers.extend(shortcut, index);
        }
        let output = match written_over(stages, index, &buffers, &clock) {
            Some(buffer) => buffer,
            None => {
                let name = buffers.name("output", &stages[index]);
                buffers.add(
                    name,
                    batch_bytes(stages[index].outputs, stages[index].output_rows(samples)?)?,
                    index..=index,
                )
            }
        };
        stages[index].output = output;
        buffers.extend(output, clock.reads_output(index, &stages[index]));
        if let StageKind::Fork = stages[index].kind {
            // No stage on one branch may write over what the other has still to read.
            let reads = |stage: &Stage| [stage.source, stage.shortcut].contains(&Some(index));
            buffers.extend(output, stages.iter().rposition(reads)?);
        }
        own(&mut stages[index], index, samples, &mut buffers, &clock)?;
        last = output;
    }
    places.logits = last;
    buffers.extend(last, clock.loss);
    let rows = stages
        .last()
        .map_or(Some(samples), |stage| stage.output_rows(samples))?;
    let rows = (rows as u64).checked_mul(ROW_BYTES as u64)?;
    places.rows = buffers.add("rows of the loss".into(), rows, clock.loss..=clock.loss);
    if state.trains {
        places.logits_gradient = gradients::lay_out(stages, samples, &mut buffers, &clock)?;
    }
    Some((buffers.list, places))
}

/// The buffer among those that a stage reads that it may write its output over: nobody reads it later. A relu spoils nothing
/// for a backward pass, unless another branch or a later step of a recurrent layer reads the same value: where it changes a value,
/// that value's gradient is 0.
fn written_over(
    stages: &[Stage],
    index: usize,
    buffers: &Buffers<'_>,
    clock: &Clock,
) -> Option<usize> {
    let stage = &stages[index];
    let free = |buffer: usize| buffers.list[buffer].last <= index;
    let read_otherwise = || {
        let source = stage.source.map(|source| &stages[source].kind);
        matches!(source, Some(StageKind::Fork | StageKind::Recurrent(_)))
    };
    match stage.kind {
        StageKind::Fork => Some(stage.input),
        StageKind::Add => [Some(stage.input), stage.shortcut_input]
            .into_iter()
            .flatten()
            .find(|&buffer| free(buffer)),
        StageKind::Relu if clock.trains && !read_otherwise() => Some(stage.input),
        _ if stage.kind.keeps_shape() => Some(stage.input).filter(|&input| free(input)),
        _ => None,
    }
}

/// What a stage alone needs: places of maxima, statistics and workspace.
fn own(
    stage: &mut Stage,
    index: usize,
    samples: usize,
    buffers: &mut Buffers<'_>,
    clock: &Clock,
) -> Option<()> {
    let trains = clock.trains && stage.backward;
    let kept = index..=clock.backward(index);
    // Evaluation needs a recurrent layer's gates while it runs.
    let gates = if trains { kept.clone() } else { index..=index };
    keep_gates(stage, samples, buffers, gates)?;
    let pool = match &stage.kind {
        StageKind::Window(window) => window.pool.as_ref(),
        StageKind::Pool(pool) => Some(pool),
        _ => None,
    };
    if let Some(pool) = pool.filter(|_| trains) {
        let bytes =
            (stage.outputs.checked_mul(samples)? as u64).checked_mul(pool.index_bytes() as u64)?;
        stage.indices = Some(buffers.add(buffers.name("indices", stage), bytes, kept.clone()));
    }
    let statistics = match &stage.kind {
        StageKind::GroupNorm(norm) => {
            Some(batch_bytes(2 * norm.groups, stage.output_rows(samples)?)?)
        }
        kind => match kind.norm() {
            // Behind mean and variance what a step's gradients of weight and bias come to.
            Some(norm) if norm.sync => Some(words_bytes(4 * norm.channels)?),
            Some(norm) => Some(words_bytes(2 * norm.channels)?),
            None => None,
        },
    };
    // Running statistics move with every step, whether or not the loss flows back so far.
    let moves = clock.trains && stage.kind.norm().is_some();
    if let Some(bytes) = statistics.filter(|_| trains || moves) {
        let name = buffers.name("statistics", stage);
        stage.statistics = Some(buffers.add(name, bytes, kept.clone()));
    }
    if let StageKind::Window(window) = &stage.kind
        && moves
    {
        let bytes = batch_bytes(window.conv.outputs(), samples)?;
        let kept = if trains { kept } else { index..=index };
        stage.convolved = Some(buffers.add(buffers.name("convolved", stage), bytes, kept));
    }
    let (forward, backward) = match &stage.kind {
        StageKind::Window(window) => (window.work.forward_words, window.work.backward_words),
        StageKind::Dense(dense) => (dense.work.words, dense.work.words),
        StageKind::Recurrent(recurrent) => {
            (recurrent.work.forward_words, recurrent.work.backward_words)
        }
        _ => (0, 0),
    };
    if forward > 0 {
        let name = buffers.name("forward work", stage);
        stage.forward_work = Some(buffers.add(name, words_bytes(forward)?, index..=index));
    }
    if backward > 0 && trains {
        let (name, when) = (buffers.name("backward work", stage), clock.backward(index));
        stage.backward_work = Some(buffers.add(name, words_bytes(backward)?, when..=when));
    }
    Some(())
}

/// What each direction of a recurrent layer keeps between its passes.
fn keep_gates(
    stage: &mut Stage,
    samples: usize,
    buffers: &mut Buffers<'_>,
    alive: RangeInclusive<usize>,
) -> Option<()> {
    let rows = stage.output_rows(samples)?;
    let [gates, cells] = ["gates", "cells"].map(|what| buffers.name(what, stage));
    let StageKind::Recurrent(recurrent) = &mut stage.kind else {
        return Some(());
    };
    let layer = &recurrent.layer;
    for _ in 0..layer.directions {
        let bytes = batch_bytes(layer.kept(), rows)?;
        let gates = buffers.add(gates.clone(), bytes, alive.clone());
        let cells = match layer.cell {
            Cell::Lstm => {
                let bytes = batch_bytes(layer.hidden, rows)?;
                Some(buffers.add(cells.clone(), bytes, alive.clone()))
            }
            Cell::Rnn(_) | Cell::Gru => None,
        };
        recurrent.kept.push(Kept { gates, cells });
    }
    Some(())
}
