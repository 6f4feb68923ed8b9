//! Imports of real text, where it is there: in `$TRAINYARD_SHARED`, or in `shared` beside the repository.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use data::{
    ChunkSink, ChunkSource, ColumnNames, Dialect, Loader, Microbatches, Rows, Sampling, Selection,
    SinkError, Source, SourceError, TextOptions, import_csv_text, import_lines, import_text,
    preprocessing_none,
};
use spec::tokenizer::{Tokenizer, Unit};
use spec::{DatasetManifest, Digest};

#[derive(Default)]
struct Memory(Mutex<BTreeMap<Digest, Vec<u8>>>);

impl ChunkSink for Memory {
    fn put(&mut self, bytes: Vec<u8>) -> Result<Digest, SinkError> {
        let digest = Digest::of(&bytes);
        self.0
            .lock()
            .expect("no thread panics here")
            .insert(digest, bytes);
        Ok(digest)
    }
}

impl ChunkSource for Memory {
    fn chunk(&self, digest: &Digest) -> Result<Vec<u8>, SourceError> {
        self.0
            .lock()
            .expect("no thread panics here")
            .get(digest)
            .cloned()
            .ok_or_else(|| SourceError::new("it is not there"))
    }
}

/// A file or folder of real data as a source of `split`, or `None` with a word about it.
fn shared(split: &str, path: &str) -> Option<Source> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let root = std::env::var_os("TRAINYARD_SHARED").map_or(beside, PathBuf::from);
    let path = root.join("data").join(path);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    let split = split.to_string();
    Some(Source { split, path })
}

fn tokenizer(memory: &Memory, manifest: &DatasetManifest) -> Tokenizer {
    let tokens = manifest.tokens.expect("a dataset of tokens");
    Tokenizer::decode(&memory.chunk(&tokens.tokenizer).expect("a chunk")).expect("a tokenizer")
}

#[test]
fn tiny_shakespeare_has_65_characters_and_an_epoch_of_windows_that_takes_each_once() {
    let Some(source) = shared("train", "tinyshakespeare/input.txt") else {
        return;
    };
    let options = TextOptions {
        test_fraction: Some(0.1),
        ..TextOptions::default()
    };
    let mut memory = Memory::default();
    let manifest = import_text(&[source], &options, &mut memory, &mut |_| {}).unwrap();
    assert_eq!(manifest.tokens.unwrap().vocabulary, 65);
    assert_eq!(tokenizer(&memory, &manifest).unknown, None);
    let sizes: Vec<u64> = manifest.splits.iter().map(|split| split.rows).collect();
    assert_eq!(sizes, [111_539, 1_003_855]);

    let memory = Arc::new(memory);
    let rows = Rows::open(
        "shakespeare",
        &manifest,
        "train",
        Selection::All,
        Some(64),
        memory,
    )
    .unwrap();
    let sampling = Sampling {
        seed: 1,
        batch_size: 64,
        drop_last: false,
    };
    let order = rows.order(sampling).unwrap();
    let steps = order.steps_per_epoch();
    let cut = Microbatches { size: 8, count: 8 };
    let mut loader = Loader::training(rows, order, preprocessing_none(1), cut, 0..8, 0).unwrap();
    let (mut samples, mut tokens) = (0, 0);
    for _ in 0..steps {
        let batch = loader.next().unwrap();
        samples += batch.samples;
        tokens = batch.tokens;
        for microbatch in &batch.microbatches {
            assert_eq!(microbatch.tokens.len(), microbatch.labels.len());
        }
        loader.recycle(batch);
    }
    assert_eq!((samples, tokens), (15_686, 1_003_854));
}

#[test]
fn wikitext_has_the_tokens_that_its_authors_count() {
    let train = shared("train", "wikitext-2/valid.txt.gz");
    let test = shared("test", "wikitext-2/test.txt.gz");
    let (Some(train), Some(test)) = (train, test) else {
        return;
    };
    let options = TextOptions {
        unit: Some(Unit::Whitespace),
        vocabulary: Some(10_000),
        ..TextOptions::default()
    };
    let mut memory = Memory::default();
    let manifest = import_text(&[train, test], &options, &mut memory, &mut |_| {}).unwrap();
    let rows = |name| manifest.split(name).unwrap().rows;
    assert_eq!((rows("train"), rows("test")), (217_646, 245_569));
    let tokenizer = tokenizer(&memory, &manifest);
    assert_eq!(tokenizer.vocabulary.len(), 10_000);
    assert_eq!(tokenizer.vocabulary[..2], ["<unk>", "the"]);
}

