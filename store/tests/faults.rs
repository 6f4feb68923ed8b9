//! Crashes, damage and directories that cannot be opened.

#![allow(clippy::unwrap_used)]

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use store::{Batch, ChunkDigest, Disk, Error, Store};
use tempfile::TempDir;

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

fn keep(store: &Disk, bytes: &[u8]) -> ChunkDigest {
    let pin = store.put_chunk(bytes).unwrap();
    let mut batch = Batch::new();
    batch.reference(pin.digest());
    store.commit(batch).unwrap();
    pin.digest()
}

/// The packs in `dir`, oldest first.
fn packs(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("packs")).unwrap();
    let mut packs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    packs.sort();
    packs
}

/// What a crash at this moment would leave of `dir`, as far as it was written.
fn copy(dir: &Path) -> TempDir {
    fn copy_into(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy_into(&entry.path(), &target);
            } else {
                fs::copy(entry.path(), target).unwrap();
            }
        }
    }
    let copied = TempDir::new().unwrap();
    copy_into(dir, copied.path());
    copied
}

#[test]
fn what_was_committed_outlives_a_crash_and_what_was_not_is_cleared_away() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path()).unwrap();
    let kept = keep(&disk, &noise(1, 50_000));
    let small = keep(&disk, &noise(2, 100));
    let loose = disk.put_chunk(&noise(3, 50_000)).unwrap();
    let loose_small = disk.put_chunk(&noise(4, 100)).unwrap();
    let crashed = copy(dir.path());

    let disk = Disk::open(crashed.path()).unwrap();
    assert_eq!(disk.chunk(&kept).unwrap(), noise(1, 50_000));
    assert_eq!(disk.chunk(&small).unwrap(), noise(2, 100));
    disk.collect().unwrap();
    assert!(!disk.contains(&loose.digest()).unwrap());
    assert!(!disk.contains(&loose_small.digest()).unwrap());
    let length = fs::metadata(&packs(crashed.path())[0]).unwrap().len();
    assert_eq!(length, 50_000, "the tail that nothing knows is cut off");
    // The space is used again.
    let more = keep(&disk, &noise(5, 60_000));
    assert_eq!(packs(crashed.path()).len(), 1);
    assert_eq!(disk.chunk(&kept).unwrap(), noise(1, 50_000));
    assert_eq!(disk.chunk(&more).unwrap(), noise(5, 60_000));
}

#[test]
fn a_pack_with_a_torn_tail_or_garbage_behind_it_still_gives_what_is_whole() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path()).unwrap();
    let first = keep(&disk, &noise(1, 50_000));
    let second = keep(&disk, &noise(2, 50_000));
    drop(disk);
    for length in [0, 1, 49_999, 50_000, 50_001, 99_999, 100_000] {
        let torn = copy(dir.path());
        let pack = packs(torn.path()).remove(0);
        let file = OpenOptions::new().append(true).open(&pack).unwrap();
        file.set_len(length).unwrap();
        let disk = Disk::open(torn.path()).unwrap();
        for (digest, seed, end) in [(&first, 1, 50_000), (&second, 2, 100_000)] {
            match disk.chunk(digest) {
                Ok(bytes) => assert!(end <= length && bytes == noise(seed, 50_000)),
                Err(Error::CorruptChunk {
                    digest: named,
                    pack: at,
                    offset,
                }) => {
                    assert!(end > length);
                    assert_eq!((named, &at, offset), (*digest, &pack, end - 50_000));
                }
                Err(other) => panic!("{other}"),
            }
        }
        let third = keep(&disk, &noise(3, 30_000));
        assert_eq!(disk.chunk(&third).unwrap(), noise(3, 30_000));
    }
    let mut file = OpenOptions::new()
        .append(true)
        .open(&packs(dir.path())[0])
        .unwrap();
    file.write_all(&noise(9, 12_345)).unwrap();
    let disk = Disk::open(dir.path()).unwrap();
    let third = keep(&disk, &noise(3, 30_000));
    for (digest, seed, length) in [(first, 1, 50_000), (second, 2, 50_000), (third, 3, 30_000)] {
        assert_eq!(disk.chunk(&digest).unwrap(), noise(seed, length));
    }
}

