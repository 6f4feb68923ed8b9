//! Where rows are read from.

use spec::Digest;

/// Gives chunks: a store, a connection to one, or memory.
pub trait ChunkSource: Send + Sync {
    /// The bytes of the chunk with this digest. The reader verifies them against it.
    ///
    /// # Errors
    /// Whatever kept the source from giving them.
    fn chunk(&self, digest: &Digest) -> Result<Vec<u8>, SourceError>;
}

/// Why a source did not give a chunk.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

impl SourceError {
    /// Wraps the source's own error.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        SourceError(error.into())
    }
}
