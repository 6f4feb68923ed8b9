//! The order in which rows are trained on: a pure function of (dataset digest, seed, epoch, position), with random
//! access. An epoch shuffles the chunks, cuts them in that order into windows of at most [`WINDOW_BYTES`], and shuffles
//! the chosen rows inside each window; so a cache of two windows serves any walk through it, and a position costs one
//! window's shuffle at most. Chunks without a chosen row take no part. The streams are keyed by the seed XOR the first
//! 8 bytes of the digest.

use std::ops::Range;

use spec::Digest;
use spec::job::Training;
use spec::random::{Purpose, Stream};

use crate::error::Error;
use crate::layout::Layout;
use crate::selection::{Chosen, key};

/// The most decoded bytes of a window of more than one chunk.
pub const WINDOW_BYTES: u64 = 8 << 20;

/// What decides, with the data, which rows a step takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// The job's seed.
    pub seed: u64,
    /// Samples of a step, at least 1.
    pub batch_size: u32,
    /// Whether an epoch's last, short batch is left out.
    pub drop_last: bool,
}

impl From<&Training> for Sampling {
    fn from(training: &Training) -> Self {
        Sampling {
            seed: training.seed,
            batch_size: training.batch_size,
            drop_last: training.drop_last,
        }
    }
}

/// What a step takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The epoch that it is part of, from 0.
    pub epoch: u64,
    /// Its positions in that epoch.
    pub positions: Range<u64>,
}

/// The shuffled order of the chosen rows.
#[derive(Debug, Clone)]
pub struct Order {
    chosen: Chosen,
    key: u64,
    batch_size: u64,
    steps_per_epoch: u64,
    /// The epoch whose windows are laid out.
    epoch: Option<u64>,
    chunks: Vec<u32>,
    windows: Vec<Window>,
    /// The window, of that epoch, whose rows are shuffled.
    window: Option<usize>,
    rows: Vec<u32>,
}

/// Where a window begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    position: u32,
    chunk: u32,
}

impl Order {
    /// The order of the chosen rows of the dataset with this digest.
    ///
    /// # Errors
    /// A batch size of 0, or an epoch without a step.
    pub fn new(chosen: Chosen, dataset: &Digest, sampling: Sampling) -> Result<Self, Error> {
        let (rows, batch_size) = (u64::from(chosen.rows()), u64::from(sampling.batch_size));
        if batch_size == 0 {
            return Err(Error::BatchSize);
        }
        let steps_per_epoch = if sampling.drop_last {
            rows / batch_size
        } else {
            rows.div_ceil(batch_size)
        };
        if steps_per_epoch == 0 {
            return Err(Error::EpochWithoutSteps {
                rows,
                batch_size: sampling.batch_size,
            });
        }
        Ok(Order {
            key: sampling.seed ^ key(dataset),
            chosen,
            batch_size,
            steps_per_epoch,
            epoch: None,
            chunks: Vec::new(),
            windows: Vec::new(),
            window: None,
            rows: Vec::new(),
        })
    }

    /// Rows of an epoch, those of a batch left out included.
    pub fn epoch_rows(&self) -> u64 {
        u64::from(self.chosen.rows())
    }

    /// Samples of a full batch.
    pub fn batch_size(&self) -> u64 {
        self.batch_size
    }

    /// Steps of an epoch, at least 1.
    pub fn steps_per_epoch(&self) -> u64 {
        self.steps_per_epoch
    }

    /// What a step takes; steps are counted from 0 over all epochs.
    pub fn step(&self, step: u64) -> Step {
        let start = step % self.steps_per_epoch * self.batch_size;
        let end = (start + self.batch_size).min(self.epoch_rows());
        Step {
            epoch: step / self.steps_per_epoch,
            positions: start..end,
        }
    }

    /// Appends the rows at `positions` of an epoch; positions beyond its last give nothing.
    pub fn rows(&mut self, epoch: u64, positions: Range<u64>, out: &mut Vec<u32>) {
        if self.epoch != Some(epoch) {
            self.lay_out(epoch);
        }
        let end = positions.end.min(self.epoch_rows());
        let mut position = positions.start;
        while position < end {
            let window = self
                .windows
                .partition_point(|window| u64::from(window.position) <= position)
                - 1;
            if self.window != Some(window) {
                self.shuffle(epoch, window);
            }
            let first = u64::from(self.windows[window].position);
            let stop = end.min(first + self.rows.len() as u64);
            out.extend_from_slice(&self.rows[(position - first) as usize..(stop - first) as usize]);
            position = stop;
        }
    }

    fn lay_out(&mut self, epoch: u64) {
        let layout = self.chosen.layout();
        self.chunks.clear();
        self.chunks
            .extend((0..layout.chunks()).filter(|&chunk| self.chosen.rows_in(chunk) > 0));
        Stream::new(self.key, Purpose::ChunkOrder, epoch).shuffle(&mut self.chunks);
        self.windows.clear();
        let (mut position, mut window_bytes) = (0, 0);
        for (index, &chunk) in self.chunks.iter().enumerate() {
            let bytes = layout.bytes_of(chunk);
            if index == 0 || window_bytes + bytes > WINDOW_BYTES {
                self.windows.push(Window {
                    position,
                    chunk: index as u32,
                });
                window_bytes = 0;
            }
            window_bytes += bytes;
            position += self.chosen.rows_in(chunk);
        }
        self.epoch = Some(epoch);
        self.window = None;
    }

    fn shuffle(&mut self, epoch: u64, window: usize) {
        let start = self.windows[window].chunk as usize;
        let end = self
            .windows
            .get(window + 1)
            .map_or(self.chunks.len(), |next| next.chunk as usize);
        self.rows.clear();
        for &chunk in &self.chunks[start..end] {
            self.chosen.append_rows_of(chunk, &mut self.rows);
        }
        Stream::new(self.key, Purpose::RowOrder, epoch << 32 | window as u64)
            .shuffle(&mut self.rows);
        self.window = Some(window);
    }
}

/// The most decoded bytes of a window, for a split of this layout.
pub(crate) fn window_limit(layout: &Layout) -> u64 {
    WINDOW_BYTES.max(layout.largest_chunk_bytes())
}

/// The decoded bytes of chunks to keep for any walk through an order: two windows, since a batch may lie in both.
pub(crate) fn cache_limit(layout: &Layout) -> u64 {
    layout.bytes().min(2 * window_limit(layout))
}

#[cfg(test)]
mod tests {
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
            &(0..rows).map(|row| row % 3).collect::<Vec<_>>(),
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
}
