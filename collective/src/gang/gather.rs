//! The gather: every rank's small value to every rank. Nobody has all of them before everybody has come, so it is a
//! barrier too.

use std::time::Duration;

use crate::error::Error;

use crate::frame::{Mismatch, Phase};
use crate::gang::Gang;
use crate::work::{Admission, Blame, Ticket, Work};

/// Bytes of a value.
const VALUE: usize = 32;

impl Gang {
    /// Every rank's value, by rank. `operation` is above that of the last gather and not below that of the last fold,
    /// and the same on every rank. The deadline runs from the last time that anything moved.
    ///
    /// # Errors
    /// [`Error::LostPeer`], [`Error::Silent`], [`Error::Fenced`], [`Error::Protocol`], [`Error::Refused`] name the rank that
    /// stood in the way; [`Error::Over`] after an earlier failure; [`Error::Operation`] for a number that is used up.
    pub fn gather(
        &mut self,
        operation: u64,
        mine: &[u8; 32],
        deadline: Duration,
    ) -> Result<Vec<[u8; 32]>, Error> {
        let used = self.last_gather.is_some_and(|last| operation <= last);
        let passed = self.last_fold.is_some_and(|last| operation < last);
        if let Some(last) = self
            .last_gather
            .max(self.last_fold)
            .filter(|_| used || passed)
        {
            return Err(Error::Operation {
                last,
                got: operation,
            });
        }
        let ranks = self.ranks();
        let mut values = vec![
            Value {
                bytes: [0; VALUE],
                sent: Turn::Due,
                received: Turn::Due
            };
            ranks
        ];
        values[self.rank()] = Value {
            bytes: *mine,
            sent: Turn::Done,
            received: Turn::Done,
        };
        let mut work = Gather {
            mine: *mine,
            values,
        };
        self.exchange.run(operation, &mut work, deadline)?;
        self.last_gather = Some(operation);
        Ok(work.values.iter().map(|value| value.bytes).collect())
    }
}

struct Gather {
    mine: [u8; VALUE],
    /// By rank.
    values: Vec<Value>,
}

#[derive(Clone)]
struct Value {
    bytes: [u8; VALUE],
    /// Ours to that rank.
    sent: Turn,
    /// That rank's to us.
    received: Turn,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Due,
    Done,
}

impl Work for Gather {
    fn subject(&self) -> u32 {
        0
    }

    fn next(&mut self, peer: usize) -> Option<Ticket> {
        let due = std::mem::replace(&mut self.values[peer].sent, Turn::Done) == Turn::Due;
        due.then_some(Ticket {
            phase: Phase::Gather,
            block: 0,
            length: VALUE,
        })
    }

    fn sources<'a>(&'a self, _peer: usize, ticket: Ticket, push: &mut dyn FnMut(&'a [u8])) {
        if ticket.phase == Phase::Gather {
            push(&self.mine);
        }
    }

    fn awaits(&self, peer: usize) -> bool {
        self.values[peer].received == Turn::Due
    }

    fn admit(&self, _peer: usize, phase: Phase, block: u32) -> Admission {
        let in_order = Mismatch::check("phase", Phase::Gather as u64, phase as u64)
            .and_then(|()| Mismatch::check("block", 0, block.into()));
        in_order.map_or_else(Admission::Never, |()| Admission::Take(VALUE))
    }

    fn targets<'a>(&'a mut self, peer: usize, _ticket: Ticket, push: &mut dyn FnMut(&'a mut [u8])) {
        push(&mut self.values[peer].bytes);
    }

    fn received(&mut self, peer: usize, _ticket: Ticket) {
        self.values[peer].received = Turn::Done;
    }

    fn is_done(&self) -> bool {
        self.values
            .iter()
            .all(|value| value.sent == Turn::Done && value.received == Turn::Done)
    }

    fn missing(&self) -> Vec<usize> {
        (0..self.values.len())
            .filter(|&peer| self.awaits(peer))
            .collect()
    }

    fn blame(&self) -> Blame {
        Blame::Certain
    }
}
