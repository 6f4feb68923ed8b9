//! How many tokens have been trained on after a step: a pure function of the order and the lengths, so that nothing about it
//! is stored and a run that goes on from a checkpoint counts as if it had never stopped.

use crate::order::Order;
use crate::rows::Rows;

/// Counts tokens from step to step.
#[derive(Debug)]
pub(crate) struct TokenCount {
    /// Tokens of an epoch, those of a batch left out included.
    of_epoch: u64,
    /// Steps counted, and their tokens.
    counted: (u64, u64),
    samples: Vec<u32>,
}

impl TokenCount {
    /// A count for these rows.
    pub(crate) fn new(rows: &Rows) -> Self {
        let mut count = TokenCount {
            of_epoch: 0,
            counted: (0, 0),
            samples: Vec::new(),
        };
        // A piece at a time: a list of all rows would be as large as their labels.
        const PIECE: u64 = 1 << 12;
        let mut position = 0;
        while position < rows.len() {
            count.samples.clear();
            rows.plain(position..position + PIECE, &mut count.samples);
            count.of_epoch += tokens(rows, &count.samples);
            position += PIECE;
        }
        count
    }

    /// Tokens of the steps up to and with `step`, from 0. Cheap for the step after the last one asked for; else an epoch's
    /// order is gone through, and with a last batch left out the end of every epoch before.
    pub(crate) fn through(&mut self, step: u64, rows: &Rows, order: &mut Order) -> u64 {
        if self.counted.0 != step {
            self.counted = (step, self.before(step, rows, order));
        }
        self.counted.1 += self.of_step(step, rows, order);
        self.counted.0 += 1;
        self.counted.1
    }

    fn before(&mut self, step: u64, rows: &Rows, order: &mut Order) -> u64 {
        let steps = order.steps_per_epoch();
        let (epochs, begun) = (step / steps, step % steps);
        let mut total = epochs * self.of_epoch;
        let trained = (steps * order.batch_size()).min(order.epoch_rows());
        if trained < order.epoch_rows() {
            for epoch in 0..epochs {
                self.samples.clear();
                order.rows(epoch, trained..order.epoch_rows(), &mut self.samples);
                total -= tokens(rows, &self.samples);
            }
        }
        let first = step - begun;
        for step in first..step {
            total += self.of_step(step, rows, order);
        }
        total
    }

    fn of_step(&mut self, step: u64, rows: &Rows, order: &mut Order) -> u64 {
        let step = order.step(step);
        self.samples.clear();
        order.rows(step.epoch, step.positions, &mut self.samples);
        tokens(rows, &self.samples)
    }
}

fn tokens(rows: &Rows, samples: &[u32]) -> u64 {
    samples
        .iter()
        .map(|&sample| u64::from(rows.length(sample)))
        .sum()
}
