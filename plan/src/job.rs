//! The plan of a job on its data, memory of data and collective included.

use spec::DatasetManifest;
use spec::checkpoint::DataFacts;
use spec::dataset::Split;
use spec::footprint::reader_bytes;
use spec::job::Job;

use crate::error::Error;
use crate::objective::Objective;
use crate::plan::{Mode, Plan, Request, Rules, plan};
use crate::signal::{Per, Signal};

/// Bytes of a block, in which the collective folds.
const BLOCK_BYTES: u64 = 128 << 10;

/// A split of a dataset that a job reads.
#[derive(Debug, Clone, Copy)]
pub struct Reads<'a> {
    /// The dataset.
    pub manifest: &'a DatasetManifest,
    /// The split.
    pub split: &'a Split,
}

/// The plan of one rank of a job: its arena, and beside it the readers of the splits in `reads` and the collective.
///
/// # Errors
/// As [`plan`].
pub fn for_job(job: &Job, facts: &DataFacts, reads: &[Reads<'_>]) -> Result<Plan, Error> {
    let microbatch = job.microbatch_size();
    // After the loss of others a rank may compute the whole batch.
    let samples = microbatch as u64 * u64::from(job.training.microbatches);
    let readers: u64 = reads
        .iter()
        .map(|read| reader_bytes(read.manifest, read.split, samples, facts.sequence_length()))
        .sum();
    let collective = collective_bytes(job.resources.ranks, job.training.microbatches);
    plan(&Request {
        model: &job.model,
        input: Signal::from(facts),
        classes: facts.class_count(),
        per: Per::from(facts),
        microbatch,
        microbatches: job.training.microbatches,
        share: job.training.microbatches.div_ceil(job.resources.ranks),
        objective: (&job.training).into(),
        optimizer: &job.training.optimizer,
        rules: Rules::of(job),
        threads: job.resources.threads as usize,
        mode: Mode::Train,
        host_bytes: readers + collective,
    })
}

/// The plan that evaluates what a job has trained, in microbatches of at most so many samples; with `confusion`, rows are counted by
/// class and answer too.
///
/// # Errors
/// As [`plan`].
pub fn to_evaluate(
    job: &Job,
    facts: &DataFacts,
    microbatch: usize,
    threads: usize,
    confusion: bool,
) -> Result<Plan, Error> {
    plan(&Request {
        model: &job.model,
        input: Signal::from(facts),
        classes: facts.class_count(),
        per: Per::from(facts),
        microbatch,
        microbatches: job.training.microbatches,
        share: 1,
        objective: Objective {
            confusion,
            ..(&job.training).into()
        },
        optimizer: &job.training.optimizer,
        rules: Rules::of(job),
        threads,
        mode: Mode::Evaluate,
        host_bytes: 0,
    })
}

/// The most bytes that the collective keeps on one rank: a block for every subtree that the shares of a gang fall into,
/// at most two a level of the tree and rank.
pub fn collective_bytes(ranks: u32, microbatches: u32) -> u64 {
    if ranks == 1 {
        return 0;
    }
    let depth = u64::from(microbatches.next_power_of_two().trailing_zeros());
    u64::from(ranks) * (2 * depth).max(1) * BLOCK_BYTES
}
