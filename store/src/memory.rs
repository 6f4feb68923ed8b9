//! The twin in memory: the same results as on disk, for simulations and tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::batch::Batch;
use crate::digest::{ChunkDigest, digest_of};
use crate::error::Error;
use crate::pin::{Pin, Pins};
use crate::range::{is_void, starting_with};
use crate::store::{Collected, MAX_KEY_BYTES, Record, Store, Usage};

/// A [`Store`] that forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct Memory {
    kept: Mutex<Kept>,
    pins: Arc<Pins>,
}

#[derive(Debug, Default)]
struct Kept {
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    chunks: BTreeMap<ChunkDigest, Chunk>,
}

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    references: u64,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Memory {
        Memory::default()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.kept().records.get(key).cloned())
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Record>, Error> {
        let range = starting_with(prefix, after);
        if is_void(&range) {
            return Ok(Vec::new());
        }
        let kept = self.kept();
        let found = kept.records.range(range).take(limit);
        Ok(found
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn last(&self, prefix: &[u8]) -> Result<Option<Record>, Error> {
        let kept = self.kept();
        let found = kept.records.range(starting_with(prefix, None)).next_back();
        Ok(found.map(|(key, value)| (key.clone(), value.clone())))
    }

    fn commit(&self, batch: Batch) -> Result<(), Error> {
        let mut kept = self.kept();
        if let Some(key) = batch.records.keys().find(|key| key.len() > MAX_KEY_BYTES) {
            return Err(Error::KeyTooLong {
                length: key.len(),
                limit: MAX_KEY_BYTES,
            });
        }
        let mut counts = Vec::with_capacity(batch.counts.len());
        for (&digest, change) in &batch.counts {
            let count = match kept.chunks.get(&digest) {
                Some(chunk) => chunk.references,
                None if change.references > 0 => return Err(Error::UnknownChunk { digest }),
                None => return Err(Error::NotReferenced { digest }),
            };
            let count = change.of(count).ok_or(Error::NotReferenced { digest })?;
            counts.push((digest, count));
        }
        for (digest, count) in counts {
            if let Some(chunk) = kept.chunks.get_mut(&digest) {
                chunk.references = count;
            }
        }
        for (key, value) in batch.records {
            match value {
                Some(value) => kept.records.insert(key, value),
                None => kept.records.remove(&key),
            };
        }
        Ok(())
    }

    fn put_chunk(&self, bytes: &[u8]) -> Result<Pin, Error> {
        let digest = digest_of(bytes);
        let mut kept = self.kept();
        kept.chunks.entry(digest).or_insert_with(|| Chunk {
            bytes: bytes.to_vec(),
            references: 0,
        });
        Ok(self.pins.pin(digest))
    }

    fn pin(&self, digest: &ChunkDigest) -> Result<Option<Pin>, Error> {
        let kept = self.kept();
        Ok(kept
            .chunks
            .contains_key(digest)
            .then(|| self.pins.pin(*digest)))
    }

    fn chunk(&self, digest: &ChunkDigest) -> Result<Vec<u8>, Error> {
        let kept = self.kept();
        let chunk = kept.chunks.get(digest);
        chunk
            .map(|chunk| chunk.bytes.clone())
            .ok_or(Error::UnknownChunk { digest: *digest })
    }

    fn contains(&self, digest: &ChunkDigest) -> Result<bool, Error> {
        Ok(self.kept().chunks.contains_key(digest))
    }

    fn collect(&self) -> Result<Collected, Error> {
        let mut kept = self.kept();
        let mut done = Collected::default();
        kept.chunks.retain(|digest, chunk| {
            let live = chunk.references > 0 || self.pins.holds(digest);
            if !live {
                done.chunks += 1;
                done.bytes += chunk.bytes.len() as u64;
            }
            live
        });
        Ok(done)
    }

    fn usage(&self) -> Result<Usage, Error> {
        let mut usage = Usage::default();
        for (digest, chunk) in &self.kept().chunks {
            if chunk.references > 0 || self.pins.holds(digest) {
                usage.chunks += 1;
                usage.live_bytes += chunk.bytes.len() as u64;
            }
        }
        Ok(usage)
    }
}
