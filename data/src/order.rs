//! The order in which rows, or windows of a stream, are trained on: a pure function of (dataset digest, seed, epoch,
//! position), with random access. An epoch shuffles the chunks, cuts them in that order into windows of at most [`WINDOW_BYTES`], and shuffles
//! the chosen rows inside each window; so a cache of two windows serves any walk through it, and a position costs one
//! window's shuffle at most. Chunks without a chosen row take no part. The streams are keyed by the seed XOR the first
//! 8 bytes of the digest.

use std::ops::Range;

use spec::Digest;
use spec::footprint::WINDOW_BYTES;
use spec::job::Training;
use spec::random::{Purpose, Stream};

use crate::error::Error;
use crate::layout::Layout;
use crate::selection::{Chosen, key};

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

/// The decoded bytes of chunks to keep for any walk through an order.
pub(crate) fn cache_limit(layout: &Layout) -> u64 {
    layout
        .bytes()
        .min(layout.resident_windows() * window_limit(layout))
}

#[cfg(test)]
mod tests;
