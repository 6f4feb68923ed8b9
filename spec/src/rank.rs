//! What a worker and its ranks tell each other over the control pipe (one JSON object a line), and what of it travels
//! on to the coordinator.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::AttemptId;
use crate::job::Job;
use crate::metric::MetricRow;

/// An order to one rank, in the order in which they come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// What to run. The rank prepares and answers `Ready`.
    Assign(Box<Assignment>),
    /// All ranks are ready: meet and train. The rank answers with rows, checkpoints, then `Done` or `Failed`.
    Go(Go),
    /// All ranks are done and the final checkpoint is durable: exit with 0.
    End,
}

/// What a rank runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The attempt that it is part of.
    pub attempt: AttemptId,
    /// Which of the gang's ranks it is, from 0.
    pub rank: u32,
    /// The canonical job; `resources.ranks` is the size of the gang.
    pub job: Job,
    /// Where chunks are read and checkpoints written.
    pub coordinator: String,
    /// The checkpoint to go on from.
    pub resume: Option<Digest>,
}

/// The membership of a gang.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Go {
    /// Counts memberships within the attempt, from 1.
    pub generation: u64,
    /// The address of each rank, by rank.
    pub addresses: Vec<String>,
}

/// What a rank reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// Prepared; peers may connect to this address.
    Ready {
        /// `host:port`.
        address: String,
    },
    /// A step was committed (rank 0 only).
    Row(Box<MetricRow>),
    /// A checkpoint is durable (rank 0 only).
    Checkpoint {
        /// The step it holds.
        step: u64,
        /// Its digest.
        digest: Digest,
    },
    /// The last step is applied; on rank 0 also: the final checkpoint is durable.
    Done {
        /// The last step.
        step: u64,
        /// The digest of all of S, which must be the same on every rank.
        state_digest: String,
    },
    /// The rank cannot go on and exits.
    Failed(Failure),
    /// The process has ended. Sent by the worker, not by the rank.
    Exited(Exit),
}

/// Why something could not go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Whether another attempt may go better.
    pub kind: FailureKind,
    /// One sentence: what, where, and what to do.
    pub message: String,
}

/// Whether another attempt may go better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// It may: a lost peer, a broken connection, a killed process.
    Passing,
    /// It will not: a bad chunk, a model that does not fit its data.
    Lasting,
}

/// How a rank process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// `exit status 1` or `signal 9 (SIGKILL)`.
    pub status: String,
    /// Whether it was exit status 0.
    pub clean: bool,
    /// The last lines it wrote to its log.
    pub last_lines: Vec<String>,
}

/// How far a rank has come, as its worker knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Started, not yet prepared.
    Starting,
    /// Prepared, waiting for the others.
    Ready {
        /// `host:port`.
        address: String,
    },
    /// Told to go.
    Running,
    /// Its last step is applied.
    Done {
        /// The last step.
        step: u64,
        /// The digest of all of S.
        state_digest: String,
    },
}
