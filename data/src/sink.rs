//! Where an importer puts chunks.

use spec::Digest;

/// Keeps chunks: a store, a connection to one, or memory.
pub trait ChunkSink {
    /// Keeps `bytes` and gives the digest of them by which they are found again.
    ///
    /// # Errors
    /// Whatever kept the sink from keeping them.
    fn put(&mut self, bytes: Vec<u8>) -> Result<Digest, SinkError>;
}

/// Why a sink did not keep a chunk.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SinkError(pub Box<dyn std::error::Error + Send + Sync>);

impl SinkError {
    /// Wraps the sink's own error.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        SinkError(error.into())
    }
}
