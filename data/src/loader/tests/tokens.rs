//! Batches of tokens: windows of a stream, and rows of their own length.

use std::cmp::Reverse;

use super::*;

const VOCABULARY: u32 = 61;

fn open_tokens(
    memory: &Arc<Memory>,
    manifest: &DatasetManifest,
    selection: Selection,
    length: Option<u32>,
) -> Rows {
    Rows::open("yard", manifest, "train", selection, length, memory.clone()).unwrap()
}

/// Chunk sizes that add up to `total`, from any list of sizes.
fn chunks_of(total: u32, sizes: &[u32]) -> Vec<u32> {
    let mut left = total;
    let mut chunks = Vec::new();
    for &size in sizes.iter().cycle() {
        let size = size.min(left);
        chunks.push(size);
        left -= size;
        if left == 0 {
            break;
        }
    }
    chunks
}

/// The tokens of a row that begins at `start`.
fn row(start: u64, length: u32) -> Vec<u32> {
    (start..start + u64::from(length))
        .map(|at| Memory::token(at, VOCABULARY))
        .collect()
}

/// Samples, sorted by length, as step after step.
fn packed(samples: &[Vec<u32>]) -> Vec<u32> {
    let longest = samples.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest)
        .flat_map(|step| samples.iter().filter_map(move |sample| sample.get(step)))
        .copied()
        .collect()
}

