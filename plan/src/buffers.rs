//! Every buffer of a plan with its lifetime in operations: the stages forward, the loss, the stages backward, the update.

use serde::Serialize;

use crate::stage::{Stage, StageKind};

/// A stretch of the arena and when it is in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Buffer {
    /// What it holds.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// The first operation that touches it.
    pub first: usize,
    /// The last operation that touches it.
    pub last: usize,
    /// Where it begins in the arena, in bytes.
    pub offset: u64,
}

impl Buffer {
    /// Whether both are alive at some operation.
    pub fn meets(&self, other: &Buffer) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Which buffer is which, as positions among the plan's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Places {
    /// All parameters, flat.
    pub parameters: usize,
    /// The optimiser's state, each as long as the parameters, by name, as `first_moment`.
    pub optimizer: Vec<(&'static str, usize)>,
    /// The running statistics, flat, where there are any.
    pub running_statistics: Option<usize>,
    /// The sums of microbatches and of their subtrees, one record each.
    pub slots: Vec<usize>,
    /// The folded record of a step.
    pub record: Option<usize>,
    /// The batch: `(N, inputs of the first layer)`.
    pub input: usize,
    /// What the last layer gives: `(N, classes)`.
    pub logits: usize,
    /// The gradient of the logits.
    pub logits_gradient: Option<usize>,
}

/// What the state of a plan takes.
pub(crate) struct State {
    pub parameter_bytes: u64,
    pub statistic_bytes: u64,
    pub record_bytes: u64,
    pub slots: usize,
    pub optimizer: Vec<&'static str>,
    pub trains: bool,
}

/// Lays out the buffers of `stages` over microbatches of `samples` and writes their positions into the stages.
pub(crate) fn lay_out(
    stages: &mut [Stage],
    inputs: usize,
    samples: usize,
    state: &State,
) -> Option<(Vec<Buffer>, Places)> {
    let count = stages.len();
    let clock = Clock {
        loss: count,
        end: 2 * count + 1,
        trains: state.trains,
    };
    let mut buffers = Buffers { list: Vec::new() };
    let mut places = Places::default();
    let whole = 0..=clock.end;
    places.parameters = buffers.add("parameters".into(), state.parameter_bytes, whole.clone());
    if state.statistic_bytes > 0 {
        let (name, bytes) = ("running statistics".into(), state.statistic_bytes);
        places.running_statistics = Some(buffers.add(name, bytes, whole.clone()));
    }
    if state.trains {
        for name in &state.optimizer {
            places.optimizer.push((
                name,
                buffers.add(name.to_string(), state.parameter_bytes, whole.clone()),
            ));
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
    let words = |words: usize| (words as u64).checked_mul(4);
    let batch = |values: usize| words(values.checked_mul(samples)?);
    places.input = buffers.add("input".into(), batch(inputs)?, 0..=0);
    let mut source = places.input;
    let mut source_is_kept = false;
    for (index, stage) in stages.iter_mut().enumerate() {
        let of = names(stage);
        let name = |what: &str| format!("{what} {of}");
        stage.input = source;
        buffers.extend(source, clock.reads_input(index, stage));
        let trains = state.trains && stage.backward;
        // A relu spoils nothing: where it changes a value, the gradient of that value is 0.
        let in_place = matches!(stage.kind, StageKind::Relu)
            || stage.kind.keeps_shape() && !source_is_kept && !(trains && stage.kind.reads_input());
        stage.output = if in_place {
            source
        } else {
            buffers.add(name("output"), batch(stage.outputs)?, index..=index)
        };
        source_is_kept = trains && stage.kind.reads_output();
        buffers.extend(stage.output, clock.reads_output(index, stage));
        let pool = match &stage.kind {
            StageKind::Window(window) => window.pool.as_ref(),
            StageKind::Pool(pool) => Some(pool),
            _ => None,
        };
        if let Some(pool) = pool.filter(|_| state.trains && stage.backward) {
            let bytes = (stage.outputs.checked_mul(samples)? as u64)
                .checked_mul(pool.index_bytes() as u64)?;
            stage.indices =
                Some(buffers.add(name("indices"), bytes, index..=clock.backward(index)));
        }
        let kept = match &stage.kind {
            StageKind::GroupNorm(norm) => Some(batch(2 * norm.groups)?),
            kind => match kind.norm() {
                Some(norm) => Some(words(2 * norm.channels)?),
                None => None,
            },
        };
        if let Some(bytes) = kept.filter(|_| trains) {
            stage.statistics =
                Some(buffers.add(name("statistics"), bytes, index..=clock.backward(index)));
        }
        if let StageKind::Window(window) = &stage.kind
            && trains
            && window.norm.is_some()
        {
            let bytes = batch(window.conv.outputs())?;
            stage.convolved =
                Some(buffers.add(name("convolved"), bytes, index..=clock.backward(index)));
        }
        let (forward, backward) = match &stage.kind {
            StageKind::Window(window) => (window.work.forward_words, window.work.backward_words),
            StageKind::Dense(dense) => (dense.work.words, dense.work.words),
            _ => (0, 0),
        };
        if forward > 0 {
            stage.forward_work =
                Some(buffers.add(name("forward work"), words(forward)?, index..=index));
        }
        if backward > 0 && state.trains {
            let when = clock.backward(index);
            stage.backward_work =
                Some(buffers.add(name("backward work"), words(backward)?, when..=when));
        }
        source = stage.output;
    }
    places.logits = source;
    buffers.extend(source, clock.loss);
    if state.trains {
        let mut gradient: Option<usize> = None;
        for index in (0..count).rev() {
            if !stages[index].backward {
                break;
            }
            let stage = &stages[index];
            let when = clock.backward(index);
            let output = match gradient {
                Some(gradient) => gradient,
                None => buffers.add(
                    format!("gradient {}", names(stage)),
                    batch(stage.outputs)?,
                    clock.loss..=when,
                ),
            };
            buffers.extend(output, when);
            places.logits_gradient.get_or_insert(output);
            let earlier = index
                .checked_sub(1)
                .filter(|&earlier| stages[earlier].backward);
            gradient = match (earlier, &stage.kind) {
                (None, _) => None,
                (Some(_), kind) if kind.keeps_shape() => Some(output),
                (Some(earlier), _) => {
                    let name = format!("gradient {}", names(&stages[earlier]));
                    Some(buffers.add(name, batch(stage.inputs)?, when..=clock.backward(earlier)))
                }
            };
            (stages[index].output_gradient, stages[index].input_gradient) =
                (Some(output), gradient);
        }
    }
    Some((buffers.list, places))
}

fn names(stage: &Stage) -> String {
    let (first, last) = (stage.layers.start, stage.layers.end - 1);
    if first == last {
        format!("of layer {first}")
    } else {
        format!("of layers {first}-{last}")
    }
}

/// The number of each operation.
struct Clock {
    loss: usize,
    end: usize,
    trains: bool,
}

impl Clock {
    fn backward(&self, stage: usize) -> usize {
        self.end - 1 - stage
    }

    /// The last operation in which a stage reads its input.
    fn reads_input(&self, index: usize, stage: &Stage) -> usize {
        if self.trains && stage.backward && stage.kind.reads_input() {
            self.backward(index)
        } else {
            index
        }
    }

    /// The last operation in which a stage reads its own output.
    fn reads_output(&self, index: usize, stage: &Stage) -> usize {
        if self.trains && stage.backward && stage.kind.reads_output() {
            self.backward(index)
        } else {
            index
        }
    }
}

struct Buffers {
    list: Vec<Buffer>,
}

impl Buffers {
    fn add(&mut self, name: String, bytes: u64, alive: std::ops::RangeInclusive<usize>) -> usize {
        self.list.push(Buffer {
            name,
            bytes,
            first: *alive.start(),
            last: *alive.end(),
            offset: 0,
        });
        self.list.len() - 1
    }

    fn extend(&mut self, buffer: usize, last: usize) {
        self.list[buffer].last = self.list[buffer].last.max(last);
    }
}
