use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use spec::dataset::ChunkRef;

use super::*;
use crate::selection::Selection;

const DATASET: Digest = Digest([9; 32]);

fn chosen(chunk_rows: &[u32], row_bytes: u64, selection: Selection) -> Chosen {
    let chunks: Vec<_> = chunk_rows
        .iter()
        .map(|&rows| ChunkRef {
            digest: Digest([0; 32]),
            rows,
        })
        .collect();
    let rows = chunk_rows.iter().sum();
    let layout = Arc::new(Layout::new(&chunks, u64::from(rows), row_bytes).unwrap());
    Chosen::new(
        layout,
        selection,
        Some(&(0..rows).map(|row| row % 3).collect::<Vec<_>>()),
        &DATASET,
    )
}

fn order(chosen: &Chosen, seed: u64) -> Order {
    Order::new(
        chosen.clone(),
        &DATASET,
        Sampling {
            seed,
            batch_size: 4,
            drop_last: false,
        },
    )
    .unwrap()
}

fn epoch(order: &mut Order, epoch: u64) -> Vec<u32> {
    let mut rows = Vec::new();
    order.rows(epoch, 0..u64::MAX, &mut rows);
    rows
}

fn selections() -> impl Strategy<Value = Selection> {
    prop_oneof![
        Just(Selection::All),
        Just(Selection::TrainedOn(0.3)),
        Just(Selection::ValidatedOn(0.3))
    ]
}

proptest! {
    #[test]
    fn an_epoch_is_a_permutation_of_the_chosen_rows_however_it_is_read(
        chunk_rows in prop::collection::vec(1u32..20, 2..25),
        row_bytes in prop_oneof![Just(1), Just(WINDOW_BYTES / 64), Just(WINDOW_BYTES / 3), Just(WINDOW_BYTES * 2)],
        selection in selections(),
        number in 0u64..4,
        cuts in prop::collection::vec((0u64..500, 0u64..60), 1..20),
    ) {
        let chosen = chosen(&chunk_rows, row_bytes, selection);
        prop_assume!(chosen.rows() > 0);
        let whole = epoch(&mut order(&chosen, 7), number);
        let mut sorted = whole.clone();
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..chosen.rows()).map(|position| chosen.row(position)).collect::<Vec<_>>());

        let mut one = order(&chosen, 7);
        for (start, length) in cuts {
            let mut rows = Vec::new();
            one.rows(start % 3, 0..2, &mut rows); // leaves the epoch and comes back
            rows.clear();
            one.rows(number, start..start + length, &mut rows);
            let clip = |at: u64| (at as usize).min(whole.len());
            prop_assert_eq!(&rows[..], &whole[clip(start)..clip(start + length)]);
        }
    }

    #[test]
    fn a_window_holds_few_bytes_and_windows_follow_each_other(
        chunk_rows in prop::collection::vec(1u32..20, 2..25),
        row_bytes in prop_oneof![Just(WINDOW_BYTES / 64), Just(WINDOW_BYTES / 3)],
    ) {
        let chosen = chosen(&chunk_rows, row_bytes, Selection::All);
        let rows = epoch(&mut order(&chosen, 1), 0);
        // Walking the order, a chunk that has been left for another window never comes back.
        let chunks: Vec<u32> = rows.iter().map(|&row| chosen.layout().find(row).0).collect();
        let limit = 2 * WINDOW_BYTES.max(chosen.layout().largest_chunk_bytes());
        for (index, chunk) in chunks.iter().enumerate() {
            let last = chunks.iter().rposition(|other| other == chunk).unwrap();
            let between: BTreeSet<u32> = chunks[index..=last].iter().copied().collect();
            let bytes: u64 = between.iter().map(|&chunk| chosen.layout().bytes_of(chunk)).sum();
            prop_assert!(bytes * 2 <= limit, "{bytes} bytes between two rows of one chunk");
        }
    }
}

#[test]
fn epochs_seeds_and_datasets_have_orders_of_their_own() {
    let chosen = chosen(&[50, 50, 50], 1, Selection::All);
    let first = epoch(&mut order(&chosen, 1), 0);
    assert_eq!(first, epoch(&mut order(&chosen, 1), 0));
    assert_ne!(first, epoch(&mut order(&chosen, 1), 1));
    assert_ne!(first, epoch(&mut order(&chosen, 2), 0));
    let sampling = Sampling {
        seed: 1,
        batch_size: 4,
        drop_last: false,
    };
    assert_ne!(
        first,
        epoch(
            &mut Order::new(chosen, &Digest([8; 32]), sampling).unwrap(),
            0
        )
    );
}

#[test]
fn chunks_are_shuffled_and_rows_mix_within_a_window_only() {
    let chosen = chosen(&[10; 30], WINDOW_BYTES / 20, Selection::All);
    let rows = epoch(&mut order(&chosen, 3), 0);
    let chunks: Vec<u32> = rows
        .chunks(20)
        .map(|window| window.iter().map(|row| row / 10).max().unwrap())
        .collect();
    assert!(rows.chunks(20).all(|window| {
        window
            .iter()
            .map(|row| row / 10)
            .collect::<BTreeSet<_>>()
            .len()
            == 2
    }));
    assert!(!chunks.is_sorted());
}

#[test]
fn the_last_batch_is_short_or_left_out() {
    let chosen = chosen(&[10], 1, Selection::All);
    let kept = order(&chosen, 0);
    assert_eq!(kept.steps_per_epoch(), 3);
    assert_eq!(
        kept.step(2),
        Step {
            epoch: 0,
            positions: 8..10
        }
    );
    assert_eq!(
        kept.step(7),
        Step {
            epoch: 2,
            positions: 4..8
        }
    );
    let sampling = Sampling {
        seed: 0,
        batch_size: 4,
        drop_last: true,
    };
    let left_out = Order::new(chosen.clone(), &DATASET, sampling).unwrap();
    assert_eq!(
        left_out.step(2),
        Step {
            epoch: 1,
            positions: 0..4
        }
    );
    let error = Order::new(
        chosen.clone(),
        &DATASET,
        Sampling {
            batch_size: 11,
            ..sampling
        },
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "10 rows do not fill one batch of 11 and drop_last leaves it out: lower batch_size or set drop_last = false"
    );
    assert!(matches!(
        Order::new(
            chosen,
            &DATASET,
            Sampling {
                batch_size: 0,
                ..sampling
            }
        ),
        Err(Error::BatchSize)
    ));
}