#[test]
fn a_book_with_a_byte_order_mark_is_imported_alike_in_every_compression_of_it() {
    let Some(source) = shared("train", "war-and-peace/war_and_peace.txt.gz") else {
        return;
    };
    let mut text = Vec::new();
    let file = std::fs::File::open(&source.path).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(file), &mut text).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("war.txt");
    std::fs::write(&plain, &text).unwrap();
    let options = TextOptions {
        unit: Some(Unit::Words),
        lowercase: true,
        ..TextOptions::default()
    };
    let mut memory = Memory::default();
    let compressed = import_text(&[source], &options, &mut memory, &mut |_| {}).unwrap();
    let plain = Source {
        split: "train".to_string(),
        path: plain,
    };
    let again = import_text(&[plain], &options, &mut memory, &mut |_| {}).unwrap();
    assert_eq!(compressed.digest(), again.digest());
    let vocabulary = tokenizer(&memory, &compressed).vocabulary;
    assert!(vocabulary.iter().all(|word| !word.contains('\u{feff}')));
    assert!(compressed.splits[0].rows > 600_000);
}

#[test]
fn messages_become_rows_of_words_with_their_class() {
    let Some(source) = shared("train", "sms-spam/SMSSpamCollection.tsv") else {
        return;
    };
    let options = TextOptions {
        lowercase: true,
        test_fraction: Some(0.2),
        ..TextOptions::default()
    };
    let columns = ColumnNames {
        text: "1".to_string(),
        label: None,
    };
    let mut memory = Memory::default();
    let manifest = import_csv_text(
        &[source],
        &columns,
        Dialect::Tab,
        &options,
        &mut memory,
        &mut |_| {},
    )
    .unwrap();
    assert_eq!(manifest.classes, ["ham", "spam"]);
    let counts = |name| manifest.split(name).unwrap().class_counts.clone();
    assert_eq!(counts("train"), [4_827 - 965, 747 - 149]);
    assert_eq!(counts("test"), [965, 149]);
}

#[test]
fn sentences_are_split_at_line_feeds_alone() {
    for (file, words) in [("amazon_cells", 4), ("imdb", 4), ("yelp", 4)] {
        let Some(source) = shared("train", &format!("sentiment-sentences/{file}_labelled.txt"))
        else {
            return;
        };
        let columns = ColumnNames {
            text: "0".to_string(),
            label: None,
        };
        let options = TextOptions::default();
        let mut memory = Memory::default();
        let manifest = import_csv_text(
            &[source],
            &columns,
            Dialect::Tab,
            &options,
            &mut memory,
            &mut |_| {},
        )
        .unwrap();
        assert_eq!(manifest.splits[0].class_counts, [500, 500], "{file}");
        let lengths = manifest.splits[0].tokens.unwrap().lengths.unwrap();
        assert!(lengths.median > words, "{file}");
    }
}

#[test]
fn names_are_rows_of_characters_in_18_classes() {
    let Some(source) = shared("train", "names") else {
        return;
    };
    let mut memory = Memory::default();
    let options = TextOptions::default();
    let manifest = import_lines(&[source], &options, &mut memory, &mut |_| {}).unwrap();
    let split = &manifest.splits[0];
    assert_eq!((manifest.classes.len(), split.rows), (18, 20_050));
    assert_eq!(
        (&manifest.classes[0], manifest.classes[14].as_str()),
        (&"Arabic".to_string(), "Russian")
    );
    let rows = Rows::open(
        "names",
        &manifest,
        "train",
        Selection::ValidatedOn(0.2),
        None,
        Arc::new(memory),
    )
    .unwrap();
    assert!((4_000..4_020).contains(&rows.len()), "{}", rows.len());
}
