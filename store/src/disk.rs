//! The store on disk: records in sled, chunks above a few KiB in packs beside it.

mod collect;
mod commit;
mod layout;
mod ledger;
mod lock;
mod mark;
mod pack;
mod records;
#[cfg(test)]
mod tests;
mod vault;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use self::layout::{Value, record_key};
use self::vault::Vault;
use crate::batch::Batch;
use crate::digest::ChunkDigest;
use crate::error::Error;
use crate::pin::Pin;
use crate::range::starting_with;
use crate::store::{Collected, Record, Store, Usage};

/// A [`Store`] in a directory, which one process at a time may have open.
#[derive(Debug)]
pub struct Disk {
    vault: Vault,
}

impl Disk {
    /// Opens the store in `dir`, which is made if it is not there. What an earlier process wrote
    /// but never committed is cleared away.
    ///
    /// Fails if the directory is in use ([`Error::Locked`]), from a later version
    /// ([`Error::NewerSchema`]), not a directory, not writable, full or damaged.
    pub fn open(dir: &Path) -> Result<Disk, Error> {
        Ok(Disk {
            vault: Vault::open(dir)?,
        })
    }

    /// A record as the caller knows it, from its entry in sled. The view must be held, so that a
    /// value kept apart is still in the index.
    fn record(&self, key: &[u8], entry: &[u8]) -> Result<Record, Error> {
        let key = key.get(1..).unwrap_or_default().to_vec();
        let value = match Value::decode(entry).ok_or_else(|| self.vault.damaged())? {
            Value::Here(value) => value,
            Value::Apart(digest) => {
                let slot = self.vault.indexed(&digest)?;
                let slot = slot.ok_or_else(|| self.vault.damaged())?;
                self.vault.read(&digest, &slot)?
            }
        };
        Ok((key, value))
    }
}

impl Store for Disk {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let key = record_key(key);
        let _view = self.vault.records.view();
        let entry = self.vault.records.get(&key)?;
        let record = entry.map(|entry| self.record(&key, &entry)).transpose()?;
        Ok(record.map(|(_, value)| value))
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Record>, Error> {
        let after = after.map(record_key);
        let range = starting_with(&record_key(prefix), after.as_deref());
        let _view = self.vault.records.view();
        let entries = self.vault.records.entries(range, limit)?;
        let records = entries.iter().map(|(key, entry)| self.record(key, entry));
        records.collect()
    }

    fn last(&self, prefix: &[u8]) -> Result<Option<Record>, Error> {
        let range = starting_with(&record_key(prefix), None);
        let _view = self.vault.records.view();
        let entry = self.vault.records.last(range)?;
        let record = entry.map(|(key, entry)| self.record(&key, &entry));
        record.transpose()
    }

    fn commit(&self, batch: Batch) -> Result<(), Error> {
        commit::commit(&self.vault, batch)
    }

    fn put_chunk(&self, bytes: &[u8]) -> Result<Pin, Error> {
        self.vault.put(bytes)
    }

    fn pin(&self, digest: &ChunkDigest) -> Result<Option<Pin>, Error> {
        // Pinned before it is looked for, so that no collection comes between.
        let pin = self.vault.pins.pin(*digest);
        Ok(self.vault.find(digest)?.map(|_| pin))
    }

    fn chunk(&self, digest: &ChunkDigest) -> Result<Vec<u8>, Error> {
        self.vault.chunk(digest)
    }

    fn contains(&self, digest: &ChunkDigest) -> Result<bool, Error> {
        Ok(self.vault.find(digest)?.is_some())
    }

    fn collect(&self) -> Result<Collected, Error> {
        collect::collect(&self.vault)
    }

    fn usage(&self) -> Result<Usage, Error> {
        let (chunks, bytes, dead_chunks, dead_bytes) = {
            let ledger = self.vault.ledger();
            let (chunks, bytes) = ledger.totals();
            let dead = ledger.idle();
            let dead = dead.filter(|(digest, _)| !self.vault.pins.holds(digest));
            let (count, length) = dead.fold((0, 0), |(count, sum), (_, length)| {
                (count + 1, sum + length)
            });
            (chunks, bytes, count, length)
        };
        Ok(Usage {
            chunks: chunks - dead_chunks,
            live_bytes: bytes - dead_bytes,
            disk_bytes: bytes_below(self.vault.records.dir())?,
            packs: self.vault.packs.lengths()?.len() as u64,
        })
    }
}

/// The lengths of all files below `dir`, in bytes; files that go meanwhile count nothing.
fn bytes_below(dir: &Path) -> Result<u64, Error> {
    let failed = |source| Error::io("measure", dir, source);
    let mut bytes = 0;
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        match entry.metadata() {
            Ok(found) if found.is_dir() => bytes += bytes_below(&entry.path())?,
            Ok(found) => bytes += found.len(),
            Err(source) if source.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(failed(source)),
        }
    }
    Ok(bytes)
}
