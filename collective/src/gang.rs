//! A gang: ranks that fold together. One rank's seat, its memory, and the arithmetic that all ranks agree on.

mod fold;
mod gather;

use std::ops::Range;

use crate::error::Error;
use crate::exchange::Exchange;
use crate::fence::Fence;
use crate::line::Traffic;
use crate::program::Program;
use crate::scratch::Scratch;
use crate::slice::{BLOCK_BYTES, GRAIN, slices};
use crate::transport::Transport;
use crate::tree::deal;

/// Adds element by element, `into` being the left operand: called as `add(offset, into, from)`, where the offset is that of
/// the two in the record, in bytes, so that the adder knows the element type there.
pub type Adder<'a> = dyn Fn(usize, &mut [u8], &[u8]) + 'a;

/// One rank's seat at the table. After a failed operation it is of no further use: the survivors meet again under a new
/// fence. Dropped in good order, it tells the peers that it leaves.
pub struct Gang {
    exchange: Exchange,
    record_bytes: usize,
    microbatches: u32,
    shares: Vec<Range<u32>>,
    /// How a record of the current fold is cut.
    slices: Vec<Range<usize>>,
    /// Bytes of a block.
    block: usize,
    program: Program,
    scratch: Scratch,
    progress: Vec<Progress>,
    last_fold: Option<u64>,
    last_gather: Option<u64>,
}

/// Blocks exchanged with one peer in the current fold.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    sums_sent: u32,
    sums_received: u32,
    slice_sent: u32,
    slice_received: u32,
}

impl Gang {
    /// Sits down to fold records of up to `record_bytes` over `microbatches` a step. All memory is allocated here.
    ///
    /// # Errors
    /// [`Error::Empty`] when either is 0.
    pub fn new(
        transport: Box<dyn Transport>,
        fence: Fence,
        record_bytes: usize,
        microbatches: u32,
    ) -> Result<Gang, Error> {
        Gang::with_block(transport, fence, record_bytes, microbatches, BLOCK_BYTES)
    }

    /// [`Gang::new`] with blocks of `block` bytes, a multiple of 64 that is the same on all ranks.
    fn with_block(
        transport: Box<dyn Transport>,
        fence: Fence,
        record_bytes: usize,
        microbatches: u32,
        block: usize,
    ) -> Result<Gang, Error> {
        if record_bytes == 0 || microbatches == 0 {
            return Err(Error::Empty {
                record_bytes,
                microbatches,
            });
        }
        debug_assert!(block > 0 && block.is_multiple_of(GRAIN));
        let exchange = Exchange::new(transport, fence);
        let (rank, ranks) = (exchange.rank(), exchange.ranks());
        let shares = deal(microbatches, ranks);
        let slices = slices(record_bytes, ranks);
        let program = Program::new(&shares, microbatches, rank);
        let places = if ranks == 1 { 0 } else { program.leaves.len() };
        let longest = slices.iter().map(Range::len).max().unwrap_or(0);
        let scratch = Scratch::new(places, longest.min(block));
        Ok(Gang {
            exchange,
            record_bytes,
            microbatches,
            shares,
            slices,
            block,
            program,
            scratch,
            progress: vec![Progress::default(); ranks],
            last_fold: None,
            last_gather: None,
        })
    }

    /// This rank.
    pub fn rank(&self) -> usize {
        self.exchange.rank()
    }

    /// How many ranks there are.
    pub fn ranks(&self) -> usize {
        self.exchange.ranks()
    }

    /// The microbatches that this rank computes.
    pub fn share(&self) -> Range<u32> {
        self.shares[self.rank()].clone()
    }

    /// Bytes of scratch memory that this seat holds, all its life.
    pub fn scratch_bytes(&self) -> usize {
        self.scratch.bytes()
    }

    /// What this rank has sent so far.
    pub fn traffic(&self) -> Traffic {
        self.exchange.traffic()
    }
}

#[cfg(test)]
mod tests;
