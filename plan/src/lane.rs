//! Lanes: where a norm is over all samples of a step, the microbatches of a rank's share are under way at once, and each has
//! buffers of its own for what its passes keep. The lanes lie behind what they share, one like the other.

use crate::arena;
use crate::buffers::Places;
use crate::lifetime::Buffer;
use crate::op::BatchNorm;
use crate::stage::{Stage, StageKind};

impl StageKind {
    /// The norm over all samples of a step that it is: no other stage runs before it has met those of all microbatches.
    pub fn sync(&self) -> Option<&BatchNorm> {
        match self {
            StageKind::BatchNorm(norm) if norm.sync => Some(norm),
            _ => None,
        }
    }
}

/// Gives every buffer its offset: in the only lane all share one arena; of several, each has a copy of what a pass keeps. The
/// size of the arena and the stride of lanes, if they can be counted.
pub(crate) fn pack(
    buffers: &mut [Buffer],
    stages: &[Stage],
    places: &Places,
    lanes: usize,
) -> Option<(u64, u64)> {
    if lanes == 1 {
        return Some((arena::pack(buffers)?, 0));
    }
    let state = [Some(places.parameters), Some(places.evaluation)].into_iter();
    let state = state
        .chain([places.averages, places.spare_gradients, places.record])
        .chain([places.running_statistics, places.loss_weights])
        .chain(places.optimizer.iter().map(|&(_, buffer)| Some(buffer)))
        .chain(places.slots.iter().map(|&slot| Some(slot)));
    // Work ends with its stage, before another lane has its turn.
    let work = stages
        .iter()
        .flat_map(|stage| [stage.forward_work, stage.backward_work]);
    let mut shared: Vec<bool> = vec![false; buffers.len()];
    state.chain(work).flatten().for_each(|at| shared[at] = true);
    let part = |wanted: bool| -> Vec<usize> {
        (0..shared.len())
            .filter(|&at| shared[at] == wanted)
            .collect()
    };
    let place = |at: &[usize], buffers: &mut [Buffer], base: u64| {
        let mut some: Vec<Buffer> = at.iter().map(|&at| buffers[at].clone()).collect();
        let bytes = arena::pack(&mut some)?;
        for (&at, buffer) in at.iter().zip(some) {
            buffers[at].offset = base.checked_add(buffer.offset)?;
        }
        Some(bytes)
    };
    let before = place(&part(true), buffers, 0)?;
    let stride = place(&part(false), buffers, before)?;
    part(false)
        .iter()
        .for_each(|&at| buffers[at].in_lane = true);
    let arena = before.checked_add(stride.checked_mul(lanes as u64)?)?;
    (arena <= arena::MOST).then_some((arena, stride))
}
