//! Much more data than memory: 2 GiB go through a process that stays below 200 MiB.

#![allow(clippy::unwrap_used)]

use std::time::Instant;

use store::{Batch, Disk, Store};

const CHUNKS: u64 = 2048;
const CHUNK_BYTES: usize = 1 << 20;
const RESIDENT_LIMIT_KIB: u64 = 200 << 10;

fn fill(seed: u64, bytes: &mut [u8]) {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(bytes);
}

/// The most memory that this process ever had resident, in KiB.
fn peak_resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let line = line.expect("Linux reports the peak");
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn two_gib_are_written_and_read_within_200_mib_of_memory() {
    let dir = tempfile::Builder::new()
        .prefix("two-gib-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap();
    let started = Instant::now();
    let mut bytes = vec![0; CHUNK_BYTES];
    let mut digests = Vec::new();
    let disk = Disk::open(dir.path()).unwrap();
    let mut batch = Batch::new();
    let mut pins = Vec::new();
    for seed in 0..CHUNKS {
        fill(seed, &mut bytes);
        let pin = disk.put_chunk(&bytes).unwrap();
        digests.push(pin.digest());
        batch.reference(pin.digest());
        pins.push(pin);
        if pins.len() == 64 || seed + 1 == CHUNKS {
            disk.commit(std::mem::take(&mut batch)).unwrap();
            pins.clear();
        }
    }
    drop(disk);
    let written = started.elapsed();
    let disk = Disk::open(dir.path()).unwrap();
    for (seed, digest) in (0..).zip(&digests) {
        fill(seed, &mut bytes);
        assert!(disk.chunk(digest).unwrap() == bytes, "chunk {seed}");
    }
    let usage = disk.usage().unwrap();
    assert_eq!(
        (usage.chunks, usage.live_bytes),
        (CHUNKS, CHUNKS * CHUNK_BYTES as u64)
    );
    let peak = peak_resident_kib();
    println!(
        "written in {written:.1?}, read in {:.1?}, at most {} MiB resident, {} MiB on disk",
        started.elapsed() - written,
        peak >> 10,
        usage.disk_bytes >> 20
    );
    assert!(
        peak < RESIDENT_LIMIT_KIB,
        "{peak} KiB were resident at the peak"
    );
}
