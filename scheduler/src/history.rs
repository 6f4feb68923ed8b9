//! What happened to a job, for the list that people read.

use std::fmt;

use serde::{Deserialize, Serialize};
use spec::{AttemptId, Digest};

use crate::cause::Cause;

/// Something that happened to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// It was accepted.
    Submitted,
    /// An attempt was given devices.
    Placed {
        /// The attempt.
        attempt: AttemptId,
        /// The names of the workers, by rank.
        workers: Vec<String>,
        /// The step of the checkpoint that it goes on from, if any.
        resume_step: Option<u64>,
    },
    /// All ranks were ready and were told to train.
    Started {
        /// The attempt.
        attempt: AttemptId,
    },
    /// A checkpoint became durable.
    CheckpointSaved {
        /// The attempt.
        attempt: AttemptId,
        /// The step it holds.
        step: u64,
        /// Its digest.
        digest: Digest,
    },
    /// An attempt cannot go on; said again when stronger evidence names another cause.
    AttemptFailed {
        /// Why, as far as is known.
        cause: Cause,
    },
    /// It went back to the queue.
    Requeued {
        /// How long it is held back, in milliseconds.
        wait_ms: u64,
    },
    /// All ranks applied the last step and agree on the state.
    Trained {
        /// The attempt.
        attempt: AttemptId,
        /// The last step.
        step: u64,
        /// The digest of all of the state.
        state_digest: String,
    },
    /// A person cancelled it.
    CancelRequested,
    /// It ended well.
    Succeeded,
    /// It was given up; the job's reason says why.
    Failed,
    /// It ended because it was cancelled.
    Cancelled,
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Happening::Submitted => f.write_str("submitted"),
            Happening::Placed {
                attempt,
                workers,
                resume_step,
            } => {
                write!(f, "{attempt} placed on {}", workers.join(", "))?;
                match resume_step {
                    Some(step) => write!(f, ", to go on from the checkpoint at step {step}"),
                    None => Ok(()),
                }
            }
            Happening::Started { attempt } => write!(f, "{attempt} started"),
            Happening::CheckpointSaved {
                attempt,
                step,
                digest,
            } => {
                write!(
                    f,
                    "{attempt} saved checkpoint {} at step {step}",
                    digest.short()
                )
            }
            Happening::AttemptFailed { cause } => write!(f, "failed: {cause}"),
            Happening::Requeued { wait_ms } => {
                write!(
                    f,
                    "queued again, to be tried in {:.1} s",
                    *wait_ms as f64 / 1000.0
                )
            }
            Happening::Trained {
                attempt,
                step,
                state_digest,
            } => {
                write!(
                    f,
                    "{attempt} trained to step {step}, state {state_digest} on every rank"
                )
            }
            Happening::CancelRequested => f.write_str("cancel requested"),
            Happening::Succeeded => f.write_str("succeeded"),
            Happening::Failed => f.write_str("given up"),
            Happening::Cancelled => f.write_str("cancelled"),
        }
    }
}
