//! Rolling checkpoints, as a coordinator keeps them: the space of the old ones comes back.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;

use store::{Batch, ChunkDigest, Disk, Store};
use tempfile::TempDir;

const KEEP: usize = 3;

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

fn save(disk: &Disk, step: u64, lengths: &[usize], kept: &mut VecDeque<(u64, Vec<ChunkDigest>)>) {
    let mut pins = Vec::new();
    for (number, &length) in lengths.iter().enumerate() {
        let bytes = noise(step << 16 | number as u64, length);
        pins.push(disk.put_chunk(&bytes).unwrap());
    }
    let digests: Vec<ChunkDigest> = pins.iter().map(|pin| pin.digest()).collect();
    let mut batch = Batch::new();
    batch.put(format!("checkpoint/{step:08}"), digests.concat());
    for digest in &digests {
        batch.reference(*digest);
    }
    kept.push_back((step, digests));
    if kept.len() > KEEP {
        let (old, digests) = kept.pop_front().unwrap();
        batch.delete(format!("checkpoint/{old:08}"));
        for digest in digests {
            batch.release(digest);
        }
    }
    disk.commit(batch).unwrap();
    drop(pins);
    disk.collect().unwrap();
}

fn verify(disk: &Disk, kept: &VecDeque<(u64, Vec<ChunkDigest>)>, lengths: &[usize]) {
    for (step, digests) in kept {
        for (number, digest) in digests.iter().enumerate() {
            let bytes = noise(step << 16 | number as u64, lengths[number]);
            assert!(disk.chunk(digest).unwrap() == bytes, "step {step}");
        }
    }
}

fn roll(lengths: &[usize]) {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path()).unwrap();
    let mut kept = VecDeque::new();
    for step in 0..24 {
        save(&disk, step, lengths, &mut kept);
        // Records of other work go on meanwhile.
        for row in 0..20 {
            let mut batch = Batch::new();
            batch.put(format!("metric/{step:08}/{row:08}"), vec![b'x'; 200]);
            disk.commit(batch).unwrap();
        }
    }
    let usage = disk.usage().unwrap();
    let live = (KEEP * lengths.iter().sum::<usize>()) as u64;
    assert_eq!(usage.live_bytes, live);
    assert_eq!(usage.chunks, (KEEP * lengths.len()) as u64);
    assert!(
        usage.disk_bytes * 2 < live * 5,
        "{} bytes on disk for {live} live",
        usage.disk_bytes
    );
    verify(&disk, &kept, lengths);
    drop(disk);
    let disk = Disk::open(dir.path()).unwrap();
    assert_eq!(disk.usage().unwrap().live_bytes, live);
    verify(&disk, &kept, lengths);
    // Nothing is left to do.
    assert_eq!(disk.collect().unwrap(), Default::default());
}

#[test]
fn checkpoints_of_eight_mib_end_under_two_and_a_half_times_the_live_bytes() {
    roll(&[1 << 20; 8]);
}

#[test]
fn checkpoints_of_odd_chunks_do_too() {
    let mut lengths = vec![300_000; 20];
    lengths.extend([4_000; 20]);
    lengths.extend([5_000_000, 17]);
    roll(&lengths);
}

#[test]
fn checkpoints_beside_a_dataset_that_stays_do_too() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path()).unwrap();
    let dataset: Vec<Vec<u8>> = (0..20).map(|seed| noise(1 << 40 | seed, 1 << 20)).collect();
    let mut batch = Batch::new();
    let mut pins = Vec::new();
    for bytes in &dataset {
        let pin = disk.put_chunk(bytes).unwrap();
        batch.reference(pin.digest());
        pins.push(pin);
    }
    disk.commit(batch).unwrap();
    let mut kept = VecDeque::new();
    let lengths = [1 << 20; 2];
    let mut moved = 0;
    for step in 0..24 {
        save(&disk, step, &lengths, &mut kept);
        moved += disk.collect().unwrap().moved_bytes;
    }
    let usage = disk.usage().unwrap();
    assert!(
        usage.disk_bytes * 2 < usage.live_bytes * 5,
        "{} bytes on disk for {} live",
        usage.disk_bytes,
        usage.live_bytes
    );
    assert_eq!(moved, 0, "the second collection in a row finds nothing");
    for (bytes, pin) in dataset.iter().zip(&pins) {
        assert!(disk.chunk(&pin.digest()).unwrap() == *bytes);
    }
}
