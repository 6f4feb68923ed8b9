//! What training needs of the store: datasets, chunks and checkpoints, wherever they are kept.

use std::sync::Arc;

use data::{ChunkSource, SourceError};
use spec::job::SplitRef;
use spec::rank::{Failure, FailureKind};
use spec::{AttemptId, CheckpointManifest, DatasetManifest, Digest, JobId};

/// Where datasets and checkpoints are kept. Failures say whether another attempt may go better.
pub trait Depot: Send + Sync {
    /// The manifest of the dataset that a reference means.
    ///
    /// # Errors
    /// It is unknown or cannot be reached.
    fn dataset(&self, reference: &SplitRef) -> Result<DatasetManifest, Failure>;

    /// The bytes of a chunk.
    ///
    /// # Errors
    /// It is unknown, corrupt, or cannot be reached.
    fn chunk(&self, digest: &Digest) -> Result<Vec<u8>, Failure>;

    /// Makes a checkpoint durable: the chunks, then the manifest that names them.
    ///
    /// # Errors
    /// The attempt is over, or the depot cannot be reached or written.
    fn save(
        &self,
        attempt: AttemptId,
        chunks: &[&[u8]],
        manifest: &CheckpointManifest,
    ) -> Result<Digest, Failure>;

    /// The complete checkpoints of a job, oldest first.
    ///
    /// # Errors
    /// They cannot be reached.
    fn checkpoints(&self, job: JobId) -> Result<Vec<CheckpointManifest>, Failure>;
}

/// A failure after which another attempt may go better.
pub fn passing(message: impl ToString) -> Failure {
    Failure {
        kind: FailureKind::Passing,
        message: message.to_string(),
    }
}

/// A failure that every attempt would meet.
pub fn lasting(message: impl ToString) -> Failure {
    Failure {
        kind: FailureKind::Lasting,
        message: message.to_string(),
    }
}

/// A depot as the data loader reads it.
#[derive(Clone)]
pub struct DepotChunks(pub Arc<dyn Depot>);

/// A failure as the data loader passes it on.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
pub struct ChunkFailure(pub Failure);

impl ChunkSource for DepotChunks {
    fn chunk(&self, digest: &Digest) -> Result<Vec<u8>, SourceError> {
        self.0
            .chunk(digest)
            .map_err(|failure| SourceError::new(ChunkFailure(failure)))
    }
}