fn loader(
    rows: &Rows,
    sampling: Sampling,
    cut: Microbatches,
    share: Range<u32>,
    start: u64,
) -> Loader {
    let order = rows.order(sampling).unwrap();
    Loader::training(
        rows.clone(),
        order,
        preprocessing_none(1),
        cut,
        share,
        start,
    )
    .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn an_epoch_of_a_stream_trains_on_every_token_once_with_the_one_that_follows_as_its_target(
        total in 2u32..300,
        sizes in prop::collection::vec(1u32..60, 1..6),
        length in 1u32..40,
        batch_size in 1u32..12,
        count in 1u32..5,
        seed in 0u64..9,
    ) {
        let memory = Arc::new(Memory::default());
        let manifest = memory.stream(&chunks_of(total, &sizes), VOCABULARY);
        let rows = open_tokens(&memory, &manifest, Selection::All, Some(length));
        prop_assert_eq!(rows.len(), manifest.splits[0].samples(Some(length)));
        let sampling = Sampling { seed, batch_size, drop_last: false };
        let cut = Microbatches { size: batch_size.div_ceil(count) as usize, count };
        let mut order = rows.order(sampling).unwrap();
        let mut loader = loader(&rows, sampling, cut, 0..count, 0);
        let (mut seen, mut tokens) = (Vec::new(), 0);
        for step in 0..order.steps_per_epoch() {
            let mut numbers = Vec::new();
            order.rows(0, order.step(step).positions, &mut numbers);
            let batch = loader.next().unwrap();
            for (microbatch, windows) in batch.microbatches.iter().zip(numbers.chunks(cut.size)) {
                let mut windows: Vec<_> = windows.iter().map(|&window| {
                    let start = u64::from(window) * u64::from(length);
                    (start, u64::from(length).min(u64::from(total) - 1 - start) as u32)
                }).collect();
                windows.sort_by_key(|&(_, length)| Reverse(length));
                let lengths: Vec<u32> = windows.iter().map(|&(_, length)| length).collect();
                let inputs: Vec<_> = windows.iter().map(|&(start, length)| row(start, length)).collect();
                let targets: Vec<_> = windows.iter().map(|&(start, length)| row(start + 1, length)).collect();
                prop_assert_eq!(&microbatch.lengths, &lengths);
                prop_assert_eq!(&microbatch.tokens, &packed(&inputs));
                prop_assert_eq!(&microbatch.labels, &packed(&targets));
                prop_assert!(microbatch.x.is_empty());
                tokens += microbatch.tokens.len() as u64;
                seen.extend(windows.iter().flat_map(|&(start, length)| start..start + u64::from(length)));
            }
            prop_assert_eq!(batch.tokens, tokens);
            loader.recycle(batch);
        }
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..u64::from(total) - 1).collect::<Vec<_>>());
    }

    #[test]
    fn rows_of_tokens_keep_their_labels_however_they_are_packed_cut_and_shared(
        lengths in prop::collection::vec(1u32..20, 1..40),
        sizes in prop::collection::vec(1u32..60, 1..6),
        longest in prop::option::of(1u32..25),
        batch_size in 1u32..12,
        count in 1u32..5,
        ranks in 1u32..4,
    ) {
        let memory = Arc::new(Memory::default());
        let total = lengths.iter().sum();
        let manifest = memory.sequences(&chunks_of(total, &sizes), &lengths, VOCABULARY);
        let rows = open_tokens(&memory, &manifest, Selection::All, longest);
        let most = longest.unwrap_or(u32::MAX);
        let starts: Vec<u64> = (0..lengths.len()).map(|row| lengths[..row].iter().map(|&l| u64::from(l)).sum()).collect();
        let sampling = Sampling { seed: 5, batch_size, drop_last: false };
        let cut = Microbatches { size: batch_size.div_ceil(count) as usize, count };
        let mut order = rows.order(sampling).unwrap();
        let mut seen = vec![0; lengths.len()];
        let bounds: Vec<u32> = (0..=ranks).map(|rank| rank * count / ranks).collect();
        for share in bounds.windows(2).map(|pair| pair[0]..pair[1]) {
            let mut loader = loader(&rows, sampling, cut, share.clone(), 0);
            let mut tokens = 0;
            for step in 0..order.steps_per_epoch() {
                let mut numbers = Vec::new();
                order.rows(0, order.step(step).positions, &mut numbers);
                tokens += numbers.iter().map(|&row| u64::from(lengths[row as usize].min(most))).sum::<u64>();
                let batch = loader.next().unwrap();
                prop_assert_eq!(batch.tokens, tokens, "those of all ranks");
                for microbatch in &batch.microbatches {
                    let mut rows = numbers.chunks(cut.size).nth(microbatch.number as usize).unwrap().to_vec();
                    rows.sort_by_key(|&row| Reverse(lengths[row as usize].min(most)));
                    let of = |row: u32| row_of(&starts, &lengths, row, most);
                    let samples: Vec<_> = rows.iter().map(|&row| of(row)).collect();
                    prop_assert_eq!(&microbatch.tokens, &packed(&samples));
                    prop_assert_eq!(&microbatch.labels, &rows.iter().map(|row| row % 3).collect::<Vec<_>>());
                    prop_assert_eq!(&microbatch.lengths, &samples.iter().map(|sample| sample.len() as u32).collect::<Vec<_>>());
                    rows.iter().for_each(|&row| seen[row as usize] += 1);
                }
                loader.recycle(batch);
            }
        }
        prop_assert_eq!(seen, vec![1; lengths.len()]);
    }

    #[test]
    fn a_loader_that_starts_in_the_middle_counts_the_tokens_before_it(
        lengths in prop::collection::vec(1u32..20, 4..40),
        batch_size in 1u32..9,
        drop_last in any::<bool>(),
        fraction in prop::option::of(0.2f64..0.8),
        start in 0u64..40,
    ) {
        let memory = Arc::new(Memory::default());
        let total = lengths.iter().sum();
        let manifest = memory.sequences(&chunks_of(total, &[17]), &lengths, VOCABULARY);
        let selection = fraction.map_or(Selection::All, Selection::TrainedOn);
        let rows = open_tokens(&memory, &manifest, selection, Some(9));
        prop_assume!(rows.len() >= u64::from(batch_size));
        let sampling = Sampling { seed: 3, batch_size, drop_last };
        let cut = Microbatches { size: batch_size as usize, count: 1 };
        let mut from_the_start = loader(&rows, sampling, cut, 0..1, 0);
        let mut from_the_middle = loader(&rows, sampling, cut, 0..1, start);
        for step in 0..start + 3 {
            let batch = from_the_start.next().unwrap();
            if step >= start {
                prop_assert_eq!(from_the_middle.next().unwrap(), batch);
            }
        }
    }
}

fn row_of(starts: &[u64], lengths: &[u32], number: u32, most: u32) -> Vec<u32> {
    row(starts[number as usize], lengths[number as usize].min(most))
}

