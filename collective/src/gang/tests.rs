//! One suite for every transport: the tables it runs on, and the plain recursive fold that it compares with, which shares
//! no code with ours.

mod faults;
mod folds;
mod lies;

use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::Duration;

use super::*;
use crate::local;
use crate::schedule::{LocalStep, schedule, slots};
use crate::tcp::Listener;
use crate::tree::Node;

/// Long enough that a test that waits for it hangs: what passes does so without it.
const LONG: Duration = Duration::from_secs(3600);
const FENCE: Fence = Fence([7, 2, 1]);

/// The faulty rank, of three.
const CULPRIT: usize = 1;

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

/// The fold that is disturbed.
fn case() -> Case {
    let layout = Layout {
        f32_words: 601,
        f64_words: 0,
        u64_words: 0,
    };
    Case {
        microbatches: 8,
        presents: vec![],
        layout,
        block: 192,
        seed: 17,
    }
}
