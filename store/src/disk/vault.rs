//! Records, packs and ledger together: finding, reading, writing and moving one chunk.
//!
//! Locks are taken in the order ledger, view of the records; none is held while a pack is read,
//! written or synced. A chunk's bytes are in a pack, and synced, before the index says so; a pack is
//! removed after the index has durably stopped saying so.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::layout::{
    CHUNKS, INLINE_BYTES, Place, SCHEMA, SCHEMA_KEY, Slot, chunk_key, count_key, number,
};
use super::ledger::{Fresh, Ledger, Moved};
use super::lock::{claim, make_directory};
use super::pack::Packs;
use super::records::{Purpose, Records};
use crate::digest::{ChunkDigest, digest_of};
use crate::error::Error;
use crate::pin::{Pin, Pins};
use crate::range::starting_with;

/// Index entries read at a time.
const PAGE: usize = 1024;

/// The open store.
#[derive(Debug)]
pub(super) struct Vault {
    pub(super) records: Records,
    pub(super) packs: Packs,
    pub(super) pins: Arc<Pins>,
    /// One collection at a time.
    pub(super) collecting: Mutex<()>,
    ledger: Mutex<Ledger>,
}

/// A chunk that was copied to another place, and is durable there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    pub(super) digest: ChunkDigest,
    pub(super) old: Place,
    pub(super) new: Place,
}

impl Vault {
    /// Opens or creates the store in `dir`.
    pub(super) fn open(dir: &Path) -> Result<Vault, Error> {
        make_directory(dir)?;
        let records = Records::open(dir, claim(dir)?)?;
        check_schema(&records)?;
        let vault = Vault {
            packs: Packs::open(dir.join("packs"))?,
            records,
            pins: Arc::default(),
            collecting: Mutex::default(),
            ledger: Mutex::default(),
        };
        vault.take_stock()?;
        Ok(vault)
    }

    /// Fills the ledger from the index, and removes what no index entry knows from the packs.
    fn take_stock(&self) -> Result<(), Error> {
        let mut ledger = self.ledger();
        self.for_each_indexed(|digest, slot| {
            let count = self.count(&digest)?;
            ledger.found(digest, &slot, count);
            Ok(())
        })?;
        let lengths = self.packs.lengths()?;
        for (&id, &length) in &lengths {
            ledger.pass_over(id);
            match ledger.end_of(id) {
                None => self.packs.remove(id)?,
                Some(end) if length > end => drop(self.packs.reopen(id, end)?),
                Some(_) => {}
            }
        }
        if let Some((id, end)) = ledger.newest_with_room()
            && lengths.get(&id).is_some_and(|&length| length >= end)
        {
            let file = self.packs.reopen(id, end)?;
            ledger.append_to(id, file);
        }
        Ok(())
    }

