//! What an operation gives the exchange to do: which frames are to be sent, and where the payload of those that come goes.

use crate::frame::{Mismatch, Phase};

/// A frame of an operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    pub phase: Phase,
    pub block: u32,
    /// Bytes of payload.
    pub length: usize,
}

/// What becomes of a frame whose header has come.
pub(crate) enum Admission {
    /// It is taken if its payload is this long.
    Take(usize),
    /// It is in order, but there is no place for its payload yet.
    Later,
    /// It is not what comes next.
    Never(Mismatch),
}

/// Whether a peer from which nothing comes is sure to be at fault.
pub(crate) enum Blame {
    /// What it owes depends on nobody else.
    Certain,
    /// It may itself wait for another.
    Open,
}

/// One operation, as one rank sees it.
pub(crate) trait Work {
    /// The subject that all frames of it carry.
    fn subject(&self) -> u32;
    /// The next frame for `peer`, if one is ready; it will be sent.
    fn next(&mut self, peer: usize) -> Option<Ticket>;
    /// The payload of a frame for `peer`, piece by piece.
    fn sources<'a>(&'a self, peer: usize, ticket: Ticket, push: &mut dyn FnMut(&'a [u8]));
    /// Whether frames from `peer` are still to come.
    fn awaits(&self, peer: usize) -> bool;
    /// What to do with a frame from `peer`, which is awaited.
    fn admit(&self, peer: usize, phase: Phase, block: u32) -> Admission;
    /// Where the payload of a taken frame goes, piece by piece.
    fn targets<'a>(&'a mut self, peer: usize, ticket: Ticket, push: &mut dyn FnMut(&'a mut [u8]));
    /// The payload is there.
    fn received(&mut self, peer: usize, ticket: Ticket);
    /// Whether nothing is left to receive and every frame to send has been handed out by `next`.
    fn is_done(&self) -> bool;
    /// The peers that everything waits for now.
    fn missing(&self) -> Vec<usize>;
    /// Whether those missing are sure to be at fault.
    fn blame(&self) -> Blame;
}
