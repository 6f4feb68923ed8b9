//! The brain: it decides which gang runs where and when an attempt is over. No I/O, no clock, no randomness, no async:
//! an [`Event`] and the [`Time`] go in, a [`Decision`] comes out, and the same events always give the same decisions.
//! README.md beside this crate's `src` draws the states.
//!
//! The driver's part of the contract:
//! - what a decision wants saved is durable, in one batch, before what it wants sent goes out;
//! - a message for a worker without a stream is dropped: what the worker missed is sent again when it joins;
//! - [`Event::Tick`] comes when [`Scheduler::next_deadline`] has passed and all events received before have been given;
//! - [`Time`] keeps its origin over restarts (milliseconds since 1970, say), since records hold points in time.
#![forbid(unsafe_code)]

mod attempt;
mod cause;
mod check;
mod config;
mod deadline;
mod decision;
mod ending;
mod event;
mod gang;
mod history;
mod job;
mod place;
mod presence;
mod queue;
mod reason;
mod restore;
mod scheduler;
mod state;
mod time;
mod worker;

pub use attempt::{AttemptRecord, AttemptState, Done, Placement, RankState};
pub use cause::{Cause, Evidence, RankDigest};
pub use check::Violation;
pub use config::{Backoff, Config};
pub use decision::{Decision, Save, Send};
pub use event::{Event, RankInventory, RankStatus};
pub use history::Happening;
pub use job::{JobRecord, SavedCheckpoint};
pub use reason::Reason;
pub use scheduler::Scheduler;
pub use time::Time;
pub use worker::{Link, WorkerView};
