//! The ledger by itself.

use std::thread;

use super::*;
use crate::error::Error;
use crate::ledger::{Ledger, SubmittedJob};

fn ledger() -> Ledger {
    Ledger::new(Arc::new(Memory::new()))
}

fn submit(ledger: &Ledger, name: &str) -> JobId {
    let id = ledger.next_job().expect("readable");
    let submitted = SubmittedJob {
        id,
        job: spec::job_file::parse(&job_file(name, 1)).expect("a job"),
        steps: 3,
        submitted_unix_ms: 0,
    };
    let mut batch = store::Batch::new();
    Ledger::put_job(&mut batch, &submitted);
    ledger.commit(batch).expect("written");
    id
}

fn import(ledger: &Ledger, name: &str, chunk: &[u8]) -> Digest {
    let _pins = [chunk, LABELS].map(|chunk| ledger.store().put_chunk(chunk).expect("kept"));
    ledger
        .add_dataset(name, dataset(chunk), 0)
        .expect("added")
        .digest
}

fn save(ledger: &Ledger, job: u64, step: u64) -> CheckpointManifest {
    let (manifest, chunk) = checkpoint(job, step);
    let _pin = ledger.store().put_chunk(&chunk).expect("kept");
    ledger.add_checkpoint(manifest.clone(), 0).expect("added");
    manifest
}

#[test]
fn a_name_means_its_newest_job_and_an_id_itself() {
    let ledger = ledger();
    for name in ["a", "ab", "a", "job-1"] {
        submit(&ledger, name);
    }
    let find = |reference: &str| ledger.find_job(reference).ok().map(|job| job.0);
    assert_eq!(find("a"), Some(3));
    assert_eq!(find("ab"), Some(2));
    assert_eq!(find("job-1"), Some(1), "the id goes before the name");
    assert_eq!(find("job-4"), Some(4));
    for unknown in ["job-5", "b", "", "a\0"] {
        assert_eq!(find(unknown), None, "{unknown:?}");
    }
    assert_eq!(ledger.next_job().expect("readable"), JobId(5));
}

#[test]
fn a_dataset_has_versions_and_the_newest_is_meant() {
    let ledger = ledger();
    let first = import(&ledger, "d", b"one");
    let second = import(&ledger, "d", b"two");
    assert_eq!(
        import(&ledger, "d", b"one"),
        first,
        "known content is not stored twice"
    );
    import(&ledger, "da", b"three");
    assert_eq!(ledger.datasets().expect("readable").len(), 3);
    assert_eq!(ledger.dataset("d", None).expect("known").digest, second);
    assert_eq!(
        ledger.dataset("d", Some(&first)).expect("known").digest,
        first
    );
    assert!(ledger.dataset("d\0", None).is_err());
    let unknown = ledger.dataset("e", None).expect_err("unknown").to_string();
    assert!(unknown.contains("there are d, da"), "{unknown}");
}

#[test]
fn imports_at_the_same_time_each_become_a_version() {
    let ledger = ledger();
    thread::scope(|scope| {
        for number in 0..8u8 {
            let ledger = &ledger;
            scope.spawn(move || import(ledger, "d", &[number]));
        }
    });
    assert_eq!(ledger.datasets().expect("readable").len(), 8);
}

#[test]
fn old_checkpoints_go_and_their_chunks_with_them() {
    let ledger = ledger();
    submit(&ledger, "j");
    submit(&ledger, "j");
    for step in 1..=4 {
        save(&ledger, 1, step);
    }
    save(&ledger, 2, 9);
    let steps = |job| -> Vec<u64> {
        let held = ledger.checkpoints(job).expect("readable");
        held.iter().map(|held| held.manifest.step).collect()
    };
    assert_eq!(steps(Some(JobId(1))), [3, 4]);
    assert_eq!(steps(None), [3, 4, 9]);
    let chunk = |step| {
        ledger
            .store()
            .contains(&Digest::of(&checkpoint(1, step).1).0)
    };
    assert!(!chunk(2).expect("readable"));
    assert!(chunk(3).expect("readable"));
}

#[test]
fn a_step_that_is_saved_again_takes_the_place_of_the_first() {
    let ledger = ledger();
    submit(&ledger, "j");
    save(&ledger, 1, 1);
    let first = save(&ledger, 1, 2);
    let mut second = first.clone();
    second.commit += 1;
    ledger
        .add_checkpoint(second.clone(), 0)
        .expect("the chunks are there");
    let held = ledger.checkpoints(None).expect("readable");
    assert_eq!(held.len(), 2);
    assert_eq!(held[1].digest, second.digest());
    assert!(ledger.find_checkpoint(&first.digest().to_string()).is_err());
}

