//! The table where ranks meet: moves bytes and owns the schedule of the fold.
//!
//! A sum over microbatches is folded along a fixed tree on their numbers ([`tree`]), so that its bits do not depend on
//! how many ranks there are or on who arrives first. A rank folds what it can by itself ([`schedule`]), and the gang
//! folds the rest ([`Gang::fold`]) over a [`Transport`] that only moves bytes: [`tcp`] between processes, [`local`]
//! between threads. README.md beside this crate explains the algorithm.
#![forbid(unsafe_code)]

mod error;
mod exchange;
mod fence;
mod frame;
mod gang;
mod line;
pub mod local;
mod program;
mod schedule;
mod scratch;
mod slice;
pub mod tcp;
mod transport;
pub mod tree;
mod work;

pub use error::{Doing, Error, Evidence};
pub use fence::Fence;
pub use frame::Mismatch;
pub use gang::{Adder, Gang};
pub use line::Traffic;
pub use schedule::{LocalStep, Schedule, schedule, slots};
pub use slice::slices;
pub use transport::Transport;
pub use tree::{Node, deal, roots};
