//! What will happen in the simulated yard, in the order of time.

use std::collections::BTreeMap;

use scheduler::{Event, Send};
use spec::{AttemptId, WorkerId};

pub type RankId = (AttemptId, u32);

/// Something that happens at a time.
#[derive(Debug, Clone)]
pub enum Task {
    /// The machine opens a stream.
    Connect(WorkerId),
    Beat(WorkerId, u64),
    /// A report travels on a stream.
    Report(WorkerId, u64, Event),
    /// A message travels on a stream.
    Message(WorkerId, u64, Send),
    /// A process goes on.
    Prepared(WorkerId, RankId),
    Trained(WorkerId, RankId),
    Exits(WorkerId, RankId, &'static str),
}

/// What will happen, and when.
#[derive(Debug, Default)]
pub struct Agenda {
    tasks: BTreeMap<(u64, u64), Task>,
    added: u64,
}

impl Agenda {
    /// Tasks of the same time come in the order in which they were added.
    pub fn add(&mut self, at: u64, task: Task) {
        self.added += 1;
        self.tasks.insert((at, self.added), task);
    }

    pub fn next(&self) -> Option<u64> {
        self.tasks.first_key_value().map(|(&(at, _), _)| at)
    }

    pub fn take(&mut self) -> Option<Task> {
        self.tasks.pop_first().map(|(_, task)| task)
    }
}
