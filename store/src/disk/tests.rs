//! Faults that only the inside can bring about: a full disk, a newer schema, moves between reads.

use std::fs::OpenOptions;
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

use super::layout::{INLINE_BYTES, SCHEMA, SCHEMA_KEY, Slot};
use super::*;

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

fn one_record(value: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.put("key", value);
    batch
}

/// Drops `disk` on another thread and fails if that hangs.
fn drops(disk: Disk) {
    let (done, dropped) = mpsc::channel();
    std::thread::spawn(move || {
        drop(disk);
        done.send(()).expect("the test waits");
    });
    let waited = dropped.recv_timeout(Duration::from_secs(60));
    waited.expect("the drop returns");
}

#[test]
fn a_disk_that_fills_up_stops_the_store_and_the_drop_returns() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path()).unwrap();
    disk.commit(one_record(b"before")).unwrap();
    let kept = disk.put_chunk(&noise(1, 10_000)).unwrap();
    let mut batch = Batch::new();
    disk.commit({
        batch.reference(kept.digest());
        batch
    })
    .unwrap();
    // Every write to this device fails with ENOSPC.
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    disk.vault.ledger().append_to(77, full);
    let failed = disk.put_chunk(&noise(2, 10_000)).unwrap_err();
    assert!(matches!(failed, Error::DiskFull { .. }), "{failed}");
    for refused in [
        disk.commit(one_record(b"after")).unwrap_err(),
        disk.put_chunk(&noise(3, 10)).unwrap_err(),
        disk.collect().unwrap_err(),
    ] {
        assert!(matches!(refused, Error::Stopped { .. }), "{refused}");
    }
    assert_eq!(
        disk.get(b"key").unwrap().as_deref(),
        Some(b"before".as_slice())
    );
    assert_eq!(disk.chunk(&kept.digest()).unwrap(), noise(1, 10_000));
    drops(disk);
}

#[test]
fn a_nearly_full_disk_refuses_what_adds_and_lets_go_of_what_frees() {
    let dir = TempDir::new().unwrap();
    let mut disk = Disk::open(dir.path()).unwrap();
    let digest = disk.put_chunk(&noise(1, 100_000)).unwrap().digest();
    let mut batch = one_record(b"checkpoint");
    batch.reference(digest);
    disk.commit(batch).unwrap();

    disk.vault.records.reserve_bytes = u64::MAX;
    for refused in [
        disk.commit(one_record(b"more")).unwrap_err(),
        disk.put_chunk(&noise(2, 100)).unwrap_err(),
        disk.put_chunk(&noise(2, 100_000)).unwrap_err(),
    ] {
        assert!(matches!(refused, Error::DiskFull { .. }), "{refused}");
    }
    let mut batch = Batch::new();
    batch.delete("key").release(digest);
    disk.commit(batch).unwrap();
    assert_eq!(disk.collect().unwrap().packs, 1);

    disk.vault.records.reserve_bytes = 0;
    disk.commit(one_record(b"room again")).unwrap();
}

#[test]
fn a_directory_of_a_newer_schema_is_refused() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path()).unwrap();
    let mut batch = sled::Batch::default();
    batch.insert(SCHEMA_KEY, &(SCHEMA + 1).to_le_bytes());
    let ticket = disk.vault.records.apply(batch).unwrap();
    disk.vault.records.settle(ticket).unwrap();
    drop(disk);
    match Disk::open(dir.path()).unwrap_err() {
        Error::NewerSchema { found, known, .. } => {
            assert_eq!((found, known), (SCHEMA + 1, SCHEMA));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn long_values_and_chunks_stay_out_of_sled() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path()).unwrap();
    disk.commit(one_record(&noise(1, INLINE_BYTES + 1)))
        .unwrap();
    let chunk = disk.put_chunk(&noise(2, INLINE_BYTES + 1)).unwrap();
    let small = disk.put_chunk(&noise(3, INLINE_BYTES)).unwrap();
    let entry = disk.vault.records.get(&record_key(b"key")).unwrap();
    assert!(entry.unwrap().len() < 64);
    let slot = |pin: &Pin| disk.vault.find(&pin.digest()).unwrap();
    assert!(matches!(slot(&chunk), Some(Slot::Packed(_))));
    assert!(matches!(slot(&small), Some(Slot::Inline(_))));
}

#[test]
fn a_damaged_entry_is_an_error() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path()).unwrap();
    let mut batch = sled::Batch::default();
    batch.insert(record_key(b"key"), &[9]);
    let ticket = disk.vault.records.apply(batch).unwrap();
    disk.vault.records.settle(ticket).unwrap();
    for refused in [
        disk.get(b"key").unwrap_err(),
        disk.scan(b"", None, 9).unwrap_err(),
        disk.last(b"").unwrap_err(),
        disk.commit(one_record(b"new")).unwrap_err(),
    ] {
        assert!(matches!(refused, Error::Damaged { .. }), "{refused}");
    }
}