#[test]
fn a_flipped_bit_spoils_one_chunk_and_putting_its_bytes_again_mends_it() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path()).unwrap();
    let digests: Vec<ChunkDigest> = (0..5)
        .map(|seed| keep(&disk, &noise(seed, 20_000)))
        .collect();
    drop(disk);
    let pack = packs(dir.path()).remove(0);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pack)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 2 * 20_000 + 777).unwrap();
    byte[0] ^= 0x10;
    file.write_all_at(&byte, 2 * 20_000 + 777).unwrap();

    let disk = Disk::open(dir.path()).unwrap();
    for (seed, digest) in (0..).zip(&digests) {
        match disk.chunk(digest) {
            Ok(bytes) => assert!(seed != 2 && bytes == noise(seed, 20_000)),
            Err(error) => {
                assert_eq!(seed, 2, "{error}");
                let said = error.to_string();
                assert!(said.contains("00000000.pack at byte 40000"), "{said}");
                assert!(matches!(error, Error::CorruptChunk { digest: d, .. } if d == *digest));
            }
        }
    }
    // Mostly dead, the pack would be rewritten, but the damaged chunk keeps it.
    let mut batch = Batch::new();
    for digest in [&digests[0], &digests[1], &digests[3]] {
        batch.release(*digest);
    }
    disk.commit(batch).unwrap();
    disk.collect().unwrap();
    assert!(pack.exists());
    assert_eq!(disk.chunk(&digests[4]).unwrap(), noise(4, 20_000));
    assert_eq!(disk.collect().unwrap(), Default::default());

    drop(disk.put_chunk(&noise(2, 20_000)).unwrap());
    assert_eq!(disk.chunk(&digests[2]).unwrap(), noise(2, 20_000));
    disk.collect().unwrap();
    assert!(!pack.exists());
    drop(disk);
    let disk = Disk::open(dir.path()).unwrap();
    assert_eq!(disk.chunk(&digests[2]).unwrap(), noise(2, 20_000));
    assert_eq!(disk.chunk(&digests[4]).unwrap(), noise(4, 20_000));
}

#[test]
fn a_lost_pack_is_a_named_error_for_its_chunks_only() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path()).unwrap();
    let lost = keep(&disk, &noise(1, 20_000));
    let inline = keep(&disk, &noise(2, 2_000));
    drop(disk);
    fs::remove_file(&packs(dir.path())[0]).unwrap();
    let disk = Disk::open(dir.path()).unwrap();
    assert!(matches!(
        disk.chunk(&lost).unwrap_err(),
        Error::CorruptChunk { .. }
    ));
    assert_eq!(disk.chunk(&inline).unwrap(), noise(2, 2_000));
    let other = keep(&disk, &noise(3, 20_000));
    assert_eq!(disk.chunk(&other).unwrap(), noise(3, 20_000));
    disk.collect().unwrap();
}

#[test]
fn a_directory_in_use_is_refused_until_it_is_let_go() {
    let dir = TempDir::new().unwrap();
    let first = Disk::open(dir.path()).unwrap();
    let refused = Disk::open(dir.path()).unwrap_err();
    match &refused {
        Error::Locked { dir: named, holder } => {
            assert_eq!(named, dir.path());
            assert_eq!(*holder, Some(std::process::id()));
        }
        other => panic!("{other}"),
    }
    assert!(refused.to_string().contains("--data-dir"), "{refused}");
    drop(first);
    for _ in 0..5 {
        drop(Disk::open(dir.path()).unwrap());
    }
}

#[test]
fn a_directory_let_go_opens_while_children_are_being_started() {
    let dir = TempDir::new().unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                Command::new("true").status().unwrap();
            }
        });
        let opened = (0..100).try_for_each(|_| Disk::open(dir.path()).map(drop));
        done.store(true, Ordering::Relaxed);
        opened.unwrap();
    });
}

#[test]
fn paths_that_cannot_hold_a_store_are_refused_by_name() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "not a directory").unwrap();
    for path in [file.clone(), file.join("below")] {
        let refused = Disk::open(&path).unwrap_err();
        assert!(matches!(refused, Error::NotADirectory { .. }), "{refused}");
    }
    // Not even the superuser may make a directory here.
    let refused = Disk::open(Path::new("/sys/trainyard")).unwrap_err();
    assert!(matches!(refused, Error::NotWritable { .. }), "{refused}");
}

