//! What the scheduler decides: what must be durable, and what may be sent after that.

use std::collections::BTreeSet;

use spec::rank::Go;
use spec::{AttemptId, Digest, JobId, WorkerId};

use crate::attempt::AttemptRecord;
use crate::history::Happening;
use crate::job::JobRecord;
use crate::state::State;
use crate::time::Time;

/// What follows from an event. All of `save` is durable, in one batch, before any of `send` goes out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// What must be durable first: each record at most once, in its newest form.
    pub save: Vec<Save>,
    /// What may be sent then, in this order. A message for a worker without a stream is dropped.
    pub send: Vec<Send>,
}

/// Something that must be durable.
#[derive(Debug, Clone, PartialEq)]
pub enum Save {
    /// A job's record, in place of the one before.
    Job(JobRecord),
    /// An attempt's record, in place of the one before.
    Attempt(AttemptRecord),
    /// Something that happened, after all that happened to the job before.
    History {
        /// The job.
        job: JobId,
        /// When.
        at: Time,
        /// What.
        what: Happening,
    },
}

/// A message for a worker. All are safe to receive twice.
#[derive(Debug, Clone, PartialEq)]
pub enum Send {
    /// Start a rank's process.
    Start {
        /// The worker.
        worker: WorkerId,
        /// The attempt.
        attempt: AttemptId,
        /// The rank.
        rank: u32,
        /// The checkpoint to go on from.
        resume: Option<Digest>,
    },
    /// Tell a ready rank to train.
    Go {
        /// The worker.
        worker: WorkerId,
        /// The attempt.
        attempt: AttemptId,
        /// The rank.
        rank: u32,
        /// The membership.
        go: Go,
    },
    /// Tell a done rank to exit.
    End {
        /// The worker.
        worker: WorkerId,
        /// The attempt.
        attempt: AttemptId,
        /// The rank.
        rank: u32,
    },
    /// End a rank's process, with force if it does not end by itself. Its exit is reported as any other.
    Stop {
        /// The worker.
        worker: WorkerId,
        /// The attempt.
        attempt: AttemptId,
        /// The rank.
        rank: u32,
    },
}

/// A decision in the making: which records have changed, and what is to be said.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    jobs: BTreeSet<JobId>,
    attempts: BTreeSet<AttemptId>,
    ended: Vec<AttemptRecord>,
    history: Vec<Save>,
    send: Vec<Send>,
}

impl Outbox {
    pub fn save_job(&mut self, job: JobId) {
        self.jobs.insert(job);
    }

    pub fn save_attempt(&mut self, attempt: AttemptId) {
        self.attempts.insert(attempt);
    }

    /// The last form of an attempt that the state no longer has.
    pub fn save_ended(&mut self, record: AttemptRecord) {
        self.attempts.remove(&record.attempt);
        self.ended.push(record);
    }

    pub fn happened(&mut self, job: JobId, at: Time, what: Happening) {
        self.history.push(Save::History { job, at, what });
    }

    pub fn send(&mut self, message: Send) {
        self.send.push(message);
    }

    pub fn into_decision(self, state: &State) -> Decision {
        let mut save = self.history;
        save.extend(self.ended.into_iter().map(Save::Attempt));
        let attempts = self
            .attempts
            .iter()
            .filter_map(|attempt| state.attempts.get(attempt));
        save.extend(attempts.map(|attempt| Save::Attempt(attempt.record.clone())));
        let jobs = self.jobs.iter().filter_map(|job| state.jobs.get(job));
        save.extend(jobs.cloned().map(Save::Job));
        Decision {
            save,
            send: self.send,
        }
    }
}
