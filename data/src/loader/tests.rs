use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use spec::DatasetManifest;
use spec::job::Normalize;

use super::*;
use crate::batch::Microbatch;
use crate::memory::Memory;
use crate::order::Sampling;
use crate::preprocessing::{preprocessing, preprocessing_none, preprocessing_unit};
use crate::selection::Selection;

fn open(memory: &Arc<Memory>, manifest: &DatasetManifest, selection: Selection) -> Rows {
    Rows::open("yard", manifest, "train", selection, None, memory.clone()).unwrap()
}

fn dataset(chunk_rows: &[u32]) -> (Arc<Memory>, DatasetManifest) {
    let memory = Memory::default();
    let manifest = memory.dataset(chunk_rows, "2x1x3", 3);
    (Arc::new(memory), manifest)
}

/// The value `v` of a row of `Memory::dataset`, divided by 255.
fn value(row: u32, v: usize) -> f32 {
    f32::from((row as usize * 7 + v) as u8) * (1.0 / 255.0f64) as f32
}

/// Polls a condition that another thread makes true.
fn wait_until(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if condition() {
            return true;
        }
        thread::yield_now();
    }
    false
}

/// What a batch should be, cut from an epoch's rows one at a time.
fn expected(step: u64, epoch: u64, batch: &[u32], cut: Microbatches, share: &Range<u32>) -> Batch {
    let mut microbatches = Vec::new();
    for (number, rows) in batch.chunks(cut.size).enumerate() {
        if share.contains(&(number as u32)) {
            let x = rows
                .iter()
                .flat_map(|&row| (0..6).map(move |v| value(row, v)))
                .collect();
            let labels = rows.iter().map(|row| row % 3).collect();
            microbatches.push(Microbatch {
                number: number as u32,
                x,
                labels,
                ..Microbatch::default()
            });
        }
    }
    let present = batch.chunks(cut.size).len() as u32;
    Batch {
        step,
        epoch,
        samples: batch.len(),
        tokens: 0,
        present,
        microbatches,
    }
}

mod tokens;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_loader_equals_a_plain_cut_of_the_order(
        chunk_rows in prop::collection::vec(1u32..12, 1..8),
        batch_size in 1u32..30,
        count in 1u32..9,
        ranks in 1u32..5,
        drop_last in any::<bool>(),
        fraction in prop::option::of(0.1f64..0.9),
        start in 0u64..20,
    ) {
        let (memory, manifest) = dataset(&chunk_rows);
        let selection = fraction.map_or(Selection::All, Selection::TrainedOn);
        let total: u32 = chunk_rows.iter().sum();
        let rows = open(&memory, &manifest, selection);
        let sampling = Sampling { seed: 11, batch_size, drop_last };
        prop_assume!(!drop_last || rows.len() >= u64::from(batch_size));
        prop_assert!(rows.len() <= u64::from(total));
        let mut order = rows.order(sampling).unwrap();
        let cut = Microbatches { size: batch_size.div_ceil(count) as usize, count };
        let bounds: Vec<u32> = (0..=ranks).map(|rank| rank * count / ranks).collect();
        for share in bounds.windows(2).map(|pair| pair[0]..pair[1]) {
            let order_of_rank = rows.order(sampling).unwrap();
            let constants = preprocessing_unit(2, manifest.maximum);
            let mut loader =
                Loader::training(rows.clone(), order_of_rank, constants, cut, share.clone(), start).unwrap();
            prop_assert_eq!(loader.batches(), None);
            for step in start..start + 5 {
                let place = order.step(step);
                let mut numbers = Vec::new();
                order.rows(place.epoch, place.positions, &mut numbers);
                let batch = loader.next().unwrap();
                prop_assert_eq!(&batch, &expected(step, place.epoch, &numbers, cut, &share));
                loader.recycle(batch);
            }
        }
    }

    #[test]
    fn an_evaluation_takes_every_row_once_in_row_order(
        chunk_rows in prop::collection::vec(1u32..12, 1..8),
        size in 1usize..7,
        count in 1u32..5,
        fraction in prop::option::of(0.1f64..0.9),
    ) {
        let (memory, manifest) = dataset(&chunk_rows);
        let total: u32 = chunk_rows.iter().sum();
        prop_assume!(fraction.is_none() || total > 3);
        let rows = open(&memory, &manifest, fraction.map_or(Selection::All, Selection::ValidatedOn));
        let mut numbers = Vec::new();
        rows.plain(0..u64::MAX, &mut numbers);
        prop_assert!(numbers.is_sorted());
        prop_assert_eq!(numbers.len() as u64, rows.len());
        let cut = Microbatches { size, count };
        for share in [0..count, 0..1, count / 2..count] {
            let constants = preprocessing_unit(2, manifest.maximum);
            let mut loader = Loader::evaluation(rows.clone(), constants, cut, share.clone()).unwrap();
            let rounds: Vec<&[u32]> = numbers.chunks(size * count as usize).collect();
            prop_assert_eq!(loader.batches(), Some(rounds.len() as u64));
            for (round, numbers) in rounds.iter().enumerate() {
                let batch = loader.next().unwrap();
                prop_assert_eq!(&batch, &expected(round as u64, 0, numbers, cut, &share));
                loader.recycle(batch);
            }
            let past = loader.next().unwrap_err().to_string();
            prop_assert_eq!(past, format!("all {} batches have been taken", rounds.len()));
        }
    }
}