#[test]
fn windows_that_reach_into_other_chunks_read_no_chunk_twice_while_the_cache_holds_them() {
    let memory = Arc::new(Memory::default());
    let manifest = memory.stream(&[50; 8], 70_000);
    assert_eq!(manifest.element, spec::dataset::Element::U32);
    let rows = open_tokens(&memory, &manifest, Selection::All, Some(30));
    let sampling = Sampling {
        seed: 1,
        batch_size: 4,
        drop_last: false,
    };
    let cut = Microbatches { size: 4, count: 1 };
    let mut loader = loader(&rows, sampling, cut, 0..1, 0);
    for _ in 0..8 {
        let batch = loader.next().unwrap();
        loader.recycle(batch);
    }
    assert_eq!(memory.reads.load(Ordering::Relaxed), 8);
}

#[test]
fn tokens_beyond_the_vocabulary_and_lengths_of_other_rows_are_refused() {
    let memory = Memory::default();
    let mut manifest = memory.stream(&[50], VOCABULARY);
    manifest.tokens.as_mut().unwrap().vocabulary = 50;
    let memory = Arc::new(memory);
    let rows = open_tokens(&memory, &manifest, Selection::All, Some(10));
    let sampling = Sampling {
        seed: 1,
        batch_size: 4,
        drop_last: false,
    };
    let cut = Microbatches { size: 4, count: 1 };
    let error = loader(&rows, sampling, cut, 0..1, 0).next().unwrap_err();
    assert_eq!(
        error.to_string(),
        "chunk 0 of yard/train has token 58, but the vocabulary has 50; import the dataset again"
    );

    let mut manifest = memory.sequences(&[9], &[4, 5], VOCABULARY);
    let other = memory.keep(crate::chunk::encode_lengths(&[3, 6]));
    let counts = manifest.splits[0].tokens.as_mut().unwrap();
    counts.lengths.as_mut().unwrap().chunk = other;
    let refused = Rows::open(
        "yard",
        &manifest,
        "train",
        Selection::All,
        None,
        memory.clone(),
    );
    assert_eq!(
        refused.err().unwrap().to_string(),
        "the chunk of lengths of yard/train holds lengths of 3 to 6, 9 tokens in all, but the manifest says 4 to 5, 9 in all; \
         import the dataset again"
    );
    let manifest = memory.stream(&[50], VOCABULARY);
    let refused = Rows::open(
        "yard",
        &manifest,
        "train",
        Selection::All,
        None,
        memory.clone(),
    );
    assert_eq!(
        refused.err().unwrap().to_string(),
        "yard is one stream of text: set data.sequence_length, as in sequence_length = 64"
    );
}

#[test]
fn what_a_reader_of_tokens_keeps_is_within_the_plans_arithmetic() {
    let memory = Arc::new(Memory::default());
    let lengths = [4, 9, 1, 7];
    for (manifest, length) in [
        (memory.stream(&[50, 20], VOCABULARY), 16),
        (memory.sequences(&[14, 7], &lengths, VOCABULARY), 5),
    ] {
        let split = &manifest.splits[0];
        let rows = open_tokens(&memory, &manifest, Selection::All, Some(length));
        assert_eq!(
            spec::footprint::cache_bytes(&manifest, split),
            rows.cache_bytes()
        );
        let cut = Microbatches { size: 3, count: 2 };
        let sampling = Sampling {
            seed: 1,
            batch_size: 6,
            drop_last: false,
        };
        let mut loader = loader(&rows, sampling, cut, 0..2, 0);
        let words = |microbatch: &Microbatch| {
            let vectors = [&microbatch.tokens, &microbatch.lengths, &microbatch.labels];
            vectors
                .map(|vector| vector.capacity())
                .iter()
                .sum::<usize>()
        };
        let bytes = |batch: &Batch| 4 * batch.microbatches.iter().map(words).sum::<usize>() as u64;
        let first = loader.next().unwrap();
        let held = bytes(&first);
        assert!(held > 0);
        loader.recycle(first);
        for _ in 0..20 {
            let batch = loader.next().unwrap();
            assert!(
                bytes(&batch) <= 6 * 4 * (2 * u64::from(length) + 1),
                "no buffer grows"
            );
            loader.recycle(batch);
        }
        let planned =
            |samples| spec::footprint::reader_bytes(&manifest, split, samples, Some(length));
        assert!(planned(6) >= rows.cache_bytes() + 3 * held);
        let labels = if split.labels.is_some() {
            1
        } else {
            u64::from(length)
        };
        let more = 3 * 4 * (u64::from(length) + 1 + labels);
        assert!(planned(60) - planned(50) >= 10 * more);
    }
}
