//! Stored bytes that are not what was stored.

use std::fs;

use super::sentence;
use crate::yard::{Yard, flip, newest_pack, repository, text};

/// A yard with the digits, of whose rows something is done to the pack while the coordinator does not run.
fn damaged(damage: impl Fn(&std::path::Path, u64)) -> Yard {
    let mut yard = Yard::with_digits(&[1, 1]);
    yard.stop_coordinator();
    let (pack, length) = newest_pack(&yard.data_dir());
    damage(&pack, length);
    yard
}

/// The digests of the chunks of the digits.
fn chunks(yard: &Yard) -> Vec<String> {
    let dataset = yard.json(&["data", "show", "digits"]);
    let split = &dataset["splits"][0];
    let rows = split["chunks"].as_array().expect("chunks");
    let chunks = rows.iter().map(|chunk| text(&chunk["digest"]));
    chunks.chain([text(&split["labels"])]).collect()
}

/// Asserts that a sentence says which chunk is damaged, and what to do.
fn assert_names_the_chunk(said: &str, chunks: &[String]) {
    assert!(said.contains("of digits/train ("), "{said}");
    assert!(chunks.iter().any(|chunk| said.contains(chunk)), "{said}");
    assert!(said.contains("import its dataset again"), "{said}");
}

#[test]
fn a_corrupted_chunk_fails_the_job_that_reads_it_and_is_named() {
    let mut yard = damaged(|pack, length| flip(pack, length / 2));
    let job = repository("jobs/digits-cnn.toml");
    let url = yard.url();
    yard.start_coordinator();
    let chunks = chunks(&yard);
    let id = yard.submit(&job, &[]);
    let ended = sentence(yard.run(&["job", "wait", &id]).untold(), 1);
    assert_names_the_chunk(&ended, &chunks);
    let shown = yard.json(&["job", "show", &id]);
    assert_eq!(
        (&shown["state"], &shown["attempts"]),
        (&"failed".into(), &1.into())
    );
    assert_names_the_chunk(&text(&shown["reason"]), &chunks);

    let beside = yard.run(&["run", &job]);
    assert_eq!(beside.code, Some(1), "{beside:?}");
    assert_names_the_chunk(&beside.stderr, &chunks);
    assert_eq!(url, yard.url());
    yard.stop_coordinator();
    let alone = sentence(yard.run(&["run", &job, "--data-dir", "data"]), 1);
    assert_names_the_chunk(&alone, &chunks);

    // The remedy works.
    yard.start_coordinator();
    yard.import_digits();
    let id = yard.submit(&job, &["training.epochs=1"]);
    yard.succeeded(&id);
}

#[test]
fn a_pack_that_has_vanished_fails_the_job_that_reads_it() {
    let mut yard = damaged(|pack, _| fs::remove_file(pack).expect("it was there"));
    yard.start_coordinator();
    let chunks = chunks(&yard);
    let id = yard.submit(&repository("jobs/digits-cnn.toml"), &[]);
    let ended = sentence(yard.run(&["job", "wait", &id]).untold(), 1);
    assert_names_the_chunk(&ended, &chunks);
}
