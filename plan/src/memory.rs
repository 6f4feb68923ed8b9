//! What a rank's memory is for: buffers by kind, and what each layer keeps.

use serde::Serialize;

use crate::buffers::Places;
use crate::lifetime::Buffer;
use crate::stage::{Stage, StageKind};

/// The memory of a rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// The engine's one arena.
    pub arena: u64,
    /// What lies beside it: loaders, the collective, scratch of libraries.
    pub host: u64,
    /// Both.
    pub total: u64,
    /// The same total by what it is for.
    pub kinds: Kinds,
}

/// The memory of a rank by what it is for, in bytes, at the operation at which most of the arena is alive. The kinds add
/// up to the total.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Kinds {
    /// Parameters, running statistics, and weights of the loss.
    pub parameters: u64,
    /// Sums of microbatches and of their subtrees, the folded record, the sums of an evaluation, and the gradients of frozen
    /// parameters.
    pub gradients: u64,
    /// What the optimiser keeps between steps, and averages of weights.
    pub optimizer: u64,
    /// The batch, what layers give and keep for their backward pass, and the gradients of it.
    pub activations: u64,
    /// Packed operands and partial sums.
    pub workspace: u64,
    /// Readers of the splits, loaded batches, blocks of the fold.
    pub data: u64,
    /// Gaps of the arena at that operation.
    pub unused: u64,
}

/// The kinds of all buffers of a plan, `data` and `unused` still 0.
pub(crate) fn kinds(stages: &[Stage], buffers: &[Buffer], places: &Places, lanes: u64) -> Kinds {
    let taken = |buffer: &Buffer| buffer.bytes * if buffer.in_lane { lanes } else { 1 };
    let last = buffers.iter().map(|buffer| buffer.last).max().unwrap_or(0);
    let alive = |operation: usize| {
        let there = move |buffer: &Buffer| buffer.first <= operation && operation <= buffer.last;
        buffers.iter().enumerate().filter(move |(_, b)| there(b))
    };
    let most = (0..=last).max_by_key(|&operation| {
        let bytes = alive(operation)
            .map(|(_, buffer)| taken(buffer))
            .sum::<u64>();
        // Of equals the first.
        (bytes, std::cmp::Reverse(operation))
    });
    let workspace = |index: usize| {
        let works = stages
            .iter()
            .flat_map(|stage| [stage.forward_work, stage.backward_work]);
        works.flatten().any(|work| work == index)
    };
    let mut kinds = Kinds::default();
    for (index, buffer) in alive(most.unwrap_or(0)) {
        let kind = if [places.running_statistics, places.loss_weights].contains(&Some(index))
            || index == places.parameters
        {
            &mut kinds.parameters
        } else if places.slots.contains(&index)
            || places.record == Some(index)
            || places.spare_gradients == Some(index)
            || index == places.evaluation
        {
            &mut kinds.gradients
        } else if places.optimizer.iter().any(|&(_, state)| state == index)
            || places.averages == Some(index)
        {
            &mut kinds.optimizer
        } else if workspace(index) {
            &mut kinds.workspace
        } else {
            &mut kinds.activations
        };
        *kind += taken(buffer);
    }
    kinds
}

impl Kinds {
    /// The sum of all kinds.
    pub fn total(&self) -> u64 {
        let Kinds {
            parameters,
            gradients,
            optimizer,
            activations,
            workspace,
            data,
            unused,
        } = *self;
        parameters + gradients + optimizer + activations + workspace + data + unused
    }
}

/// Bytes that each stage stores for a microbatch where nothing was stored before: what it gives, unless it works in place,
/// and what its backward pass needs beside that.
pub(crate) fn stored(stages: &[Stage], buffers: &[Buffer], places: &Places) -> Vec<u64> {
    let mut seen = vec![places.input];
    let of = |stage: &Stage| {
        let mut bytes = 0;
        let kept = match &stage.kind {
            StageKind::Recurrent(recurrent) => &recurrent.kept[..],
            _ => &[],
        };
        let kept = kept.iter().flat_map(|kept| [Some(kept.gates), kept.cells]);
        let own = [
            Some(stage.output),
            stage.convolved,
            stage.indices,
            stage.statistics,
        ];
        for index in own.into_iter().chain(kept).flatten() {
            if !seen.contains(&index) {
                seen.push(index);
                bytes += buffers[index].bytes;
            }
        }
        bytes
    };
    stages.iter().map(of).collect()
}
