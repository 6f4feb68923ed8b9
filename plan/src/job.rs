//! The plan of a job on its data, memory of data and collective included.

use spec::DatasetManifest;
use spec::checkpoint::DataFacts;
use spec::dataset::Split;
use spec::footprint::reader_bytes;
use spec::job::Job;

use crate::error::Error;
use crate::plan::{Mode, Plan, Request, plan};

/// What the collective keeps for its blocks: at most so many bytes a rank of the gang.
const COLLECTIVE_BYTES: u64 = 512 << 10;

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
        .map(|read| reader_bytes(read.manifest, read.split, samples))
        .sum();
    let collective = match job.resources.ranks {
        1 => 0,
        ranks => u64::from(ranks) * COLLECTIVE_BYTES,
    };
    plan(&Request {
        model: &job.model,
        input: facts.shape.clone(),
        classes: facts.classes.len(),
        microbatch,
        microbatches: job.training.microbatches,
        optimizer: &job.training.optimizer,
        threads: job.resources.threads as usize,
        mode: Mode::Train,
        host_bytes: readers + collective,
    })
}
