//! All that the scheduler knows: one owner, plain maps, nothing derived but what `check` compares.

use std::collections::{BTreeMap, BTreeSet};

use spec::{AttemptId, JobId, WorkerId};

use crate::attempt::{Attempt, AttemptRecord};
use crate::cause::{Cause, Evidence};
use crate::config::Config;
use crate::job::JobRecord;
use crate::time::Time;
use crate::worker::Worker;

#[derive(Debug, Clone)]
pub(crate) struct State {
    pub config: Config,
    /// The latest time that was given: it never goes back.
    pub now: Time,
    /// All jobs, ended ones too.
    pub jobs: BTreeMap<JobId, JobRecord>,
    /// The jobs that are queued.
    pub queue: BTreeSet<JobId>,
    /// The attempts that are not over: at most one a job.
    pub attempts: BTreeMap<AttemptId, Attempt>,
    pub workers: BTreeMap<WorkerId, Worker>,
    /// Something has changed that may let a queued job run.
    pub queue_is_stale: bool,
    /// The first end of a back-off after which the queue is looked at again.
    pub wake_at: Option<Time>,
}

impl State {
    pub fn new(config: Config, now: Time) -> Self {
        State {
            config,
            now,
            jobs: BTreeMap::new(),
            queue: BTreeSet::new(),
            attempts: BTreeMap::new(),
            workers: BTreeMap::new(),
            queue_is_stale: false,
            wake_at: None,
        }
    }

    /// The worker on which a rank runs, whether it is wanted there or not.
    pub fn worker_of(&self, attempt: AttemptId, rank: u32) -> Option<WorkerId> {
        let placed = self
            .attempts
            .get(&attempt)
            .and_then(|attempt| attempt.record.placement(rank));
        match placed {
            Some(placement) if placement.is_live() => Some(placement.worker),
            _ => self.host_of_stranger(attempt, rank),
        }
    }

    /// The worker on which a rank runs that no living attempt has there.
    pub fn host_of_stranger(&self, attempt: AttemptId, rank: u32) -> Option<WorkerId> {
        let host = self
            .workers
            .iter()
            .find(|(_, worker)| worker.strangers.contains(&(attempt, rank)));
        host.map(|(&worker, _)| worker)
    }
}

/// The cause that this evidence about a rank of the attempt makes.
pub(crate) fn cause(record: &AttemptRecord, rank: u32, evidence: Evidence) -> Cause {
    let worker = record
        .placement(rank)
        .map(|placement| placement.worker_name.clone())
        .unwrap_or_default();
    Cause {
        attempt: record.attempt,
        rank,
        worker,
        evidence,
    }
}
