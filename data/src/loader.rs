//! Prepares a rank's next batches on a thread of its own, two ahead, in buffers that the training loop gives back.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use spec::checkpoint::Preprocessing;

use spec::footprint::RESIDENT_BATCHES;

use crate::batch::{Assembler, Batch, Microbatches, Walk};
use crate::error::Error;
use crate::order::Order;
use crate::rows::Rows;

/// Batches that wait in the channel; one more waits in the hand of the thread.
const QUEUED: usize = RESIDENT_BATCHES as usize - 2;

/// A rank's batches, one after the other. Dropping it ends its thread as soon as a read in progress returns.
pub struct Loader {
    ready: Receiver<Result<Batch, Error>>,
    used: SyncSender<Batch>,
    stop: Arc<AtomicBool>,
    batches: Option<u64>,
    taken: u64,
}

impl Loader {
    /// The microbatches of `share` of every step from `start` on (counted from 0 over all epochs), without an end.
    ///
    /// # Errors
    /// Microbatches that do not hold a batch, a share beyond them, constants for other data, no thread.
    pub fn training(
        rows: Rows,
        order: Order,
        preprocessing: Preprocessing,
        microbatches: Microbatches,
        share: Range<u32>,
        start: u64,
    ) -> Result<Self, Error> {
        let walk = Walk::Training(Box::new(order));
        Loader::start(
            Assembler::new(rows, walk, preprocessing, microbatches, share)?,
            start,
        )
    }

    /// The microbatches of `share` of every round of an evaluation: all rows in row order, cut into rounds of up to
    /// `microbatches.count` consecutive microbatches, numbered from 0 within the round; a batch's step is its round.
    ///
    /// # Errors
    /// Microbatches of no sample, a share beyond them, constants for other data, no thread.
    pub fn evaluation(
        rows: Rows,
        preprocessing: Preprocessing,
        microbatches: Microbatches,
        share: Range<u32>,
    ) -> Result<Self, Error> {
        Loader::start(
            Assembler::new(rows, Walk::Evaluation, preprocessing, microbatches, share)?,
            0,
        )
    }

    /// How many batches there are in all; `None`: no end.
    pub fn batches(&self) -> Option<u64> {
        self.batches
    }

    /// The next batch; waits until it is made.
    ///
    /// # Errors
    /// A chunk that could not be read, after which there is no further batch; a batch after the last.
    #[expect(
        clippy::should_implement_trait,
        reason = "a batch is given back, and the error after the last is named"
    )]
    pub fn next(&mut self) -> Result<Batch, Error> {
        if let Some(batches) = self.batches
            && self.taken >= batches
        {
            return Err(Error::PastTheEnd { batches });
        }
        self.taken += 1;
        self.ready.recv().unwrap_or(Err(Error::LoaderEnded))
    }

    /// Gives back a batch's buffers, for the batches to come.
    pub fn recycle(&self, batch: Batch) {
        // A thread that has ended needs none, and more than there are places for are not needed either.
        let _ = self.used.try_send(batch);
    }

    fn start(assembler: Assembler, first: u64) -> Result<Self, Error> {
        let (to_loop, ready) = sync_channel(QUEUED);
        let (used, from_loop) = sync_channel(RESIDENT_BATCHES as usize);
        let stop = Arc::new(AtomicBool::new(false));
        let batches = assembler.batches();
        let stopped = stop.clone();
        thread::Builder::new()
            .name("data loader".to_string())
            .spawn(move || prepare(assembler, first, &stopped, &to_loop, &from_loop))
            .map_err(|source| Error::Thread { source })?;
        Ok(Loader {
            ready,
            used,
            stop,
            batches,
            taken: 0,
        })
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The thread: makes batch after batch until there are no more, one fails, or nobody takes them.
fn prepare(
    mut assembler: Assembler,
    first: u64,
    stop: &AtomicBool,
    to_loop: &SyncSender<Result<Batch, Error>>,
    from_loop: &Receiver<Batch>,
) {
    let end = assembler.batches().unwrap_or(u64::MAX);
    for step in first..end {
        while let Ok(batch) = from_loop.try_recv() {
            assembler.take_back(batch);
        }
        let batch = match assembler.assemble(step, stop) {
            Ok(Some(batch)) => Ok(batch),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let failed = batch.is_err();
        if to_loop.send(batch).is_err() || failed {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
