//! A rank's part of a batch, and how it is put together from rows: numbered microbatches, of which only those of the
//! rank's share are made, in buffers that come back.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use spec::Job;
use spec::checkpoint::Preprocessing;
use spec::dataset::TokenForm;

use crate::error::Error;
use crate::order::Order;
use crate::packing::Packing;
use crate::rows::Rows;
use crate::token_count::TokenCount;

/// How a batch is cut: microbatch `k` holds its positions `[k·size, (k+1)·size)`; the last may be short, later ones are
/// absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Microbatches {
    /// Samples of a full microbatch, at least 1.
    pub size: usize,
    /// Microbatches of a full batch, at least 1.
    pub count: u32,
}

impl From<&Job> for Microbatches {
    fn from(job: &Job) -> Self {
        Microbatches {
            size: job.microbatch_size(),
            count: job.training.microbatches,
        }
    }
}

impl Microbatches {
    /// Samples of a full batch of these.
    pub fn samples(self) -> u64 {
        self.size as u64 * u64::from(self.count)
    }
}

/// A rank's part of one batch, or of one round of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The step, counted from 0 over all epochs; in an evaluation the round.
    pub step: u64,
    /// The epoch, from 0.
    pub epoch: u64,
    /// Samples of the whole batch, over all ranks.
    pub samples: usize,
    /// Tokens trained on from the first step up to and with this one, over all ranks; 0 where the samples are values, and in
    /// an evaluation.
    pub tokens: u64,
    /// Microbatches of the whole batch that hold a sample: those numbered below this.
    pub present: u32,
    /// The microbatches of the share that hold a sample, by number.
    pub microbatches: Vec<Microbatch>,
}

/// One numbered microbatch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Microbatch {
    /// Its number in the batch.
    pub number: u32,
    /// Its normalised samples, `(N, C, H, W)`; empty where the samples are tokens.
    pub x: Vec<f32>,
    /// Its tokens, packed: step `t` of all samples longer than `t` before step `t + 1`; empty where the samples are values.
    pub tokens: Vec<u32>,
    /// How many tokens each sample has, from the longest to the shortest; empty where the samples are values.
    pub lengths: Vec<u32>,
    /// The class of each sample, in the order of `lengths`; of a stream the token that follows each of `tokens`.
    pub labels: Vec<u32>,
}

/// The rows a walk takes, batch by batch.
pub(crate) enum Walk {
    /// Through shuffled epochs, without an end.
    Training(Box<Order>),
    /// Once through all rows in row order, in rounds of `Microbatches::samples`.
    Evaluation,
}

/// Makes a rank's part of any batch.
pub(crate) struct Assembler {
    rows: Rows,
    walk: Walk,
    preprocessing: Preprocessing,
    cut: Microbatches,
    share: Range<u32>,
    numbers: Vec<u32>,
    packing: Packing,
    count: Option<TokenCount>,
    lists: Vec<Vec<Microbatch>>,
    spare: Vec<Microbatch>,
}

impl Assembler {
    /// Checks that share, cut and constants fit each other and the rows.
    pub(crate) fn new(
        rows: Rows,
        walk: Walk,
        preprocessing: Preprocessing,
        cut: Microbatches,
        share: Range<u32>,
    ) -> Result<Self, Error> {
        rows.check(&preprocessing)?;
        let batch_size = if let Walk::Training(order) = &walk {
            order.batch_size()
        } else {
            1
        };
        if cut.samples() < batch_size {
            return Err(Error::Microbatches {
                count: cut.count,
                size: cut.size,
                batch_size,
            });
        }
        if share.start > share.end || share.end > cut.count {
            return Err(Error::Share {
                start: share.start,
                end: share.end,
                count: cut.count,
            });
        }
        let count = match &walk {
            Walk::Training(_) if rows.tokens().is_some() => Some(TokenCount::new(&rows)),
            _ => None,
        };
        let packing = match rows.tokens() {
            Some(_) => Packing::for_samples(cut.size, rows.longest()),
            None => Packing::default(),
        };
        let (numbers, lists, spare) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Assembler {
            rows,
            walk,
            preprocessing,
            cut,
            share,
            numbers,
            packing,
            count,
            lists,
            spare,
        })
    }

    /// How many batches there are; `None`: no end.
    pub(crate) fn batches(&self) -> Option<u64> {
        match self.walk {
            Walk::Training(_) => None,
            Walk::Evaluation => Some(self.rows.len().div_ceil(self.cut.samples())),
        }
    }

    /// The batch of this number; `None` once `stop` is set.
    pub(crate) fn assemble(
        &mut self,
        step: u64,
        stop: &AtomicBool,
    ) -> Result<Option<Batch>, Error> {
        let (epoch, positions) = match &self.walk {
            Walk::Training(order) => {
                let step = order.step(step);
                (step.epoch, step.positions)
            }
            Walk::Evaluation => {
                let start = step.saturating_mul(self.cut.samples()).min(self.rows.len());
                (0, start..(start + self.cut.samples()).min(self.rows.len()))
            }
        };
        let samples = (positions.end - positions.start) as usize;
        let tokens = match (&mut self.walk, &mut self.count) {
            (Walk::Training(order), Some(count)) => count.through(step, &self.rows, order),
            _ => 0,
        };
        let within = |number: u32| (number as usize * self.cut.size).min(samples);
        let mine = within(self.share.start)..within(self.share.end);
        let wanted = positions.start + mine.start as u64..positions.start + mine.end as u64;
        self.numbers.clear();
        match &mut self.walk {
            Walk::Training(order) => order.rows(epoch, wanted, &mut self.numbers),
            Walk::Evaluation => self.rows.plain(wanted, &mut self.numbers),
        }
        let mut microbatches = self
            .lists
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(self.share.len()));
        for (number, rows) in self.share.clone().zip(self.numbers.chunks(self.cut.size)) {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let spare = self.spare.pop();
            let mut microbatch = spare.unwrap_or_else(|| empty(&self.rows, self.cut.size));
            microbatch.number = number;
            if self.rows.tokens().is_some() {
                self.rows.gather_tokens(
                    rows,
                    &mut self.packing,
                    &mut microbatch.tokens,
                    &mut microbatch.lengths,
                    &mut microbatch.labels,
                )?;
            } else {
                self.rows.gather(
                    rows,
                    &self.preprocessing,
                    &mut microbatch.x,
                    &mut microbatch.labels,
                )?;
            }
            microbatches.push(microbatch);
        }
        let present = samples.div_ceil(self.cut.size) as u32;
        Ok(Some(Batch {
            step,
            epoch,
            samples,
            tokens,
            present,
            microbatches,
        }))
    }

    /// Takes back the buffers of a batch.
    pub(crate) fn take_back(&mut self, batch: Batch) {
        let mut list = batch.microbatches;
        self.spare.append(&mut list);
        self.lists.push(list);
    }
}

/// A microbatch that takes up to `size` of these samples without growing.
fn empty(rows: &Rows, size: usize) -> Microbatch {
    let Some(tokens) = rows.tokens() else {
        return Microbatch {
            x: Vec::with_capacity(size * rows.shape().elements()),
            labels: Vec::with_capacity(size),
            ..Microbatch::default()
        };
    };
    let packed = size * rows.longest() as usize;
    let labels = match tokens.form {
        TokenForm::Stream => packed,
        TokenForm::Sequences => size,
    };
    Microbatch {
        tokens: Vec::with_capacity(packed),
        lengths: Vec::with_capacity(size),
        labels: Vec::with_capacity(labels),
        ..Microbatch::default()
    }
}