fn training(rows: &Rows, batch_size: u32, share: Range<u32>) -> Loader {
    let order = rows
        .order(Sampling {
            seed: 1,
            batch_size,
            drop_last: false,
        })
        .unwrap();
    let cut = Microbatches {
        size: batch_size.div_ceil(2) as usize,
        count: 2,
    };
    Loader::training(
        rows.clone(),
        order,
        preprocessing_none(rows.channels()),
        cut,
        share,
        0,
    )
    .unwrap()
}

#[test]
fn buffers_that_come_back_are_used_again() {
    let (memory, manifest) = dataset(&[8, 8, 3]);
    let mut loader = training(&open(&memory, &manifest, Selection::All), 4, 0..2);
    let mut buffers = BTreeSet::new();
    for _ in 0..100 {
        let batch = loader.next().unwrap();
        for microbatch in &batch.microbatches {
            buffers.insert(microbatch.x.as_ptr() as usize);
            assert_eq!(microbatch.x.capacity(), 12);
        }
        loader.recycle(batch);
    }
    assert!(
        buffers.len() as u64 <= 2 * RESIDENT_BATCHES,
        "{} buffers",
        buffers.len()
    );
}

#[test]
fn batches_are_made_ahead_and_no_further() {
    let (memory, manifest) = dataset(&[4; 10]);
    let rows = open(&memory, &manifest, Selection::All);
    // One batch a chunk, in row order: an evaluation of rounds of 4.
    let cut = Microbatches { size: 4, count: 1 };
    let mut loader = Loader::evaluation(rows, preprocessing_none(2), cut, 0..1).unwrap();
    let reads = || memory.reads.load(Ordering::Relaxed);
    assert!(
        wait_until(|| reads() == 3),
        "the labels and two chunks ahead"
    );
    let first = loader.next().unwrap();
    assert!(wait_until(|| reads() == 4));
    assert_eq!(reads(), 4);
    loader.recycle(first);
}

#[test]
fn dropping_the_loader_ends_its_thread() {
    let (memory, manifest) = dataset(&[8, 8]);
    let watched = Arc::downgrade(&memory);
    let loader = training(&open(&memory, &manifest, Selection::All), 4, 0..2);
    drop((loader, memory));
    assert!(
        wait_until(|| watched.upgrade().is_none()),
        "the thread still holds the source"
    );
}

#[test]
fn a_corrupt_or_lost_chunk_is_named_and_ends_the_loading() {
    let (memory, manifest) = dataset(&[8]);
    let digest = manifest.splits[0].chunks[0].digest;
    let rows = open(&memory, &manifest, Selection::All);
    memory.spoil(&digest);
    let mut loader = training(&rows, 4, 0..2);
    let message = loader.next().unwrap_err().to_string();
    let begins = "chunk 0 of yard/train is corrupt: its digest is ";
    let ends = format!(", expected {}; import the dataset again", digest.short());
    assert!(
        message.starts_with(begins) && message.ends_with(&ends),
        "{message}"
    );
    assert_eq!(
        loader.next().unwrap_err().to_string(),
        "the data loader has ended after an earlier error"
    );
    memory.lose(&digest);
    let message = training(&rows, 4, 0..2).next().unwrap_err().to_string();
    assert_eq!(
        message,
        format!(
            "cannot read chunk 0 of yard/train ({}): it is not there",
            digest.short()
        )
    );
}

#[test]
fn what_does_not_fit_together_is_refused_before_a_thread_is_started() {
    let (memory, manifest) = dataset(&[8]);
    let rows = open(&memory, &manifest, Selection::All);
    let order = || {
        rows.order(Sampling {
            seed: 1,
            batch_size: 8,
            drop_last: false,
        })
        .unwrap()
    };
    let refusal = |constants, size, count, share| {
        Loader::training(
            rows.clone(),
            order(),
            constants,
            Microbatches { size, count },
            share,
            0,
        )
        .err()
        .unwrap()
        .to_string()
    };
    assert_eq!(
        refusal(preprocessing_none(1), 4, 2, 0..2),
        "preprocessing has constants for 1 channels, but yard/train has 2: it belongs to other data"
    );
    assert_eq!(
        refusal(preprocessing_none(2), 3, 2, 0..2),
        "2 microbatches of 3 samples do not hold a batch of 8: raise microbatches"
    );
    assert_eq!(
        refusal(preprocessing_none(2), 4, 2, 1..3),
        "the share 1..3 is not within the 2 microbatches"
    );
    let none = Microbatches { size: 0, count: 2 };
    assert!(Loader::evaluation(rows, preprocessing_none(2), none, 0..2).is_err());
}

#[test]
fn an_epoch_of_many_windows_reads_every_chunk_once() {
    let memory = Memory::default();
    let manifest = memory.dataset(&[1; 40], "1x1024x1024", 2);
    let memory = Arc::new(memory);
    let rows = open(&memory, &manifest, Selection::All);
    assert_eq!(rows.cache_bytes(), 16 << 20);
    let mut order = rows
        .order(Sampling {
            seed: 5,
            batch_size: 3,
            drop_last: false,
        })
        .unwrap();
    let constants = preprocessing(Normalize::Unit, &rows).unwrap();
    let (mut x, mut labels, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    let before = memory.reads.load(Ordering::Relaxed);
    for step in 0..order.steps_per_epoch() {
        let place = order.step(step);
        numbers.clear();
        order.rows(place.epoch, place.positions, &mut numbers);
        rows.gather(&numbers, &constants, &mut x, &mut labels)
            .unwrap();
    }
    assert_eq!(memory.reads.load(Ordering::Relaxed) - before, 40);
}