    /// The books.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `visit` for every chunk in the index, in the order of their digests.
    pub(super) fn for_each_indexed(
        &self,
        mut visit: impl FnMut(ChunkDigest, Slot) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let range = starting_with(CHUNKS, after.as_deref());
            let page = self.records.entries(range, PAGE)?;
            for (key, entry) in &page {
                let digest = key[CHUNKS.len()..].try_into();
                let digest = digest.map_err(|_| self.damaged())?;
                visit(digest, Slot::decode(entry).ok_or_else(|| self.damaged())?)?;
            }
            match page.last() {
                Some((key, _)) if page.len() == PAGE => after = Some(key.to_vec()),
                _ => return Ok(()),
            }
        }
    }

    /// What the index says of a chunk.
    pub(super) fn indexed(&self, digest: &ChunkDigest) -> Result<Option<Slot>, Error> {
        let entry = self.records.get(&chunk_key(digest))?;
        let slot = entry.map(|entry| Slot::decode(&entry).ok_or_else(|| self.damaged()));
        slot.transpose()
    }

    /// How many references to a chunk there are.
    pub(super) fn count(&self, digest: &ChunkDigest) -> Result<u64, Error> {
        let entry = self.records.get(&count_key(digest))?;
        entry.map_or(Ok(0), |entry| number(&entry).ok_or_else(|| self.damaged()))
    }

    /// Where a chunk is, `None` if it is not kept.
    pub(super) fn find(&self, digest: &ChunkDigest) -> Result<Option<Slot>, Error> {
        // In this order: a commit takes a chunk from the ledger after it put it into the index.
        let fresh = self.ledger().fresh(digest).map(|fresh| fresh.place);
        match fresh {
            Some(place) => Ok(Some(Slot::Packed(place))),
            None => self.indexed(digest),
        }
    }

    /// The bytes of a chunk, verified.
    pub(super) fn chunk(&self, digest: &ChunkDigest) -> Result<Vec<u8>, Error> {
        let mut tried = None;
        loop {
            let slot = self.find(digest)?;
            let slot = slot.ok_or(Error::UnknownChunk { digest: *digest })?;
            match self.read(digest, &slot) {
                // A collection may have moved it between finding and reading.
                Err(Error::CorruptChunk { .. }) if tried.as_ref() != Some(&slot) => {
                    tried = Some(slot);
                }
                read => return read,
            }
        }
    }

    /// The bytes at `slot`, verified.
    pub(super) fn read(&self, digest: &ChunkDigest, slot: &Slot) -> Result<Vec<u8>, Error> {
        let (bytes, pack, offset) = match slot {
            Slot::Inline(bytes) => (Some(bytes.clone()), self.records.dir().join("records"), 0),
            Slot::Packed(place) => (
                self.packs.read(*place)?,
                self.packs.path(place.pack),
                place.offset,
            ),
        };
        let good = bytes.filter(|bytes| digest_of(bytes) == *digest);
        good.ok_or(Error::CorruptChunk {
            digest: *digest,
            pack,
            offset,
        })
    }

    /// Keeps `bytes` under their digest, pinned.
    pub(super) fn put(&self, bytes: &[u8]) -> Result<Pin, Error> {
        let digest = digest_of(bytes);
        // Pinned before it is looked for, so that no collection comes between.
        let pin = self.pins.pin(digest);
        match self.find(&digest)? {
            Some(slot) => match self.read(&digest, &slot) {
                Err(Error::CorruptChunk { .. }) => self.replace(digest, &slot, bytes)?,
                read => drop(read?),
            },
            None if bytes.len() <= INLINE_BYTES => self.add_inline(digest, bytes)?,
            None => self.add_packed(digest, bytes)?,
        }
        Ok(pin)
    }

    /// Appends `bytes` to a pack; the place counts as live until it is abandoned.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<(Place, Arc<File>), Error> {
        let length = bytes.len() as u64;
        self.records.ready(length, Purpose::Keep)?;
        let (place, file) = {
            let mut ledger = self.ledger();
            match ledger.reserve(length) {
                Some(reserved) => reserved,
                None => {
                    let id = ledger.next_pack();
                    let file = self.packs.create(id);
                    ledger.append_to(id, file.map_err(|error| self.records.stop(error))?);
                    let reserved = ledger.reserve(length);
                    reserved.expect("a new pack has room")
                }
            }
        };
        match self.packs.write(&file, place, bytes) {
            Ok(()) => Ok((place, file)),
            Err(error) => {
                self.ledger().abandon(place);
                Err(self.records.stop(error))
            }
        }
    }

    /// Waits until what was written to pack `id` is durable.
    pub(super) fn sync(&self, id: u64, file: &File) -> Result<(), Error> {
        let synced = self.packs.sync(id, file);
        // After a failed sync the system may have dropped the bytes: a second try proves nothing.
        synced.map_err(|error| self.records.stop(error))
    }

    /// Makes the new places of copied chunks known; durable on return. A chunk that meanwhile was
    /// removed, or is elsewhere, stays as it is.
    pub(super) fn relocate(&self, moves: &[Move]) -> Result<(), Error> {
        let ticket = {
            let mut ledger = self.ledger();
            let mut batch = sled::Batch::default();
            let mut indexed = Vec::new();
            for Move { digest, old, new } in moves {
                match ledger.moved(digest, *old, *new) {
                    Moved::Here => {}
                    Moved::NotFresh if self.indexed(digest)? == Some(Slot::Packed(*old)) => {
                        batch.insert(chunk_key(digest), Slot::Packed(*new).encode());
                        indexed.push(*old);
                    }
                    Moved::NotFresh | Moved::Elsewhere => ledger.abandon(*new),
                }
            }
            let ticket = self.records.apply(batch)?;
            for old in indexed {
                ledger.abandon(old);
            }
            ticket
        };
        self.records.settle(ticket)
    }

    /// The error of an entry that cannot be understood.
    pub(super) fn damaged(&self) -> Error {
        Error::Damaged {
            dir: self.records.dir().to_path_buf(),
        }
    }

    fn add_inline(&self, digest: ChunkDigest, bytes: &[u8]) -> Result<(), Error> {
        self.records.ready(bytes.len() as u64, Purpose::Keep)?;
        let mut ledger = self.ledger();
        if self.indexed(&digest)?.is_none() {
            let mut batch = sled::Batch::default();
            batch.insert(chunk_key(&digest), Slot::Inline(bytes.to_vec()).encode());
            // Settled by the commit that refers to it.
            let _unsettled = self.records.apply(batch)?;
            ledger.admit_indexed(digest, bytes.len() as u64);
        }
        Ok(())
    }

    fn add_packed(&self, digest: ChunkDigest, bytes: &[u8]) -> Result<(), Error> {
        let (place, file) = self.write(bytes)?;
        let mut ledger = self.ledger();
        if ledger.fresh(&digest).is_some() || self.indexed(&digest)?.is_some() {
            // Another thread put the same bytes meanwhile.
            ledger.abandon(place);
        } else {
            let unsynced = Some(file);
            ledger.admit(digest, Fresh { place, unsynced });
        }
        Ok(())
    }

    /// Writes a chunk anew whose bytes at `slot` are damaged.
    fn replace(&self, digest: ChunkDigest, slot: &Slot, bytes: &[u8]) -> Result<(), Error> {
        tracing::warn!(?slot, "a damaged chunk is written anew");
        match slot {
            Slot::Inline(_) => {
                self.records.ready(bytes.len() as u64, Purpose::Keep)?;
                let mut batch = sled::Batch::default();
                batch.insert(chunk_key(&digest), Slot::Inline(bytes.to_vec()).encode());
                let ticket = self.records.apply(batch)?;
                self.records.settle(ticket)
            }
            Slot::Packed(old) => {
                let (new, file) = self.write(bytes)?;
                self.sync(new.pack, &file)?;
                let old = *old;
                self.relocate(&[Move { digest, old, new }])
            }
        }
    }
}

fn check_schema(records: &Records) -> Result<(), Error> {
    let dir = records.dir().to_path_buf();
    let Some(entry) = records.get(SCHEMA_KEY)? else {
        let mut batch = sled::Batch::default();
        batch.insert(SCHEMA_KEY, &SCHEMA.to_le_bytes());
        let ticket = records.apply(batch)?;
        return records.settle(ticket);
    };
    let found = entry.as_ref().try_into().map(u32::from_le_bytes);
    match found {
        Ok(found) if found > SCHEMA => Err(Error::NewerSchema {
            dir,
            found,
            known: SCHEMA,
        }),
        Ok(_) => Ok(()),
        Err(_) => Err(Error::Damaged { dir }),
    }
}
