//! A microbatch of the loader as the engine takes it.

use data::Microbatch;
use engine::{Batch, Moment, Samples, Targets};
use spec::Job;

/// A microbatch of `step`, counted from 1.
pub(super) fn of_step<'a>(part: &'a Microbatch, job: &Job, step: u64) -> Batch<'a, f32> {
    let moment = Moment {
        seed: job.training.seed,
        step,
        position: u64::from(part.number) * job.microbatch_size() as u64,
    };
    Batch {
        moment,
        ..of_evaluation(part)
    }
}

/// A microbatch of an evaluation, where nothing is drawn.
pub(super) fn of_evaluation(part: &Microbatch) -> Batch<'_, f32> {
    let samples = if part.lengths.is_empty() {
        Samples::Values(&part.x)
    } else {
        Samples::Tokens {
            ids: &part.tokens,
            lengths: &part.lengths,
        }
    };
    Batch {
        samples,
        targets: Targets::Classes(&part.labels),
        moment: Moment::default(),
    }
}
