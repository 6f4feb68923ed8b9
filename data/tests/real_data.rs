//! Imports of real files, where they are there: in `$TRAINYARD_SHARED`, or in `shared` beside the repository.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use data::{
    ChunkSink, ChunkSource, CsvOptions, DIGITS_CSV_GZ, Loader, Microbatches, Rows, Sampling,
    Selection, SinkError, SourceError, import_csv, import_csv_bytes, import_idx, preprocessing,
};
use spec::Digest;
use spec::job::Normalize;

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

/// A folder of real data, or `None` with a word about it.
fn shared(folder: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let root = std::env::var_os("TRAINYARD_SHARED").map_or(beside, PathBuf::from);
    let path = root.join("data").join(folder);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn the_digits_file_is_the_one_that_is_compiled_in() {
    let Some(folder) = shared("uci-digits") else {
        return;
    };
    let options = CsvOptions {
        shape: Some("1x8x8".parse().unwrap()),
        maximum: Some(16.0),
        ..CsvOptions::default()
    };
    let mut memory = Memory::default();
    let file = import_csv(
        &folder.join("digits.csv.gz"),
        &options,
        &mut memory,
        &mut |_| {},
    )
    .unwrap();
    let compiled =
        import_csv_bytes("digits", DIGITS_CSV_GZ, &options, &mut memory, &mut |_| {}).unwrap();
    assert_eq!(file.digest(), compiled.digest());
    assert_eq!(file.splits[0].rows, 1797);
}

#[test]
fn fashion_mnist_is_imported_and_read_through_an_epoch() {
    let Some(folder) = shared("fashion-mnist") else {
        return;
    };
    let mut memory = Memory::default();
    let mut last = None;
    let manifest =
        import_idx(&folder, &mut memory, &mut |progress| last = Some(*progress)).unwrap();
    let last = last.unwrap();
    assert_eq!((last.rows, Some(last.done)), (70_000, last.total));
    assert_eq!(
        (manifest.shape.to_string(), manifest.classes.len()),
        ("1x28x28".to_string(), 10)
    );
    let [test, train] = &manifest.splits[..] else {
        panic!("two splits")
    };
    assert_eq!((test.rows, train.rows), (10_000, 60_000));
    assert_eq!(
        (test.class_counts.clone(), train.class_counts.clone()),
        (vec![1000; 10], vec![6000; 10])
    );
    // The constants in use for this dataset everywhere: 0.2860 and 0.3530 of 255.
    assert!(
        (train.mean[0] / 255.0 - 0.2860).abs() < 5e-5
            && (train.std[0] / 255.0 - 0.3530).abs() < 5e-5
    );

    let rows = Rows::open(
        "fashion",
        &manifest,
        "train",
        Selection::All,
        None,
        Arc::new(memory),
    )
    .unwrap();
    let constants = preprocessing(Normalize::Standard, &rows).unwrap();
    assert_eq!(constants.shift, [train.mean[0] as f32]);
    let order = rows
        .order(Sampling {
            seed: 42,
            batch_size: 256,
            drop_last: false,
        })
        .unwrap();
    let steps = order.steps_per_epoch();
    assert_eq!(steps, 235);
    let cut = Microbatches { size: 32, count: 8 };
    let mut loader = Loader::training(rows, order, constants, cut, 0..8, 0).unwrap();
    let (mut samples, mut sum, mut squares, mut counts) = (0, 0.0, 0.0, [0; 10]);
    for _ in 0..steps {
        let batch = loader.next().unwrap();
        samples += batch.samples;
        for microbatch in &batch.microbatches {
            sum += microbatch.x.iter().map(|&x| f64::from(x)).sum::<f64>();
            squares += microbatch
                .x
                .iter()
                .map(|&x| f64::from(x) * f64::from(x))
                .sum::<f64>();
            microbatch
                .labels
                .iter()
                .for_each(|&label| counts[label as usize] += 1);
        }
        loader.recycle(batch);
    }
    let values = 60_000.0 * 784.0;
    assert_eq!((samples, counts), (60_000, [6000; 10]));
    assert!(
        (sum / values).abs() < 1e-5 && (squares / values - 1.0).abs() < 1e-5,
        "{sum} {squares}"
    );
}
