use spec::job::Normalize;

use super::*;
use crate::chunk::{encode, encode_labels};
use crate::memory::Memory;
use crate::preprocessing::{preprocessing, preprocessing_standard};

fn open(
    memory: Memory,
    manifest: &DatasetManifest,
    split: &str,
    selection: Selection,
) -> Result<Rows, Error> {
    Rows::open("yard", manifest, split, selection, None, Arc::new(memory))
}

fn refusal(
    memory: Memory,
    manifest: &DatasetManifest,
    split: &str,
    selection: Selection,
) -> String {
    open(memory, manifest, split, selection)
        .err()
        .unwrap()
        .to_string()
}

#[test]
fn standard_constants_are_those_of_the_rows_trained_on_however_the_work_is_shared() {
    let memory = Memory::default();
    let manifest = memory.dataset(&[9, 4, 7, 1, 8], "2x2x3", 3);
    let rows = open(memory, &manifest, "train", Selection::TrainedOn(0.4)).unwrap();
    let alone = preprocessing(Normalize::Standard, &rows).unwrap();
    let mut parts: Vec<(u32, ChannelSums)> = Vec::new();
    for rank in [1, 0, 2] {
        parts.extend(
            (rank..rows.chunks())
                .step_by(3)
                .map(|chunk| (chunk, rows.chunk_sums(chunk).unwrap())),
        );
    }
    let shared = preprocessing_standard(&ChannelSums::fold(parts).unwrap().unwrap());
    assert_eq!(shared, alone);

    let mut numbers = Vec::new();
    rows.plain(0..u64::MAX, &mut numbers);
    assert!(numbers.len() < 29);
    for channel in 0..2 {
        let values: Vec<f64> = numbers
            .iter()
            .flat_map(|&row| {
                (channel * 6..channel * 6 + 6).map(move |v| f64::from((row as usize * 7 + v) as u8))
            })
            .collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values
            .iter()
            .map(|value| (value - mean) * (value - mean))
            .sum::<f64>()
            / values.len() as f64;
        assert_eq!(alone.shift[channel], mean as f32);
        assert!((f64::from(alone.scale[channel]) * variance.sqrt() - 1.0).abs() < 1e-6);
    }
}

#[test]
fn a_split_or_fraction_that_cannot_be_is_refused() {
    let memory = Memory::default();
    let mut manifest = memory.dataset(&[2], "1x1x1", 2);
    assert_eq!(
        refusal(Memory::default(), &manifest, "test", Selection::All),
        "dataset yard has no split \"test\": it has train"
    );
    for fraction in [0.0, 1.0, -1.0, f64::NAN] {
        let expected = format!(
            "a fraction of {fraction} cannot be validated on: give a number above 0 and below 1"
        );
        assert_eq!(
            refusal(
                Memory::default(),
                &manifest,
                "train",
                Selection::ValidatedOn(fraction)
            ),
            expected
        );
    }
    assert_eq!(
        refusal(memory, &manifest, "train", Selection::ValidatedOn(0.5)),
        "a fraction of 0.5 leaves yard/train with no rows to validate on: no class has 2 rows; give a validation split"
    );
    manifest.splits[0].rows = 3;
    assert_eq!(
        refusal(Memory::default(), &manifest, "train", Selection::All),
        "the manifest of yard/train says 3 rows, but its chunks hold 2; import the dataset again"
    );
}

#[test]
fn labels_and_chunks_that_are_not_what_the_manifest_says_are_refused() {
    let memory = Memory::default();
    let mut manifest = memory.dataset(&[2], "1x1x2", 2);
    manifest.splits[0].labels = Some(memory.keep(encode_labels(&[0, 2])));
    assert_eq!(
        refusal(memory, &manifest, "train", Selection::All),
        "the labels chunk of yard/train has label 2 in row 1 (from 0), but there are 2 classes; import the dataset again"
    );
    let memory = Memory::default();
    let mut manifest = memory.dataset(&[2], "1x1x2", 2);
    memory.spoil(&manifest.splits[0].labels.unwrap());
    let message = refusal(memory, &manifest, "train", Selection::All);
    assert!(
        message.starts_with("the labels chunk of yard/train is corrupt: its digest is "),
        "{message}"
    );

    let memory = Memory::default();
    manifest = memory.dataset(&[2], "1x1x2", 2);
    let told = |memory: Memory, manifest: &DatasetManifest| {
        open(memory, manifest, "train", Selection::All)
            .unwrap()
            .chunk_sums(0)
            .unwrap_err()
            .to_string()
    };
    manifest.splits[0].chunks[0].digest = memory.keep(encode(Element::U8, 4, &[0; 4]));
    assert_eq!(
        told(memory, &manifest),
        "chunk 0 of yard/train holds 1 rows of 4 u8 values, but the manifest says 2 rows of 2 u8 values; import the \
         dataset again"
    );
    let memory = Memory::default();
    manifest = memory.dataset(&[2], "1x1x2", 2);
    manifest.splits[0].chunks[0].digest = memory.keep(b"not a chunk of rows at all".to_vec());
    assert_eq!(
        told(memory, &manifest),
        "chunk 0 of yard/train does not begin as a chunk does; import the dataset again"
    );
}

#[test]
fn the_plans_arithmetic_and_the_reader_agree_on_the_cache() {
    for (chunk_rows, shape) in [
        (&[10, 10][..], "1x4x4"),
        (&[1; 40], "1x1024x1024"),
        (&[9], "1x1024x1024"),
    ] {
        let memory = Memory::default();
        let manifest = memory.dataset(chunk_rows, shape, 2);
        let split = &manifest.splits[0];
        let planned = spec::footprint::cache_bytes(&manifest, split);
        let one = spec::footprint::reader_bytes(&manifest, split, 16, None);
        let two = spec::footprint::reader_bytes(&manifest, split, 32, None);
        let rows = open(memory, &manifest, "train", Selection::All).unwrap();
        assert_eq!(planned, rows.cache_bytes());
        let batch = 16 * (4 * manifest.shape.elements() as u64 + 4);
        assert!(planned + 3 * batch < one && two - one >= 3 * batch);
    }
}
