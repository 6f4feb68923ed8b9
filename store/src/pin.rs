//! Pins: chunks that are in use but not yet referred to by any record.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::digest::ChunkDigest;

/// Keeps one chunk from being collected until it is dropped. Pins live in memory only: after a
/// restart, a chunk without a reference is collected.
#[derive(Debug)]
#[must_use = "without its pin, a chunk that no record refers to may be collected at any time"]
pub struct Pin {
    digest: ChunkDigest,
    pins: Arc<Pins>,
}

impl Pin {
    /// The digest of the chunk that this pin holds.
    pub fn digest(&self) -> ChunkDigest {
        self.digest
    }
}

impl Clone for Pin {
    fn clone(&self) -> Pin {
        self.pins.pin(self.digest)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut held = self.pins.held();
        if let Some(count) = held.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.digest);
            }
        }
    }
}

/// The pins of one store, counted by chunk.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    held: Mutex<BTreeMap<ChunkDigest, u64>>,
}

impl Pins {
    /// A further pin on `digest`.
    pub(crate) fn pin(self: &Arc<Self>, digest: ChunkDigest) -> Pin {
        *self.held().entry(digest).or_default() += 1;
        Pin {
            digest,
            pins: Arc::clone(self),
        }
    }

    /// Whether any pin holds `digest`.
    pub(crate) fn holds(&self, digest: &ChunkDigest) -> bool {
        self.held().contains_key(digest)
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<ChunkDigest, u64>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
