//! Random work on the disk, with reopenings, and on its twin: both are seen alike after every step.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use proptest::prelude::*;
use store::{Batch, Disk, Memory, Pin, Record, Store};
use tempfile::TempDir;

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

fn batch(fill: impl FnOnce(&mut Batch) -> &mut Batch) -> Batch {
    let mut batch = Batch::new();
    fill(&mut batch);
    batch
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Change>),
    Chunk { seed: u64, hold: Hold },
    Collect,
    DropPins,
    Reopen,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Hold {
    Keep,
    Drop,
}

#[derive(Clone, Debug)]
enum Change {
    Put { key: u8, seed: u64 },
    Delete { key: u8 },
    Reference { seed: u64 },
    Release { seed: u64 },
}

const SEEDS: u64 = 6;

/// Chunks of both kinds, inline and packed.
fn chunk(seed: u64) -> Vec<u8> {
    noise(
        seed,
        [10, 4096, 4097, 20_000, 70_000, 150_000][seed as usize],
    )
}

fn key(key: u8) -> Vec<u8> {
    vec![b'k'; usize::from(key % 3) + 1]
        .into_iter()
        .chain([key])
        .collect()
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (0..8_u8, 0..40_u64).prop_map(|(key, seed)| Change::Put { key, seed }),
        (0..8_u8).prop_map(|key| Change::Delete { key }),
        (0..SEEDS).prop_map(|seed| Change::Reference { seed }),
        (0..SEEDS).prop_map(|seed| Change::Release { seed }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let hold = prop_oneof![Just(Hold::Keep), Just(Hold::Drop)];
    prop_oneof![
        4 => prop::collection::vec(change(), 0..4).prop_map(Step::Commit),
        4 => (0..SEEDS, hold).prop_map(|(seed, hold)| Step::Chunk { seed, hold }),
        2 => Just(Step::Collect),
        1 => Just(Step::DropPins),
        1 => Just(Step::Reopen),
    ]
}

fn to_batch(changes: &[Change]) -> Batch {
    let digest = |seed| *blake3::hash(&chunk(seed)).as_bytes();
    batch(|b| {
        for change in changes {
            match change {
                Change::Put { key: k, seed } => {
                    // One in ten is too long for sled itself.
                    b.put(
                        key(*k),
                        noise(
                            *seed + 100,
                            if seed % 10 == 0 {
                                9_000
                            } else {
                                *seed as usize
                            },
                        ),
                    )
                }
                Change::Delete { key: k } => b.delete(key(*k)),
                Change::Reference { seed } => b.reference(digest(*seed)),
                Change::Release { seed } => b.release(digest(*seed)),
            };
        }
        b
    })
}

/// Everything that is to be seen of a store.
fn seen(store: &dyn Store) -> (Vec<Record>, Vec<Option<Vec<u8>>>, Vec<usize>) {
    let records = store.scan(b"", None, 100).unwrap();
    let chunks = (0..SEEDS).map(|seed| {
        let digest = *blake3::hash(&chunk(seed)).as_bytes();
        let held = store.contains(&digest).unwrap();
        held.then(|| store.chunk(&digest).unwrap())
    });
    let lasts = (0..8).map(|k| store.scan(&key(k)[..1], Some(&key(k)), 2).unwrap().len());
    (records, chunks.collect(), lasts.collect())
}

fn run(dir: &Path, steps: &[Step]) -> Result<(), TestCaseError> {
    let memory = Memory::new();
    let mut disk = Disk::open(dir).unwrap();
    let mut pins: Vec<Pin> = Vec::new();
    for step in steps {
        match step {
            Step::Commit(changes) => {
                let results = [
                    memory.commit(to_batch(changes)),
                    disk.commit(to_batch(changes)),
                ];
                let [of_memory, of_disk] =
                    results.map(|result| result.map_err(|error| error.to_string()));
                prop_assert_eq!(of_memory, of_disk);
            }
            Step::Chunk { seed, hold } => {
                let both = [
                    memory.put_chunk(&chunk(*seed)).unwrap(),
                    disk.put_chunk(&chunk(*seed)).unwrap(),
                ];
                if *hold == Hold::Keep {
                    pins.extend(both);
                }
            }
            Step::Collect => {
                let of_memory = memory.collect().unwrap();
                let of_disk = disk.collect().unwrap();
                // A long value is a chunk on disk, so there may be more of them.
                prop_assert!(of_memory.chunks <= of_disk.chunks);
            }
            Step::DropPins => pins.clear(),
            Step::Reopen => {
                pins.clear();
                drop(disk);
                disk = Disk::open(dir).unwrap();
                // What no record referred to may be gone already.
                disk.collect().unwrap();
                memory.collect().unwrap();
            }
        }
        prop_assert_eq!(seen(&memory), seen(&disk));
    }
    drop(pins);
    drop(disk);
    let disk = Disk::open(dir).unwrap();
    disk.collect().unwrap();
    memory.collect().unwrap();
    prop_assert_eq!(seen(&memory), seen(&disk));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_disk_and_its_twin_are_seen_alike(steps in prop::collection::vec(step(), 1..40)) {
        let dir = TempDir::new().unwrap();
        run(dir.path(), &steps)?;
    }
}
