//! What the store knows in memory about its chunks and packs; rebuilt from the index at opening.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use super::layout::{Place, Slot};
use crate::digest::ChunkDigest;

/// A pack that has grown to this many bytes is closed.
const PACK_BYTES: u64 = 64 << 20;

/// Chunks that the index does not have yet, chunks without a reference, and the packs' books.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    fresh: BTreeMap<ChunkDigest, Fresh>,
    /// Chunks that no record refers to, with their lengths.
    idle: BTreeMap<ChunkDigest, u64>,
    packs: BTreeMap<u64, Pack>,
    /// The pack that is appended to.
    open: Option<(u64, Arc<File>)>,
    next_pack: u64,
    chunks: u64,
    bytes: u64,
}

/// A chunk that was written to a pack but is not in the index: no commit referred to it yet.
#[derive(Clone, Debug)]
pub(super) struct Fresh {
    pub(super) place: Place,
    /// The pack, until the chunk is durable.
    pub(super) unsynced: Option<Arc<File>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Pack {
    /// Where the next chunk would begin.
    end: u64,
    /// Bytes of chunks, of those being written too.
    live: u64,
    /// Holds a chunk that cannot be read, so it is left as it is.
    spoilt: bool,
}

impl Ledger {
    /// Books an indexed chunk that was found at opening.
    pub(super) fn found(&mut self, digest: ChunkDigest, slot: &Slot, references: u64) {
        self.chunks += 1;
        self.bytes += slot.length();
        if references == 0 {
            self.idle.insert(digest, slot.length());
        }
        if let Slot::Packed(place) = slot {
            let pack = self.packs.entry(place.pack).or_default();
            pack.end = pack.end.max(place.offset.saturating_add(place.length));
            pack.live = pack.live.saturating_add(place.length);
            self.next_pack = self.next_pack.max(place.pack.saturating_add(1));
        }
    }

    /// Where the chunks of pack `id` end, `None` if it has none.
    pub(super) fn end_of(&self, id: u64) -> Option<u64> {
        self.packs.get(&id).map(|pack| pack.end)
    }

    /// Keeps the numbers up to `id` from being given to new packs.
    pub(super) fn pass_over(&mut self, id: u64) {
        self.next_pack = self.next_pack.max(id.saturating_add(1));
    }

    /// The newest pack, if it has room for more; with its end.
    pub(super) fn newest_with_room(&self) -> Option<(u64, u64)> {
        let (&id, pack) = self.packs.last_key_value()?;
        (pack.end < PACK_BYTES).then_some((id, pack.end))
    }

    /// Appends to pack `id` from now on.
    pub(super) fn append_to(&mut self, id: u64, file: File) -> Arc<File> {
        let file = Arc::new(file);
        self.pass_over(id);
        self.packs.entry(id).or_default();
        self.open = Some((id, Arc::clone(&file)));
        file
    }

    /// The number of the next new pack.
    pub(super) fn next_pack(&self) -> u64 {
        self.next_pack
    }

    /// Takes `length` bytes at the end of the open pack; `None` if a new pack is due.
    pub(super) fn reserve(&mut self, length: u64) -> Option<(Place, Arc<File>)> {
        let (id, file) = self.open.as_ref()?;
        let pack = self.packs.get_mut(id)?;
        if pack.end >= PACK_BYTES {
            return None;
        }
        let place = Place {
            pack: *id,
            offset: pack.end,
            length,
        };
        pack.end += length;
        pack.live += length;
        Some((place, Arc::clone(file)))
    }

    /// The bytes at `place` are of no more use.
    pub(super) fn abandon(&mut self, place: Place) {
        if let Some(pack) = self.packs.get_mut(&place.pack) {
            pack.live = pack.live.saturating_sub(place.length);
        }
    }

    /// A chunk that the index does not have.
    pub(super) fn fresh(&self, digest: &ChunkDigest) -> Option<&Fresh> {
        self.fresh.get(digest)
    }

    /// All of them.
    pub(super) fn all_fresh(&self) -> impl Iterator<Item = (&ChunkDigest, &Fresh)> {
        self.fresh.iter()
    }

