//! Collection: chunks that nothing holds leave the index, then packs that are mostly dead go.
//!
//! A pack without a live byte is removed. One of which more than half is dead has its live chunks
//! copied to the open pack first, so that packs take at most about twice the live bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, PoisonError};

use super::layout::{Place, Slot, chunk_key};
use super::records::Purpose;
use super::vault::{Move, Vault};
use crate::digest::ChunkDigest;
use crate::error::Error;
use crate::store::Collected;

/// Runs one collection.
pub(super) fn collect(vault: &Vault) -> Result<Collected, Error> {
    let collecting = vault.collecting.lock();
    let _alone = collecting.unwrap_or_else(PoisonError::into_inner);
    vault.records.ready(0, Purpose::Free)?;
    let mut done = Collected::default();
    sweep(vault, &mut done)?;
    remove_empty(vault, &mut done)?;
    let dying = vault.ledger().mostly_dead();
    let live: u64 = dying.values().sum();
    // Without room for the copies the packs stay; those wholly dead are gone already.
    if !dying.is_empty() && vault.records.ready(live, Purpose::Keep).is_ok() {
        rescue(vault, &dying, &mut done)?;
        remove_empty(vault, &mut done)?;
    }
    if done != Collected::default() {
        tracing::debug!(?done, "chunks collected");
    }
    Ok(done)
}

/// Takes the chunks that nothing holds out of the index; durable on return.
fn sweep(vault: &Vault, done: &mut Collected) -> Result<(), Error> {
    let ticket = {
        let mut ledger = vault.ledger();
        let idle = ledger.idle();
        let dead: Vec<(ChunkDigest, u64)> = idle
            .filter(|(digest, _)| !vault.pins.holds(digest))
            .map(|(digest, length)| (*digest, length))
            .collect();
        if dead.is_empty() {
            return Ok(());
        }
        let mut batch = sled::Batch::default();
        let mut places = Vec::with_capacity(dead.len());
        for (digest, length) in &dead {
            done.chunks += 1;
            done.bytes += length;
            let place = match ledger.fresh(digest) {
                Some(fresh) => Some(fresh.place),
                None => {
                    batch.remove(chunk_key(digest));
                    match vault.indexed(digest)? {
                        Some(Slot::Packed(place)) => Some(place),
                        _ => None,
                    }
                }
            };
            places.push(place);
        }
        let ticket = vault.records.apply(batch)?;
        for ((digest, _), place) in dead.iter().zip(places) {
            ledger.forget(digest, place);
        }
        ticket
    };
    vault.records.settle(ticket)
}

fn remove_empty(vault: &Vault, done: &mut Collected) -> Result<(), Error> {
    let empty = vault.ledger().take_empty();
    for id in empty {
        vault.packs.remove(id)?;
        done.packs += 1;
    }
    Ok(())
}

/// Copies the live chunks of the packs `dying`, which are closed, to the open pack.
fn rescue(vault: &Vault, dying: &BTreeMap<u64, u64>, done: &mut Collected) -> Result<(), Error> {
    let mut moves = Vec::new();
    let mut written: BTreeMap<u64, Arc<File>> = BTreeMap::new();
    for (old, digest) in chunks_of(vault, dying)? {
        let bytes = match vault.read(&digest, &Slot::Packed(old)) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::warn!(%error, "a pack is kept for a chunk that cannot be read");
                vault.ledger().spoil(old.pack);
                continue;
            }
        };
        let (new, file) = vault.write(&bytes)?;
        written.insert(new.pack, file);
        done.moved_bytes += new.length;
        moves.push(Move { digest, old, new });
    }
    for (id, file) in written {
        vault.sync(id, &file)?;
    }
    vault.relocate(&moves)
}

/// The chunks in `packs`, in the order in which they lie there.
fn chunks_of(
    vault: &Vault,
    packs: &BTreeMap<u64, u64>,
) -> Result<BTreeMap<Place, ChunkDigest>, Error> {
    let mut chunks = BTreeMap::new();
    // The fresh ones first: what becomes indexed meanwhile is then found at least once.
    for (digest, fresh) in vault.ledger().all_fresh() {
        if packs.contains_key(&fresh.place.pack) {
            chunks.insert(fresh.place, *digest);
        }
    }
    vault.for_each_indexed(|digest, slot| {
        if let Slot::Packed(place) = slot
            && packs.contains_key(&place.pack)
        {
            chunks.insert(place, digest);
        }
        Ok(())
    })?;
    Ok(chunks)
}
