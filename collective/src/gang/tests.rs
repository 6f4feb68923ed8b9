//! One suite for every transport: the fold against a plain recursive one that shares no code with it.

mod faults;

use std::net::{IpAddr, Ipv4Addr};
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::local;
use crate::schedule::{LocalStep, schedule, slots};
use crate::tcp::Listener;
use crate::tree::Node;
use std::time::Duration;

/// Long enough that a test that waits for it hangs: what passes does so without it.
const LONG: Duration = Duration::from_secs(3600);
const FENCE: Fence = Fence([7, 2, 1]);

type Seats = Vec<Box<dyn Transport>>;
type Table = fn(usize) -> Seats;

const TABLES: [(&str, Table); 2] = [("local", local_table), ("tcp", tcp_table)];

fn local_table(ranks: usize) -> Seats {
    local::table(ranks)
        .into_iter()
        .map(|seat| Box::new(seat) as Box<dyn Transport>)
        .collect()
}

fn tcp_table(ranks: usize) -> Seats {
    let listeners: Vec<Listener> = (0..ranks)
        .map(|_| Listener::bind(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap())
        .collect();
    let addresses: Vec<_> = listeners.iter().map(Listener::address).collect();
    thread::scope(|scope| {
        let meet = |(rank, listener): (usize, Listener)| {
            let addresses = &addresses;
            scope.spawn(move || listener.meet(rank, addresses, FENCE, LONG).unwrap())
        };
        let meetings: Vec<_> = listeners.into_iter().enumerate().map(meet).collect();
        meetings
            .into_iter()
            .map(|meeting| Box::new(meeting.join().unwrap()) as Box<dyn Transport>)
            .collect()
    })
}

/// Runs one rank per seat, each on its own thread; the results by rank.
fn each<T: Send>(seats: Seats, run: impl Fn(Box<dyn Transport>) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let threads: Vec<_> = seats
            .into_iter()
            .map(|seat| scope.spawn(|| run(seat)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

/// What a record holds: f32 words, then f64 words, then u64 words.
#[derive(Debug, Clone, Copy)]
struct Layout {
    f32_words: usize,
    f64_words: usize,
    u64_words: usize,
}

impl Layout {
    fn bytes(self) -> usize {
        4 * self.f32_words + 8 * (self.f64_words + self.u64_words)
    }

    /// Element-wise sum of what lies at `offset`.
    fn add(self, offset: usize, into: &mut [u8], from: &[u8]) {
        assert_eq!(into.len(), from.len());
        let (f64_start, u64_start) = (4 * self.f32_words, 4 * self.f32_words + 8 * self.f64_words);
        let mut at = 0;
        while at < into.len() {
            let (place, wide) = (offset + at, at + 8);
            if place < f64_start {
                let word = |bytes: &[u8]| f32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
                let sum = word(into) + word(from);
                into[at..at + 4].copy_from_slice(&sum.to_le_bytes());
                at += 4;
                continue;
            }
            let word = |bytes: &[u8]| <[u8; 8]>::try_from(&bytes[at..wide]).unwrap();
            let sum = if place < u64_start {
                (f64::from_le_bytes(word(into)) + f64::from_le_bytes(word(from))).to_le_bytes()
            } else {
                u64::from_le_bytes(word(into))
                    .wrapping_add(u64::from_le_bytes(word(from)))
                    .to_le_bytes()
            };
            into[at..wide].copy_from_slice(&sum);
            at = wide;
        }
    }

    /// The random sum of one microbatch, of magnitudes so different that the order of addition shows.
    fn value(self, seed: u64, microbatch: u32) -> Vec<u8> {
        let mut state = seed ^ u64::from(microbatch).wrapping_mul(0xD134_2543_DE82_EF95);
        let mut random = move || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 3
        };
        let mut bytes = Vec::with_capacity(self.bytes());
        for _ in 0..self.f32_words {
            let bits = random() as u32;
            let exponent = 115 + (bits >> 23 & 15);
            bytes.extend(((bits & 0x807F_FFFF) | exponent << 23).to_le_bytes());
        }
        for _ in 0..self.f64_words {
            let bits = random() << 3;
            let exponent = 1010 + (bits >> 52 & 31);
            bytes.extend(((bits & 0x800F_FFFF_FFFF_FFFF) | exponent << 52).to_le_bytes());
        }
        (0..self.u64_words).for_each(|_| bytes.extend(random().to_le_bytes()));
        bytes
    }

    /// The fold as it is defined: a recursion over aligned ranges, an absent half passed through.
    fn reference(self, seed: u64, start: u32, length: u32, present: u32) -> Vec<u8> {
        if length == 1 {
            return self.value(seed, start);
        }
        let middle = start + length / 2;
        let mut left = self.reference(seed, start, length / 2, present);
        if middle < present {
            self.add(
                0,
                &mut left,
                &self.reference(seed, middle, length / 2, present),
            );
        }
        left
    }
}

/// A job that the suite runs: a fold for each number of present microbatches, one after the other.
#[derive(Debug, Clone)]
struct Case {
    microbatches: u32,
    presents: Vec<u32>,
    layout: Layout,
    block: usize,
    seed: u64,
}

impl Case {
    fn gang(&self, seat: Box<dyn Transport>) -> Gang {
        Gang::with_block(
            seat,
            FENCE,
            self.layout.bytes(),
            self.microbatches,
            self.block,
        )
        .unwrap()
    }

    fn expected(&self, present: u32) -> Vec<u8> {
        self.layout
            .reference(self.seed, 0, self.microbatches.next_power_of_two(), present)
    }

    /// Computes this rank's share as its schedule says, and folds it.
    fn fold(
        &self,
        gang: &mut Gang,
        operation: u64,
        present: u32,
        deadline: Duration,
    ) -> Result<Vec<u8>, Error> {
        let bytes = self.layout.bytes();
        let mut memory = vec![vec![0; bytes]; slots(self.microbatches)];
        let schedule = schedule(gang.share(), present);
        for step in &schedule.steps {
            match *step {
                LocalStep::Compute { microbatch, slot } => {
                    memory[slot] = self.layout.value(self.seed, microbatch);
                }
                LocalStep::Add { into, from } => {
                    let from = memory[from].clone();
                    self.layout.add(0, &mut memory[into], &from);
                }
            }
        }
        let roots: Vec<(Node, &[u8])> = schedule
            .roots
            .iter()
            .map(|&(node, slot)| (node, memory[slot].as_slice()))
            .collect();
        let mut record = vec![0xA5; bytes];
        let add = |offset: usize, into: &mut [u8], from: &[u8]| {
            assert!(offset.is_multiple_of(64));
            assert!(into.len().is_multiple_of(64) || offset + into.len() == bytes);
            self.layout.add(offset, into, from);
        };
        gang.fold(operation, present, &roots, &mut record, &add, deadline)?;
        Ok(record)
    }

    /// Folds everything on `ranks` ranks and compares every bit on every rank.
    fn check(&self, table: Table, ranks: usize) {
        let expected: Vec<_> = self
            .presents
            .iter()
            .map(|&present| self.expected(present))
            .collect();
        each(table(ranks), |seat| {
            let mut gang = self.gang(seat);
            let scratch = gang.scratch_bytes();
            for (operation, (&present, expected)) in self.presents.iter().zip(&expected).enumerate()
            {
                let record = self
                    .fold(&mut gang, operation as u64, present, LONG)
                    .unwrap();
                assert!(
                    record == *expected,
                    "{present} present on rank {} of {ranks}: {self:?}",
                    gang.rank()
                );
            }
            assert_eq!(gang.scratch_bytes(), scratch);
        });
    }
}

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
        fold(5, 4, whole, &[1; 8], 9),
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
