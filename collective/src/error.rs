//! What can go wrong at the table. Whenever a rank is to blame, it is named.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::fence::Fence;
use crate::frame::Mismatch;
use crate::tree::Node;

/// What can go wrong at the table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A peer's connection ended before it had done its part.
    #[error("lost rank {rank} at {address} while {doing} operation {operation}: {evidence}")]
    LostPeer {
        /// The peer.
        rank: usize,
        /// Where it sits.
        address: String,
        /// The operation that could not be finished.
        operation: u64,
        /// What was being done with it.
        doing: Doing,
        /// How it showed.
        #[source]
        evidence: Evidence,
    },
    /// Nothing moved for as long as the deadline allows.
    #[error(
        "{} silent for {after:?} in operation {operation}{}: stopped, cut off, or slower than the deadline allows",
        named(ranks),
        seen(seen_by)
    )]
    Silent {
        /// The peers that others waited for, in order.
        ranks: Vec<usize>,
        /// How long nothing moved.
        after: Duration,
        /// The operation that could not be finished.
        operation: u64,
        /// The rank that waited, if it was another than this one.
        seen_by: Option<usize>,
    },
    /// A peer belongs to another gang, attempt or generation.
    #[error(
        "rank {rank} at {address} carries fence {theirs}, ours is {ours}: one of the two is from an earlier gang and must end"
    )]
    Fenced {
        /// The peer.
        rank: usize,
        /// Where it sits.
        address: String,
        /// Our token.
        ours: Fence,
        /// Its token.
        theirs: Fence,
    },
    /// A peer sent something else than its part of the operation.
    #[error("rank {rank} at {address} broke the protocol in operation {operation}: {what}")]
    Protocol {
        /// The peer.
        rank: usize,
        /// Where it sits.
        address: String,
        /// The operation that could not be finished.
        operation: u64,
        /// The field that is wrong.
        #[source]
        what: Mismatch,
    },
    /// Another rank gave up because it could not accept what a peer sent.
    #[error(
        "rank {by} refused what rank {rank} sent in operation {operation}: see the log of rank {by}"
    )]
    Refused {
        /// The peer that sent it.
        rank: usize,
        /// The rank that gave up.
        by: usize,
        /// The operation that could not be finished.
        operation: u64,
    },
    /// An earlier operation failed, so the connections are of no further use.
    #[error("operation {operation} failed before: the gang must meet again under a new fence")]
    Over {
        /// The operation that failed.
        operation: u64,
    },
    /// Some ranks did not come to the meeting.
    #[error(
        "{} did not come to the meeting within {after:?}{}",
        named(ranks),
        because(reason)
    )]
    Missing {
        /// The ranks that did not come, in order.
        ranks: Vec<usize>,
        /// How long they were waited for.
        after: Duration,
        /// What the last attempt to reach one of them ended with.
        #[source]
        reason: Option<io::Error>,
    },
    /// A rank that the gang does not have.
    #[error("there is no rank {rank} in a gang of {ranks}")]
    Seat {
        /// The rank.
        rank: usize,
        /// The gang's ranks.
        ranks: usize,
    },
    /// A gang was given nothing to fold, or no microbatches to fold over.
    #[error("nothing to fold: a record of {record_bytes} bytes over {microbatches} microbatches")]
    Empty {
        /// Bytes of the record.
        record_bytes: usize,
        /// Microbatches of a step.
        microbatches: u32,
    },
    /// A subtree sum is not as long as the record, or the record is empty or longer than the gang was made for.
    #[error(
        "a record or subtree sum of {got} bytes was given where the gang folds up to {expected}, all alike"
    )]
    RecordLength {
        /// Bytes of the longest record.
        expected: usize,
        /// Bytes of the buffer.
        got: usize,
    },
    /// The microbatches present are none, or more than there are.
    #[error(
        "{present} microbatches cannot be present out of {microbatches}: at least 1 and at most all"
    )]
    Present {
        /// How many were said to be present.
        present: u32,
        /// How many there are.
        microbatches: u32,
    },
    /// The subtree sums given are not those of this rank's schedule.
    #[error("the subtree sums given are those of {got:?}, this rank's are {expected:?}")]
    Roots {
        /// The schedule's roots.
        expected: Vec<Node>,
        /// The roots given.
        got: Vec<Node>,
    },
    /// An operation's number is not above the one before.
    #[error("operation {got} after operation {last}: numbers must grow")]
    Operation {
        /// The one before.
        last: u64,
        /// The one given.
        got: u64,
    },
    /// A socket could not be made or used at all.
    #[error("cannot {what} at {address}")]
    Socket {
        /// What was tried.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The operating system could not wait for the gang's connections.
    #[error("cannot wait for peers")]
    Wait {
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// The first rank to blame, where one is.
    pub fn culprit(&self) -> Option<usize> {
        match self {
            Error::LostPeer { rank, .. }
            | Error::Fenced { rank, .. }
            | Error::Protocol { rank, .. }
            | Error::Refused { rank, .. } => Some(*rank),
            Error::Silent { ranks, .. } | Error::Missing { ranks, .. } => ranks.first().copied(),
            _ => None,
        }
    }
}

/// What was being done with a peer when it was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Sending to it.
    Sending,
    /// Receiving from it.
    Receiving,
    /// Waiting for others, its part being done.
    Waiting,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Doing::Sending => "sending to it in",
            Doing::Receiving => "receiving from it in",
            Doing::Waiting => "waiting for others in",
        })
    }
}

/// How the loss of a peer showed.
#[derive(Debug, thiserror::Error)]
pub enum Evidence {
    /// On the connection to it.
    #[error("{0}")]
    Connection(#[source] io::Error),
    /// It left in good order, but too early.
    #[error("it left the gang")]
    Left,
    /// Another rank lost it and said so.
    #[error("rank {by} lost its connection to it")]
    Told {
        /// The rank that said so.
        by: usize,
    },
}

fn named(ranks: &[usize]) -> String {
    let names: Vec<String> = ranks.iter().map(usize::to_string).collect();
    let noun = if ranks.len() == 1 { "rank" } else { "ranks" };
    format!("{noun} {}", names.join(", "))
}

fn seen(by: &Option<usize>) -> String {
    by.map_or_else(String::new, |by| format!(", as rank {by} saw it"))
}

fn because(reason: &Option<io::Error>) -> String {
    reason.as_ref().map_or_else(String::new, |reason| {
        format!("; the last attempt ended with: {reason}")
    })
}
