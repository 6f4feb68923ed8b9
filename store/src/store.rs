//! The one narrow door to records and chunks.

use crate::batch::Batch;
use crate::digest::ChunkDigest;
use crate::error::Error;
use crate::pin::Pin;

/// The longest key of a record, in bytes.
pub const MAX_KEY_BYTES: usize = 1024;

/// The key and the value of a record.
pub type Record = (Vec<u8>, Vec<u8>);

/// Records and chunks, whoever keeps them. All methods may be called from any thread.
pub trait Store: Send + Sync {
    /// The value under `key`. Fails when the records cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// The records whose key starts with `prefix`, in key order, strictly after
    /// the key `after` if given, at most `limit`. A batch is seen whole or not at all.
    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize)
    -> Result<Vec<Record>, Error>;

    /// The record with the greatest key that starts with `prefix`.
    fn last(&self, prefix: &[u8]) -> Result<Option<Record>, Error>;

    /// Applies `batch` whole, and returns once it is durable, together with the chunks that it
    /// refers to. Commits of several threads share one wait for the disk.
    ///
    /// A batch that refers to a chunk that is not there ([`Error::UnknownChunk`]), or releases one
    /// too often ([`Error::NotReferenced`]), changes nothing; neither does a full disk
    /// ([`Error::DiskFull`]) that is noticed before writing. When writing itself fails the batch
    /// may or may not be there after a restart, and every later write is refused with
    /// [`Error::Stopped`].
    fn commit(&self, batch: Batch) -> Result<(), Error>;

    /// Keeps `bytes` under their digest, once, pinned until the returned [`Pin`] is dropped. They
    /// are durable when a commit that refers to them returns, not before. Bytes that are kept
    /// already are compared, and written anew if the kept ones are damaged.
    fn put_chunk(&self, bytes: &[u8]) -> Result<Pin, Error>;

    /// A pin on a chunk that is in the store already, `None` if it is not.
    fn pin(&self, digest: &ChunkDigest) -> Result<Option<Pin>, Error>;

    /// The bytes of a chunk, verified. Fails with [`Error::UnknownChunk`], or with
    /// [`Error::CorruptChunk`] if the bytes kept do not have the digest.
    fn chunk(&self, digest: &ChunkDigest) -> Result<Vec<u8>, Error>;

    /// Whether a chunk is in the store; its bytes are not looked at.
    fn contains(&self, digest: &ChunkDigest) -> Result<bool, Error>;

    /// Removes the chunks that no record refers to and no pin holds, and gives the space of mostly
    /// dead packs back. Costs next to nothing when there is nothing to remove.
    fn collect(&self) -> Result<Collected, Error>;

    /// What is kept, and the space that it takes.
    fn usage(&self) -> Result<Usage, Error>;
}

/// What one [`Store::collect`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Chunks removed.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Pack files removed.
    pub packs: u64,
    /// Bytes of live chunks that were copied out of mostly dead packs.
    pub moved_bytes: u64,
}

/// What a store keeps, and the space that it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Chunks that a record refers to or a pin holds.
    pub chunks: u64,
    /// Their bytes.
    pub live_bytes: u64,
    /// Bytes of all files of the store; 0 in memory.
    pub disk_bytes: u64,
    /// Pack files; 0 in memory.
    pub packs: u64,
}
