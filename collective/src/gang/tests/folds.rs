//! The fold's bits, traffic and limits.

use proptest::prelude::*;

use super::*;

fn cases() -> impl Strategy<Value = (Case, usize)> {
    let layout = prop_oneof![
        4 => (1usize..=5000, Just(0usize), Just(0usize)),
        4 => (0usize..=800, 0usize..=400, 1usize..=400).prop_map(|(a, b, c)| (2 * a, b, c)),
        1 => (40_000usize..=90_000, Just(0usize), Just(0usize)),
    ];
    let layout = layout.prop_map(|(f32_words, f64_words, u64_words)| Layout {
        f32_words,
        f64_words,
        u64_words,
    });
    let blocks = prop::sample::select(vec![64, 192, 1024, 4096, BLOCK_BYTES]);
    let presents = prop::collection::vec(any::<prop::sample::Index>(), 1..=4);
    (
        1u32..=64,
        presents,
        layout,
        blocks,
        any::<u64>(),
        1usize..=9,
    )
        .prop_map(|(microbatches, presents, layout, block, seed, ranks)| {
            let present =
                |index: prop::sample::Index| 1 + index.index(microbatches as usize) as u32;
            let presents = presents.into_iter().map(present).collect();
            (
                Case {
                    microbatches,
                    presents,
                    layout,
                    block,
                    seed,
                },
                ranks,
            )
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn threads_fold_to_the_bits_of_the_plain_recursion((case, ranks) in cases()) {
        case.check(local_table, ranks);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn connections_fold_to_the_bits_of_the_plain_recursion((case, ranks) in cases()) {
        case.check(tcp_table, ranks);
    }
}

#[test]
fn every_number_of_ranks_and_microbatches_folds_to_the_same_bits() {
    for ranks in 1..=9 {
        for microbatches in 1..=64 {
            let layout = Layout {
                f32_words: 54,
                f64_words: 7,
                u64_words: 4,
            };
            let presents = vec![1, microbatches / 2 + 1, microbatches];
            let case = Case {
                microbatches,
                presents,
                layout,
                block: 64,
                seed: 11,
            };
            case.check(local_table, ranks);
        }
    }
}

#[test]
fn a_record_longer_than_all_buffers_on_the_way_does_not_block_the_table() {
    let layout = Layout {
        f32_words: 5_000_001,
        f64_words: 0,
        u64_words: 0,
    };
    for (_, table) in TABLES {
        let case = Case {
            microbatches: 4,
            presents: vec![4, 3],
            layout,
            block: BLOCK_BYTES,
            seed: 3,
        };
        case.check(table, 3);
    }
}

#[test]
fn the_values_of_this_suite_show_the_order_of_their_addition() {
    let layout = Layout {
        f32_words: 100,
        f64_words: 100,
        u64_words: 0,
    };
    let mut left_to_right = layout.value(1, 0);
    (1..8).for_each(|microbatch| layout.add(0, &mut left_to_right, &layout.value(1, microbatch)));
    let tree = layout.reference(1, 0, 8, 8);
    let same = |start: usize, end: usize, size: usize| {
        let words = |bytes: &'_ [u8]| {
            bytes[start..end]
                .chunks(size)
                .map(<[u8]>::to_vec)
                .collect::<Vec<_>>()
        };
        words(&tree)
            .iter()
            .zip(words(&left_to_right))
            .filter(|(a, b)| **a == *b)
            .count()
    };
    assert!(same(0, 400, 4) < 70 && same(400, 1200, 8) < 70);
}

#[test]
fn a_rank_sends_its_roots_outside_its_slice_and_its_slice_to_everyone() {
    let layout = Layout {
        f32_words: 30_007,
        f64_words: 0,
        u64_words: 0,
    };
    let bytes = layout.bytes();
    for (microbatches, ranks) in [(8, 4), (8, 3), (2, 3), (64, 9), (5, 1)] {
        let case = Case {
            microbatches,
            presents: vec![],
            layout,
            block: 4096,
            seed: 5,
        };
        let traffic = each(local_table(ranks), |seat| {
            let mut gang = case.gang(seat);
            case.fold(&mut gang, 1, microbatches, LONG).unwrap();
            (gang.rank(), gang.traffic())
        });
        for (rank, traffic) in traffic {
            let roots = crate::tree::roots(
                crate::tree::deal(microbatches, ranks)[rank].clone(),
                microbatches,
            );
            let slice = slices(bytes, ranks)[rank].len();
            let expected = roots.len() * (bytes - slice) + (ranks - 1) * slice;
            assert_eq!(
                traffic.payload_bytes, expected as u64,
                "rank {rank} of {ranks}"
            );
            assert_eq!(
                traffic.bytes() - traffic.payload_bytes,
                64 * traffic.messages
            );
        }
    }
}

#[test]
fn a_gather_gives_every_value_by_rank_and_may_share_a_folds_number() {
    let layout = Layout {
        f32_words: 300,
        f64_words: 0,
        u64_words: 0,
    };
    let case = Case {
        microbatches: 4,
        presents: vec![],
        layout,
        block: 64,
        seed: 9,
    };
    for (_, table) in TABLES {
        let gathered = each(table(5), |seat| {
            let mut gang = case.gang(seat);
            let mut all = vec![];
            for operation in 1..20 {
                let record = case.fold(&mut gang, operation, 4, LONG).unwrap();
                assert!(record == case.expected(4));
                let value = [(10 * operation) as u8 + gang.rank() as u8; 32];
                all.push(gang.gather(operation, &value, LONG).unwrap());
            }
            all
        });
        for all in gathered {
            for (operation, values) in (1u8..20).zip(all) {
                let expected: Vec<_> = (0..5).map(|rank| [10 * operation + rank; 32]).collect();
                assert_eq!(values, expected);
            }
        }
    }
}

#[test]
fn arguments_that_do_not_fit_are_refused_and_harm_nothing() {
    let seat = || local_table(1).remove(0);
    assert!(matches!(
        Gang::new(seat(), FENCE, 0, 8),
        Err(Error::Empty { .. })
    ));
    assert!(matches!(
        Gang::new(seat(), FENCE, 8, 0),
        Err(Error::Empty { .. })
    ));

    let mut gang = Gang::new(seat(), FENCE, 8, 4).unwrap();
    assert_eq!((gang.share(), gang.scratch_bytes()), (0..4, 0));
    let whole = Node { level: 2, index: 0 };
    let mut fold = |operation, present, node, sum: &[u8], length: usize| {
        let mut record = vec![0; length];
        let add = |_: usize, _: &mut [u8], _: &[u8]| {};
        gang.fold(operation, present, &[(node, sum)], &mut record, &add, LONG)
            .map(|()| record)
    };
    assert!(matches!(
        fold(5, 0, whole, &[1; 8], 8),
        Err(Error::Present { present: 0, .. })
    ));
    assert!(matches!(
        fold(5, 5, whole, &[1; 8], 8),
        Err(Error::Present { present: 5, .. })
    ));
    assert!(matches!(
        fold(5, 2, whole, &[1; 8], 8),
        Err(Error::Roots { .. })
    ));
    assert!(matches!(
        fold(5, 4, whole, &[1; 7], 8),
        Err(Error::RecordLength { got: 7, .. })
    ));
    assert!(matches!(
        fold(5, 4, whole, &[1; 9], 9),
        Err(Error::RecordLength { got: 9, .. })
    ));
    assert_eq!(fold(5, 4, whole, &[1; 8], 8).unwrap(), [1; 8]);
    assert!(matches!(
        fold(5, 4, whole, &[1; 8], 8),
        Err(Error::Operation { last: 5, got: 5 })
    ));
    assert!(matches!(
        gang.gather(4, &[0; 32], LONG),
        Err(Error::Operation { last: 5, got: 4 })
    ));
    assert_eq!(gang.gather(5, &[3; 32], LONG).unwrap(), [[3; 32]]);
    assert!(matches!(
        gang.gather(5, &[3; 32], LONG),
        Err(Error::Operation { last: 5, got: 5 })
    ));
}
