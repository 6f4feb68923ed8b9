//! Commit: one decision becomes one sled batch, after the chunks that it refers to are synced.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use super::layout::{INLINE_BYTES, Place, Slot, Value, chunk_key, count_key, record_key};
use super::ledger::Ledger;
use super::records::Purpose;
use super::vault::Vault;
use crate::batch::{Batch, Change};
use crate::digest::ChunkDigest;
use crate::error::Error;
use crate::pin::Pin;
use crate::store::MAX_KEY_BYTES;

/// Applies `batch` whole; durable on return.
pub(super) fn commit(vault: &Vault, batch: Batch) -> Result<(), Error> {
    if let Some(key) = batch.records.keys().find(|key| key.len() > MAX_KEY_BYTES) {
        return Err(Error::KeyTooLong {
            length: key.len(),
            limit: MAX_KEY_BYTES,
        });
    }
    if batch.is_empty() {
        return Ok(());
    }
    let (bytes, purpose) = weigh(&batch);
    vault.records.ready(bytes, purpose)?;
    let draft = Draft::of(vault, batch)?;
    let ticket = loop {
        let mut ledger = vault.ledger();
        let outcomes = draft.outcomes(vault, &ledger)?;
        let unsynced: Vec<Unsynced> = outcomes.iter().filter_map(Outcome::unsynced).collect();
        if unsynced.is_empty() {
            let ticket = vault.records.apply(draft.batch(&outcomes))?;
            for outcome in outcomes {
                if outcome.fresh.is_some() && outcome.count > 0 {
                    ledger.indexed(&outcome.digest);
                }
                ledger.counted(outcome.digest, outcome.length, outcome.count);
            }
            break ticket;
        }
        drop(ledger);
        sync(vault, &unsynced)?;
    };
    vault.records.settle(ticket)
}

/// A batch with every long value kept apart as a chunk.
struct Draft {
    /// By the entries' keys in sled.
    entries: BTreeMap<Vec<u8>, Option<Value>>,
    counts: BTreeMap<ChunkDigest, Change>,
    /// Hold the values kept apart until the batch refers to them.
    _pins: Vec<Pin>,
}

/// What becomes of one chunk.
struct Outcome {
    digest: ChunkDigest,
    length: u64,
    /// Its references after the commit.
    count: u64,
    /// Its place, and its pack if that has to be synced, when it is not in the index yet.
    fresh: Option<(Place, Option<Arc<File>>)>,
}

struct Unsynced {
    digest: ChunkDigest,
    place: Place,
    file: Arc<File>,
}

impl Draft {
    fn of(vault: &Vault, batch: Batch) -> Result<Draft, Error> {
        let mut counts = batch.counts;
        let mut entries = BTreeMap::new();
        let mut pins = Vec::new();
        for (key, value) in batch.records {
            let value = match value {
                Some(value) if value.len() > INLINE_BYTES => {
                    let pin = vault.put(&value)?;
                    counts.entry(pin.digest()).or_default().references += 1;
                    let apart = Value::Apart(pin.digest());
                    pins.push(pin);
                    Some(apart)
                }
                value => value.map(Value::Here),
            };
            entries.insert(record_key(&key), value);
        }
        Ok(Draft {
            entries,
            counts,
            _pins: pins,
        })
    }

    /// What the batch does to every chunk that it touches, the values that it replaces included.
    fn outcomes(&self, vault: &Vault, ledger: &Ledger) -> Result<Vec<Outcome>, Error> {
        let mut counts = self.counts.clone();
        for key in self.entries.keys() {
            let Some(entry) = vault.records.get(key)? else {
                continue;
            };
            if let Value::Apart(old) = Value::decode(&entry).ok_or_else(|| vault.damaged())? {
                counts.entry(old).or_default().releases += 1;
            }
        }
        let outcome = |(digest, change): (ChunkDigest, Change)| {
            let fresh = ledger.fresh(&digest);
            let length = match fresh {
                Some(fresh) => fresh.place.length,
                None => match vault.indexed(&digest)? {
                    Some(slot) => slot.length(),
                    None if change.references > 0 => return Err(Error::UnknownChunk { digest }),
                    None => return Err(Error::NotReferenced { digest }),
                },
            };
            let count = change.of(vault.count(&digest)?);
            Ok(Outcome {
                digest,
                length,
                count: count.ok_or(Error::NotReferenced { digest })?,
                fresh: fresh.map(|fresh| (fresh.place, fresh.unsynced.clone())),
            })
        };
        counts.into_iter().map(outcome).collect()
    }

    fn batch(&self, outcomes: &[Outcome]) -> sled::Batch {
        let mut batch = sled::Batch::default();
        for (key, value) in &self.entries {
            match value {
                Some(value) => batch.insert(key.as_slice(), value.encode()),
                None => batch.remove(key.as_slice()),
            }
        }
        for outcome in outcomes {
            let key = count_key(&outcome.digest);
            if outcome.count == 0 {
                batch.remove(key);
                continue;
            }
            batch.insert(key, &outcome.count.to_le_bytes());
            if let Some((place, _)) = outcome.fresh {
                batch.insert(chunk_key(&outcome.digest), Slot::Packed(place).encode());
            }
        }
        batch
    }
}

impl Outcome {
    fn unsynced(&self) -> Option<Unsynced> {
        match &self.fresh {
            Some((place, Some(file))) if self.count > 0 => Some(Unsynced {
                digest: self.digest,
                place: *place,
                file: Arc::clone(file),
            }),
            _ => None,
        }
    }
}

fn sync(vault: &Vault, unsynced: &[Unsynced]) -> Result<(), Error> {
    let files: BTreeMap<u64, &File> = unsynced
        .iter()
        .map(|chunk| (chunk.place.pack, chunk.file.as_ref()))
        .collect();
    for (id, file) in files {
        vault.sync(id, file)?;
    }
    let mut ledger = vault.ledger();
    for chunk in unsynced {
        ledger.synced(&chunk.digest, chunk.place);
    }
    Ok(())
}

/// The bytes that a batch adds, and whether it adds or makes space.
fn weigh(batch: &Batch) -> (u64, Purpose) {
    let records = batch.records.iter();
    let bytes: usize = records
        .map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len))
        .sum();
    let refers = batch.counts.values().any(|change| change.references > 0);
    let releases = batch.counts.values().any(|change| change.releases > 0);
    let deletes_only = batch.records.values().all(Option::is_none);
    let purpose = if !refers && (releases || deletes_only) {
        Purpose::Free
    } else {
        Purpose::Keep
    };
    (bytes as u64, purpose)
}
