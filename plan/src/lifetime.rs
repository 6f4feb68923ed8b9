//! Buffers and their lifetimes. Time is counted in operations: the stages forward, the loss, the stages backward, the update.

use std::ops::RangeInclusive;

use serde::Serialize;

use crate::resolve::Layer;
use crate::stage::Stage;

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
    /// Whether each lane has one, a stride apart.
    pub in_lane: bool,
}

impl Buffer {
    /// Whether both are alive at some operation.
    pub fn meets(&self, other: &Buffer) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// The number of each operation.
pub(crate) struct Clock {
    /// The loss: behind all stages forward.
    pub loss: usize,
    /// The update: behind all stages backward.
    pub end: usize,
    /// Whether there is a backward pass.
    pub trains: bool,
}

impl Clock {
    /// The clock of so many stages.
    pub fn new(stages: usize, trains: bool) -> Self {
        Clock {
            loss: stages,
            end: 2 * stages + 1,
            trains,
        }
    }

    /// The operation in which a stage runs backward.
    pub fn backward(&self, stage: usize) -> usize {
        self.end - 1 - stage
    }

    /// The last operation in which a stage reads its input.
    pub fn reads_input(&self, index: usize, stage: &Stage) -> usize {
        if self.trains && stage.backward && stage.kind.reads_input() {
            self.backward(index)
        } else {
            index
        }
    }

    /// The last operation in which a stage reads its own output.
    pub fn reads_output(&self, index: usize, stage: &Stage) -> usize {
        if self.trains && stage.backward && stage.kind.reads_output() {
            self.backward(index)
        } else {
            index
        }
    }
}

/// A growing list of buffers.
pub(crate) struct Buffers<'l> {
    /// What there is so far.
    pub list: Vec<Buffer>,
    /// The layers that the buffers are named after.
    pub layers: &'l [Layer],
}

impl Buffers<'_> {
    /// Adds one; its position.
    pub fn add(&mut self, name: String, bytes: u64, alive: RangeInclusive<usize>) -> usize {
        self.list.push(Buffer {
            name,
            bytes,
            first: *alive.start(),
            last: *alive.end(),
            offset: 0,
            in_lane: false,
        });
        self.list.len() - 1
    }

    /// Keeps one alive until `last`.
    pub fn extend(&mut self, buffer: usize, last: usize) {
        self.list[buffer].last = self.list[buffer].last.max(last);
    }

    /// What a buffer of a stage is called.
    pub fn name(&self, what: &str, stage: &Stage) -> String {
        let path = |layer: usize| &self.layers[layer].path;
        let (first, last) = (stage.layers.start, stage.layers.end - 1);
        if first == last {
            format!("{what} of layer {}", path(first))
        } else {
            format!("{what} of layers {}-{}", path(first), path(last))
        }
    }
}

/// Bytes of so many numbers, if they can be counted.
pub(crate) fn words_bytes(words: usize) -> Option<u64> {
    (words as u64).checked_mul(4)
}

/// Bytes of so many numbers a sample.
pub(crate) fn batch_bytes(values: usize, samples: usize) -> Option<u64> {
    words_bytes(values.checked_mul(samples)?)
}