    /// A new chunk, written to a pack.
    pub(super) fn admit(&mut self, digest: ChunkDigest, fresh: Fresh) {
        self.admit_indexed(digest, fresh.place.length);
        self.fresh.insert(digest, fresh);
    }

    /// A new chunk that is in the index already.
    pub(super) fn admit_indexed(&mut self, digest: ChunkDigest, length: u64) {
        self.chunks += 1;
        self.bytes += length;
        self.idle.insert(digest, length);
    }

    /// The chunk is durable at `place`, if it is still there.
    pub(super) fn synced(&mut self, digest: &ChunkDigest, place: Place) {
        if let Some(fresh) = self.fresh.get_mut(digest)
            && fresh.place == place
        {
            fresh.unsynced = None;
        }
    }

    /// The chunk, if it is fresh and at `old`, is now at `new`, and durable there.
    pub(super) fn moved(&mut self, digest: &ChunkDigest, old: Place, new: Place) -> Moved {
        match self.fresh.get_mut(digest) {
            Some(fresh) if fresh.place == old => {
                fresh.place = new;
                fresh.unsynced = None;
                self.abandon(old);
                Moved::Here
            }
            Some(_) => Moved::Elsewhere,
            None => Moved::NotFresh,
        }
    }

    /// The commit that refers to the chunk has put it into the index.
    pub(super) fn indexed(&mut self, digest: &ChunkDigest) {
        self.fresh.remove(digest);
    }

    /// The chunk now has `references`.
    pub(super) fn counted(&mut self, digest: ChunkDigest, length: u64, references: u64) {
        if references == 0 {
            self.idle.insert(digest, length);
        } else {
            self.idle.remove(&digest);
        }
    }

    /// The chunks without a reference, with their lengths.
    pub(super) fn idle(&self) -> impl Iterator<Item = (&ChunkDigest, u64)> {
        self.idle.iter().map(|(digest, &length)| (digest, length))
    }

    /// Forgets a chunk that is not in the index (any more); `place` is where it lay in a pack.
    pub(super) fn forget(&mut self, digest: &ChunkDigest, place: Option<Place>) {
        if let Some(length) = self.idle.remove(digest) {
            self.chunks = self.chunks.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(length);
        }
        self.fresh.remove(digest);
        if let Some(place) = place {
            self.abandon(place);
        }
    }

    /// Strikes the packs without a live byte off the books; their files may be removed.
    pub(super) fn take_empty(&mut self) -> Vec<u64> {
        let packs = self.packs.iter();
        let empty: Vec<u64> = packs
            .filter(|(_, pack)| pack.live == 0)
            .map(|(&id, _)| id)
            .collect();
        for id in &empty {
            self.packs.remove(id);
            self.close(*id);
        }
        empty
    }

    /// The packs of which more than half is dead, closed, with their live bytes.
    pub(super) fn mostly_dead(&mut self) -> BTreeMap<u64, u64> {
        let packs = self.packs.iter();
        let dead: BTreeMap<u64, u64> = packs
            .filter(|(_, pack)| !pack.spoilt && pack.end.saturating_sub(pack.live) > pack.live)
            .map(|(&id, pack)| (id, pack.live))
            .collect();
        for &id in dead.keys() {
            self.close(id);
        }
        dead
    }

    /// Pack `id` holds a chunk that cannot be read: it stays as it is until the next opening.
    pub(super) fn spoil(&mut self, id: u64) {
        if let Some(pack) = self.packs.get_mut(&id) {
            pack.spoilt = true;
        }
    }

    /// Chunks, and their bytes.
    pub(super) fn totals(&self) -> (u64, u64) {
        (self.chunks, self.bytes)
    }

    fn close(&mut self, id: u64) {
        if self.open.as_ref().is_some_and(|(open, _)| *open == id) {
            self.open = None;
        }
    }
}

/// What [`Ledger::moved`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// The chunk was fresh, at the old place.
    Here,
    /// The chunk was fresh, at another place.
    Elsewhere,
    /// The chunk was not fresh, so the index knows.
    NotFresh,
}
