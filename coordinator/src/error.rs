//! What can go wrong in the coordinator.

use std::net::SocketAddr;

use spec::checkpoint::UnsuitedLength;
use spec::monitor::Monitor;
use spec::schedule::TooLong;
use spec::{AttemptId, Digest, JobId};

/// What can go wrong in the coordinator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A record that does not parse.
    #[error(
        "the record {key} in the store does not parse: {source}; restore the data directory from a backup"
    )]
    BadRecord {
        /// Its key.
        key: String,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A record of another version.
    #[error(
        "the record {key} in the store has version {version:?}, this program reads 1: use the newer trainyard"
    )]
    RecordVersion {
        /// Its key.
        key: String,
        /// Its version byte, if there is one.
        version: Option<u8>,
    },
    /// No such job.
    #[error("no job \"{reference}\": `trainyard job list` shows the ids and names there are")]
    UnknownJob {
        /// What was asked for.
        reference: String,
    },
    /// No such dataset or version of it.
    #[error(
        "no dataset \"{name}\"{}: {}",
        digest.map(|digest| format!(" with digest {digest}")).unwrap_or_default(),
        if known.is_empty() { "none has been imported, see `trainyard data import --help`".to_string() } else { format!("there are {}", known.join(", ")) }
    )]
    UnknownDataset {
        /// The name that was asked for.
        name: String,
        /// The digest that was asked for.
        digest: Option<Digest>,
        /// The names there are.
        known: Vec<String>,
    },
    /// A dataset without the split.
    #[error("dataset \"{dataset}\" has no split \"{split}\": it has {}", known.join(", "))]
    UnknownSplit {
        /// The dataset.
        dataset: String,
        /// The split that was asked for.
        split: String,
        /// The splits it has.
        known: Vec<String>,
    },
    /// Training and validation data of different kinds.
    #[error("{train} and {validation} differ in {difference}: one model cannot read both")]
    SplitsDiffer {
        /// The training split.
        train: String,
        /// The validation split.
        validation: String,
        /// `shape`, `classes`, `vocabulary` or `element type`.
        difference: &'static str,
    },
    /// A `data.sequence_length` that the data does not have or needs.
    #[error(transparent)]
    SequenceLength(#[from] UnsuitedLength),
    /// A schedule that takes at least as long as the run.
    #[error(
        "{key} = {value} is not below the {length} {unit} of the run: lower it, or train for longer",
        key = .0.key, value = .0.value, length = .0.length, unit = .0.unit
    )]
    ScheduleTooLong(TooLong),
    /// Balanced weights of classes of which one has no rows.
    #[error(
        "training.loss.cross_entropy.class_weights: class \"{class}\" has no training rows, and so no balanced weight: write the weights as numbers"
    )]
    NoRowsToBalance {
        /// The class.
        class: String,
    },
    /// Balanced weights of the tokens of a stream.
    #[error(
        "training.loss.cross_entropy.class_weights: the classes are the tokens of a stream, which are not counted: write the weights as numbers, or leave them out"
    )]
    NothingToBalance,
    /// `drop_last` with fewer rows than a batch.
    #[error(
        "{rows} training rows make no full batch of {batch_size}: lower training.batch_size or set training.drop_last = false"
    )]
    NoFullBatch {
        /// Rows there are.
        rows: u64,
        /// Samples of a step.
        batch_size: u32,
    },
    /// A job that no plan can be made for.
    #[error("{0}")]
    Plan(#[from] plan::Error),
    /// A job whose ranks do not fit into the memory that there is.
    #[error("{0}")]
    TooLarge(Box<plan::Misfit>),
    /// A job name that another dataset or job may not have.
    #[error(
        "\"{name}\" is not a name: use a-z, 0-9, dot, underscore and hyphen, beginning with a letter or digit"
    )]
    BadName {
        /// The name that was given.
        name: String,
    },
    /// A manifest that names a chunk which was not sent.
    #[error("dataset \"{dataset}\" names chunk {digest}, which was not sent: import it again")]
    MissingChunk {
        /// The dataset.
        dataset: String,
        /// The chunk.
        digest: Digest,
    },
    /// No such checkpoint.
    #[error(
        "no checkpoint \"{reference}\": give a job, job@step, job@best or at least 8 hex digits, `trainyard checkpoint list` shows them"
    )]
    UnknownCheckpoint {
        /// What was asked for.
        reference: String,
    },
    /// A prefix that fits several checkpoints.
    #[error("\"{reference}\" fits several checkpoints: give more digits")]
    AmbiguousCheckpoint {
        /// The prefix.
        reference: String,
    },
    /// A job that has no checkpoint yet.
    #[error("{job} has no complete checkpoint yet")]
    NoCheckpoint {
        /// The job.
        job: JobId,
    },
    /// A job none of whose checkpoints has a value to be the best by.
    #[error(
        "{job} has no checkpoint with a {monitor}, so none is its best: give {job} (its newest) or {job}@step; data.validation makes a job validate"
    )]
    NeverValidated {
        /// The job.
        job: JobId,
        /// What it would be judged by.
        monitor: Monitor,
    },
    /// A checkpoint that its job may still go on from.
    #[error(
        "{job} has not ended and may go on from its checkpoint of step {step}: wait for its end, or cancel it first"
    )]
    CheckpointNeeded {
        /// The job.
        job: JobId,
        /// The step that the checkpoint holds.
        step: u64,
    },
    /// A checkpoint of an attempt that is over.
    #[error("{attempt} is not the current attempt of its job: its checkpoint is refused")]
    StaleAttempt {
        /// The attempt that tried.
        attempt: AttemptId,
    },
    /// Another worker of this name is connected.
    #[error("a worker named \"{name}\" is connected already: choose another with --name")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server ended with an error.
    #[error("the server failed: {0}")]
    Serve(#[from] tonic::transport::Error),
    /// The driver has ended, and with it the coordinator.
    #[error("the coordinator is stopping")]
    Stopping,
}
