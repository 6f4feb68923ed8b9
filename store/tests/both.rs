//! One suite for both stores: whatever is seen of the one is seen of the other.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use store::{Batch, ChunkDigest, Disk, Error, MAX_KEY_BYTES, Memory, Store};
use tempfile::TempDir;

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

/// Runs `test` on an empty store of each kind.
fn both(test: impl Fn(Arc<dyn Store>)) {
    test(Arc::new(Memory::new()));
    let dir = TempDir::new().unwrap();
    test(Arc::new(Disk::open(dir.path()).unwrap()));
}

fn batch(fill: impl FnOnce(&mut Batch) -> &mut Batch) -> Batch {
    let mut batch = Batch::new();
    fill(&mut batch);
    batch
}

fn keys(found: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<String> {
    let keys = found.into_iter().map(|(key, _)| key);
    keys.map(|key| String::from_utf8(key).unwrap()).collect()
}

#[test]
fn a_record_is_what_was_written_last() {
    both(|store| {
        assert_eq!(store.get(b"a").unwrap(), None);
        store
            .commit(batch(|b| b.put("a", "1").put("b", "").put("a", "2")))
            .unwrap();
        assert_eq!(store.get(b"a").unwrap(), Some(b"2".to_vec()));
        assert_eq!(store.get(b"b").unwrap(), Some(vec![]));
        store
            .commit(batch(|b| b.delete("a").delete("never")))
            .unwrap();
        assert_eq!(store.get(b"a").unwrap(), None);
        store.commit(Batch::new()).unwrap();
    });
}

#[test]
fn a_scan_is_ordered_bounded_and_goes_on_after_a_key() {
    both(|store| {
        let names = ["job/1", "job/2", "job/3", "jobs", "j", "k"];
        store
            .commit(batch(|b| names.iter().fold(b, |b, n| b.put(*n, *n))))
            .unwrap();
        let scan = |prefix: &str, after: Option<&str>, limit| {
            let after = after.map(str::as_bytes);
            keys(store.scan(prefix.as_bytes(), after, limit).unwrap())
        };
        assert_eq!(scan("job/", None, 9), ["job/1", "job/2", "job/3"]);
        assert_eq!(scan("job/", Some("job/1"), 1), ["job/2"]);
        assert_eq!(scan("job/", Some("a"), 1), ["job/1"]);
        assert_eq!(scan("job/", Some("job/3"), 9), [""; 0]);
        assert_eq!(scan("job/", Some("z"), 9), [""; 0]);
        assert_eq!(scan("job/", None, 0), [""; 0]);
        assert_eq!(
            scan("", None, 9),
            ["j", "job/1", "job/2", "job/3", "jobs", "k"]
        );
        let last = |prefix: &[u8]| store.last(prefix).unwrap().map(|(key, _)| key);
        assert_eq!(last(b"job/"), Some(b"job/3".to_vec()));
        assert_eq!(last(b""), Some(b"k".to_vec()));
        assert_eq!(last(b"x"), None);
    });
}

#[test]
fn keys_of_the_greatest_bytes_are_found() {
    both(|store| {
        let key = vec![255; 3];
        store.commit(batch(|b| b.put(key.clone(), "x"))).unwrap();
        assert_eq!(
            store.last(&[255]).unwrap(),
            Some((key.clone(), b"x".to_vec()))
        );
        assert_eq!(store.scan(&[255, 255], Some(&[255]), 5).unwrap().len(), 1);
        assert_eq!(store.scan(&[], Some(&key), 5).unwrap(), []);
    });
}

#[test]
fn a_key_that_is_too_long_is_refused_and_the_longest_is_not() {
    both(|store| {
        let refused = store.commit(batch(|b| {
            b.put("a", "1").put(vec![1; MAX_KEY_BYTES + 1], "x")
        }));
        assert!(matches!(
            refused.unwrap_err(),
            Error::KeyTooLong { length: 1025, .. }
        ));
        assert_eq!(store.get(b"a").unwrap(), None);
        store
            .commit(batch(|b| b.put(vec![1; MAX_KEY_BYTES], "x")))
            .unwrap();
        assert!(store.get(&[1; MAX_KEY_BYTES]).unwrap().is_some());
    });
}

#[test]
fn long_values_come_back_and_their_space_too() {
    both(|store| {
        let (first, second) = (noise(1, 100_000), noise(2, 50_000));
        store
            .commit(batch(|b| b.put("a", first.clone()).put("b", first.clone())))
            .unwrap();
        store.commit(batch(|b| b.put("a", second.clone()))).unwrap();
        store.collect().unwrap();
        assert_eq!(store.get(b"a").unwrap(), Some(second.clone()));
        let all = vec![
            (b"a".to_vec(), second.clone()),
            (b"b".to_vec(), first.clone()),
        ];
        assert_eq!(store.scan(b"", None, 9).unwrap(), all);
        assert_eq!(
            store.last(b"").unwrap(),
            Some((b"b".to_vec(), first.clone()))
        );
        // The same again changes nothing.
        store.commit(batch(|b| b.put("a", second.clone()))).unwrap();
        store.commit(batch(|b| b.delete("b"))).unwrap();
        store.collect().unwrap();
        assert_eq!(store.get(b"a").unwrap(), Some(second.clone()));
        store.commit(batch(|b| b.put("a", "short"))).unwrap();
        store.collect().unwrap();
        assert_eq!(store.get(b"a").unwrap(), Some(b"short".to_vec()));
        assert_eq!(store.usage().unwrap().live_bytes, 0);
    });
}

#[test]
fn a_chunk_lives_as_long_as_a_pin_or_a_reference() {
    both(|store| {
        for length in [0, 1, 4096, 4097, 300_000] {
            let bytes = noise(1, length);
            let pin = store.put_chunk(&bytes).unwrap();
            let digest = pin.digest();
            assert_eq!(digest, *blake3::hash(&bytes).as_bytes());
            assert_eq!(store.collect().unwrap().chunks, 0);
            assert_eq!(store.chunk(&digest).unwrap(), bytes);
            store
                .commit(batch(|b| b.reference(digest).reference(digest)))
                .unwrap();
            drop(pin);
            assert_eq!(store.collect().unwrap().chunks, 0);
            store.commit(batch(|b| b.release(digest))).unwrap();
            assert_eq!(store.collect().unwrap().chunks, 0);
            assert_eq!(store.chunk(&digest).unwrap(), bytes);
            store.commit(batch(|b| b.release(digest))).unwrap();
            let pin = store.pin(&digest).unwrap().expect("still there");
            assert_eq!(store.collect().unwrap().chunks, 0);
            drop(pin);
            let done = store.collect().unwrap();
            assert_eq!((done.chunks, done.bytes), (1, length as u64));
            assert!(!store.contains(&digest).unwrap());
            assert!(store.pin(&digest).unwrap().is_none());
            let gone = store.chunk(&digest).unwrap_err();
            assert!(matches!(gone, Error::UnknownChunk { digest: d } if d == digest));
        }
    });
}

#[test]
fn the_same_bytes_are_kept_once() {
    both(|store| {
        let bytes = noise(1, 50_000);
        let pins = [
            store.put_chunk(&bytes).unwrap(),
            store.put_chunk(&bytes).unwrap(),
        ];
        let usage = store.usage().unwrap();
        assert_eq!((usage.chunks, usage.live_bytes), (1, 50_000));
        let [first, second] = pins;
        let third = second.clone();
        drop(first);
        drop(second);
        assert_eq!(store.collect().unwrap().chunks, 0);
        drop(third);
        assert_eq!(store.usage().unwrap().chunks, 0);
        assert_eq!(store.collect().unwrap().chunks, 1);
    });
}

#[test]
fn a_batch_that_cannot_be_applied_whole_changes_nothing() {
    both(|store| {
        let here = store.put_chunk(&noise(1, 9_000)).unwrap().digest();
        let absent = [7; 32];
        let unknown = store.commit(batch(|b| b.put("a", "1").reference(here).reference(absent)));
        assert!(matches!(unknown.unwrap_err(), Error::UnknownChunk { digest } if digest == absent));
        let too_often = store.commit(batch(|b| {
            b.put("a", "1").reference(here).release(here).release(here)
        }));
        assert!(
            matches!(too_often.unwrap_err(), Error::NotReferenced { digest } if digest == here)
        );
        let never = store.commit(batch(|b| b.put("a", "1").release(absent)));
        assert!(matches!(never.unwrap_err(), Error::NotReferenced { .. }));
        assert_eq!(store.get(b"a").unwrap(), None);
        // No reference came of it either.
        assert_eq!(store.collect().unwrap().chunks, 1);
    });
}

#[test]
fn threads_that_put_commit_release_and_collect_lose_nothing() {
    both(|store| {
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let store = &store;
                scope.spawn(move || {
                    for round in 0..30_u64 {
                        // Every other chunk is shared between threads.
                        let seed = round * 10 + if round % 2 == 0 { thread } else { 9 };
                        let pin = store.put_chunk(&noise(seed, 20_000)).unwrap();
                        let key = format!("{thread}/{round:02}");
                        let value = pin.digest().to_vec();
                        store
                            .commit(batch(|b| b.put(key, value).reference(pin.digest())))
                            .unwrap();
                        drop(pin);
                        if round >= 10 {
                            let key = format!("{thread}/{:02}", round - 10);
                            let old = store.get(key.as_bytes()).unwrap().unwrap();
                            let old: ChunkDigest = old.try_into().unwrap();
                            assert_eq!(store.chunk(&old).unwrap().len(), 20_000);
                            store.commit(batch(|b| b.delete(key).release(old))).unwrap();
                        }
                        if round % 3 == thread % 3 {
                            store.collect().unwrap();
                        }
                    }
                });
            }
        });
        store.collect().unwrap();
        let records = store.scan(b"", None, 1000).unwrap();
        assert_eq!(records.len(), 40);
        for (_, digest) in records {
            let digest: ChunkDigest = digest.try_into().unwrap();
            assert_eq!(store.chunk(&digest).unwrap().len(), 20_000);
        }
        // Of the last ten rounds, five have a chunk per thread and five share one.
        assert_eq!(store.usage().unwrap().chunks, 25);
    });
}
