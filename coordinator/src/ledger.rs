//! The coordinator's records in the store: jobs, attempts, history, metric rows, datasets, checkpoints.

mod checkpoints;
mod datasets;
mod jobs;
mod records;

pub use checkpoints::Checkpoint;
pub use datasets::Dataset;
pub use jobs::{Occurrence, SubmittedJob};
pub use records::Ledger;