#[test]
fn a_checkpoint_is_found_by_job_by_step_and_by_digits() {
    let ledger = ledger();
    submit(&ledger, "j");
    submit(&ledger, "none");
    let one = save(&ledger, 1, 1).digest().to_string();
    let two = save(&ledger, 1, 2).digest().to_string();
    let find = |reference: &str| {
        ledger
            .find_checkpoint(reference)
            .map(|found| found.digest.to_string())
    };
    for reference in [
        "j",
        "job-1",
        "j@2",
        "job-1@2",
        &two,
        &two[..8],
        &two[..9].to_uppercase(),
    ] {
        assert_eq!(find(reference).expect(reference), two, "{reference}");
    }
    assert_eq!(find("j@1").expect("known"), one);
    for reference in [
        "j@3",
        "j@",
        "j@x",
        "k@1",
        &one[..7],
        "zzzzzzzz",
        "",
        "@",
        &"0".repeat(100_000),
    ] {
        assert!(find(reference).is_err(), "{reference:.20}");
    }
    assert!(matches!(
        find("none"),
        Err(Error::NoCheckpoint { job: JobId(2) })
    ));
}

#[test]
fn a_record_of_another_version_or_of_nonsense_is_named() {
    let ledger = ledger();
    let mut batch = store::Batch::new();
    batch.put(b"state/\0\0\0\0\0\0\0\x01".to_vec(), b"\x02{}".to_vec());
    batch.put(b"state/\0\0\0\0\0\0\0\x02".to_vec(), b"\x01{".to_vec());
    batch.put(b"state/\0\0\0\0\0\0\0\x03".to_vec(), Vec::new());
    ledger.commit(batch).expect("written");
    assert!(matches!(
        ledger.state(JobId(1)),
        Err(Error::RecordVersion {
            version: Some(2),
            ..
        })
    ));
    assert!(matches!(
        ledger.state(JobId(2)),
        Err(Error::BadRecord { .. })
    ));
    assert!(matches!(
        ledger.state(JobId(3)),
        Err(Error::RecordVersion { version: None, .. })
    ));
}

#[test]
fn a_worker_keeps_its_number_by_its_name() {
    let ledger = ledger();
    let mut number = |name: &str| {
        let mut batch = store::Batch::new();
        let id = ledger.worker_id(&mut batch, name).expect("readable");
        ledger.commit(batch).expect("written");
        id.0
    };
    let numbers = ["a", "b", "a", "c", "b"].map(&mut number);
    assert_eq!(numbers, [1, 2, 1, 3, 2]);
}

#[test]
fn an_imported_checkpoint_is_found_by_its_digits_and_stays_until_it_is_deleted() {
    let ledger = ledger();
    let (mut manifest, chunk) = checkpoint(1, 0);
    manifest.job_id = None;
    let digest = manifest.digest().to_string();
    let add = || {
        let _pin = ledger.store().put_chunk(&chunk).expect("kept");
        ledger.add_checkpoint(manifest.clone(), 0).expect("added")
    };
    add();
    add();
    let find = |reference: &str| ledger.find_checkpoint(reference);
    assert_eq!(find(&digest[..8]).expect("known").manifest, manifest);
    assert!(find("tiny").is_err(), "no job has made it");
    assert_eq!(ledger.checkpoints(None).expect("readable").len(), 1);
    let gone = ledger.delete_checkpoint(&digest).expect("nobody needs it");
    assert_eq!(gone.manifest, manifest);
    assert!(find(&digest).is_err());
    assert!(ledger.delete_checkpoint(&digest).is_err());
    assert!(ledger.checkpoints(None).expect("readable").is_empty());
    let kept = ledger.store().contains(&Digest::of(&chunk).0);
    assert!(!kept.expect("readable"), "its chunk went with it");
}

#[test]
fn the_best_of_a_job_stays_and_is_found_by_name_also_where_the_ledger_is_opened_anew() {
    let store = Arc::new(Memory::new());
    let ledger = Ledger::new(store.clone());
    submit(&ledger, "tiny");
    let refused = |ledger: &Ledger| {
        let refused = ledger.find_checkpoint("tiny@best").expect_err("none");
        refused.to_string()
    };
    assert_eq!(refused(&ledger), "job-1 has no complete checkpoint yet");
    let add = |ledger: &Ledger, step, monitored| {
        let (mut manifest, chunk) = checkpoint(1, step);
        manifest.monitored = monitored;
        manifest.job.checkpoint.keep_last = 1;
        let _pin = ledger.store().put_chunk(&chunk).expect("kept");
        ledger.add_checkpoint(manifest, 0).expect("added").digest
    };
    add(&ledger, 1, None);
    assert_eq!(
        refused(&ledger),
        "job-1 has no checkpoint with a validation_loss, so none is its best: give job-1 (its newest) or job-1@step; data.validation makes a job validate"
    );
    let best = add(&ledger, 2, Some(0.25));
    for (step, value) in [(3, Some(0.5)), (4, None), (5, Some(0.25))] {
        add(&ledger, step, value);
    }
    let ledger = Ledger::new(store);
    let newest = add(&ledger, 6, Some(0.75));
    let held = ledger.checkpoints(Some(JobId(1))).expect("readable");
    let steps: Vec<u64> = held.iter().map(|one| one.manifest.step).collect();
    assert_eq!(steps, [2, 6], "the first of the best, and the newest");
    let find = |reference: &str| ledger.find_checkpoint(reference).expect("known").digest;
    assert_eq!([find("tiny@best"), find("job-1@best")], [best; 2]);
    assert_eq!(find("tiny"), newest);
    let better = add(&ledger, 7, Some(0.125));
    assert_eq!((find("tiny@best"), find("tiny")), (better, better));
    assert_eq!(ledger.checkpoints(None).expect("readable").len(), 1);
}
