//! A batch: the changes of one decision, applied whole or not at all.

use std::collections::BTreeMap;

use crate::digest::ChunkDigest;

/// Changes to records and to reference counts that [`Store::commit`](crate::Store::commit) applies
/// as one. Of several changes to one key the last counts.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub(crate) records: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    pub(crate) counts: BTreeMap<ChunkDigest, Change>,
}

/// How a batch changes the reference count of one chunk.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Change {
    pub(crate) references: u64,
    pub(crate) releases: u64,
}

impl Change {
    /// The count after this change, if it does not fall below zero.
    pub(crate) fn of(self, count: u64) -> Option<u64> {
        count
            .checked_add(self.references)?
            .checked_sub(self.releases)
    }
}

impl Batch {
    /// A batch without changes.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Writes `value` under `key`.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> &mut Batch {
        self.records.insert(key.into(), Some(value.into()));
        self
    }

    /// Removes the record under `key`, if there is one.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) -> &mut Batch {
        self.records.insert(key.into(), None);
        self
    }

    /// Adds one reference to a chunk, which must be in the store by the time of the commit.
    pub fn reference(&mut self, digest: ChunkDigest) -> &mut Batch {
        self.counts.entry(digest).or_default().references += 1;
        self
    }

    /// Takes one reference to a chunk away.
    pub fn release(&mut self, digest: ChunkDigest) -> &mut Batch {
        self.counts.entry(digest).or_default().releases += 1;
        self
    }

    /// Whether the batch changes nothing.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.counts.is_empty()
    }
}