#[test]
fn records_that_were_overwritten_are_refused_without_a_panic() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path()).unwrap();
    let mut batch = Batch::new();
    batch.put("key", "value");
    disk.commit(batch).unwrap();
    drop(disk);
    let conf = dir.path().join("records/conf");
    fs::write(&conf, noise(1, 100)).unwrap();
    assert!(Disk::open(dir.path()).is_err());
}

#[test]
fn records_that_lost_their_end_are_refused_instead_of_going_back_in_time() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path()).unwrap();
    for step in 0..200 {
        let mut batch = Batch::new();
        batch.put(format!("step/{step:08}"), noise(step, 300));
        disk.commit(batch).unwrap();
    }
    let kept = keep(&disk, &noise(1, 50_000));
    drop(disk);
    let intact = copy(dir.path());
    for entry in fs::read_dir(dir.path().join("records")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("snap.") {
            fs::remove_file(path).unwrap();
        }
    }
    let log = dir.path().join("records/db");
    let file = OpenOptions::new().write(true).open(&log).unwrap();
    file.set_len(20_000).unwrap();
    let refused = Disk::open(dir.path()).unwrap_err();
    assert!(matches!(refused, Error::Damaged { .. }), "{refused}");
    assert_eq!(packs(dir.path()).len(), 1, "the packs are left alone");
    let disk = Disk::open(intact.path()).unwrap();
    assert_eq!(disk.chunk(&kept).unwrap(), noise(1, 50_000));
}

/// The writer of the next test, which runs it as a process of its own and kills it.
#[test]
#[ignore = "run by the test of a killed writer"]
fn writes_until_it_is_killed() {
    let dir = std::env::var("STORE_OF_THE_KILLED").unwrap();
    let disk = Disk::open(Path::new(&dir)).unwrap();
    for step in 0_u64.. {
        let pin = disk.put_chunk(&noise(step, 30_000)).unwrap();
        let mut batch = Batch::new();
        batch.put(format!("step/{step:08}"), pin.digest());
        batch.reference(pin.digest());
        if let Some(old) = step.checked_sub(5) {
            let digest = *blake3::hash(&noise(old, 30_000)).as_bytes();
            batch.delete(format!("step/{old:08}")).release(digest);
        }
        disk.commit(batch).unwrap();
        drop(pin);
        println!("\ncommitted {step}");
        disk.collect().unwrap();
    }
}

#[test]
fn a_killed_writer_leaves_every_commit_that_returned_and_only_whole_ones() {
    for enough in [3, 20, 57] {
        let dir = TempDir::new().unwrap();
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "--nocapture",
                "writes_until_it_is_killed",
            ])
            .env("STORE_OF_THE_KILLED", dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(writer.stdout.take().unwrap()).lines();
        let last = said.by_ref().map(Result::unwrap).find_map(|line| {
            let step: u64 = line.strip_prefix("committed ")?.parse().ok()?;
            (step >= enough).then_some(step)
        });
        let locked = Disk::open(dir.path()).unwrap_err();
        assert!(matches!(locked, Error::Locked { holder: Some(pid), .. } if pid == writer.id()));
        writer.kill().unwrap();
        writer.wait().unwrap();
        let last = said
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("committed ")?.parse::<u64>().ok())
            .last()
            .or(last)
            .unwrap();

        let disk = Disk::open(dir.path()).unwrap();
        let records = disk.scan(b"step/", None, 100).unwrap();
        let newest: u64 = std::str::from_utf8(&records.last().unwrap().0[5..])
            .unwrap()
            .parse()
            .unwrap();
        assert!(
            newest == last || newest == last + 1,
            "{last} was reported, {newest} is there"
        );
        assert_eq!(records.len() as u64, (newest + 1).min(5));
        for ((_, digest), step) in records.into_iter().rev().zip((0..=newest).rev()) {
            let digest: ChunkDigest = digest.try_into().unwrap();
            assert!(disk.chunk(&digest).unwrap() == noise(step, 30_000));
        }
        disk.collect().unwrap();
        assert_eq!(disk.usage().unwrap().chunks, (newest + 1).min(5));
    }
}
