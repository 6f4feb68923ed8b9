//! Generated types to what the commands print.

use proto::v1;
use spec::CheckpointManifest;

use crate::stop::Stop;
use crate::views::{Checkpoint, Dataset, Job, Occurrence, Worker};

/// A job.
pub fn job(job: v1::Job) -> Job {
    Job {
        id: job.id,
        name: job.name,
        state: job.state,
        step: job.step,
        steps: job.steps,
        ranks: job.ranks_running,
        parameters_digest: job.parameters_digest,
        reason: job.reason,
        attempts: job.attempts,
        submitted_unix_ms: job.submitted_unix_ms,
        finished_unix_ms: job.finished_unix_ms,
        history: job
            .history
            .into_iter()
            .map(|occurrence| Occurrence {
                unix_ms: occurrence.unix_ms,
                text: occurrence.text,
            })
            .collect(),
        job_file: job.job_toml,
    }
}

/// A dataset.
///
/// # Errors
/// A manifest that does not parse.
pub fn dataset(dataset: v1::Dataset) -> Result<Dataset, Stop> {
    let manifest = proto::decode_dataset(&dataset.manifest_json).map_err(Stop::failed)?;
    let (digest, imported_unix_ms) = (manifest.digest(), dataset.imported_unix_ms);
    Ok(Dataset {
        name: dataset.name,
        digest,
        imported_unix_ms,
        manifest,
        text: None,
    })
}

/// A checkpoint.
///
/// # Errors
/// A manifest that does not parse.
pub fn checkpoint(checkpoint: v1::Checkpoint) -> Result<Checkpoint, Stop> {
    let manifest: CheckpointManifest =
        proto::decode_checkpoint(&checkpoint.manifest_json).map_err(Stop::failed)?;
    Ok(Checkpoint {
        digest: manifest.digest(),
        saved_unix_ms: checkpoint.saved_unix_ms,
        manifest,
        best: None,
    })
}

/// A worker.
///
/// # Errors
/// Rates that are none.
pub fn worker(worker: v1::Worker) -> Result<Worker, Stop> {
    let rates = worker.rates.map(TryInto::try_into).transpose();
    Ok(Worker {
        id: worker.id,
        name: worker.name,
        state: worker.state,
        device_class: worker.device_class,
        threads: worker.threads,
        free_threads: worker.free_threads,
        memory_bytes: worker.memory_bytes,
        free_memory_bytes: worker.free_memory_bytes,
        ranks: worker.ranks,
        rates: rates.map_err(|error: proto::Error| Stop::failed(error))?,
    })
}
