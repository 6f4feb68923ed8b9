//! Which checkpoints of a job are kept as new ones come, and which is its best.

use std::cmp::Ordering;

use crate::checkpoint::CheckpointManifest;
use crate::job::Checkpointing;
use crate::monitor::Monitor;

/// What decides whether a checkpoint is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The step that it holds.
    pub step: u64,
    /// What the validation after that step came to, if there was one. A value that is no number counts as none.
    pub monitored: Option<f64>,
}

impl From<&CheckpointManifest> for Candidate {
    fn from(manifest: &CheckpointManifest) -> Self {
        Candidate {
            step: manifest.step,
            monitored: manifest.monitored,
        }
    }
}

/// The places of those that were validated, the best first: by the monitored value, then the earlier step.
fn ranking(monitor: Monitor, candidates: &[Candidate]) -> Vec<usize> {
    let value = |place: usize| candidates[place].monitored.filter(|value| !value.is_nan());
    let mut places: Vec<usize> = (0..candidates.len())
        .filter(|&place| value(place).is_some())
        .collect();
    places.sort_by(|&one, &other| {
        let by_value = match (value(one), value(other)) {
            (Some(a), Some(b)) if monitor.is_better(a, b) => Ordering::Less,
            (Some(a), Some(b)) if monitor.is_better(b, a) => Ordering::Greater,
            _ => Ordering::Equal,
        };
        by_value.then(candidates[one].step.cmp(&candidates[other].step))
    });
    places
}

/// The place of the best checkpoint of a job: by the monitored value, then the earlier step. `None`: none was validated.
pub fn best(monitor: Monitor, candidates: &[Candidate]) -> Option<usize> {
    ranking(monitor, candidates).first().copied()
}

/// The places of those that go when a checkpoint joins `held`, which have other steps than it. What stays is the union of the
/// newcomer and the newest of `held`, `keep_last` together, and of the `keep_best` best of all.
pub fn surplus(
    keeping: Checkpointing,
    monitor: Monitor,
    held: &[Candidate],
    newcomer: Candidate,
) -> Vec<usize> {
    let mut by_age: Vec<usize> = (0..held.len()).collect();
    by_age.sort_by_key(|&place| held[place].step);
    let others = keeping.keep_last.saturating_sub(1) as usize;
    let old = &by_age[..held.len().saturating_sub(others)];
    let all: Vec<Candidate> = held.iter().copied().chain([newcomer]).collect();
    let mut good = ranking(monitor, &all);
    good.truncate(keeping.keep_best as usize);
    let mut surplus: Vec<usize> = old
        .iter()
        .copied()
        .filter(|place| !good.contains(place))
        .collect();
    surplus.sort_unstable();
    surplus
}

#[cfg(test)]
mod tests;
