//! A job as the scheduler sees it: what it asks for, where it stands and why.

use serde::{Deserialize, Serialize};
use spec::offer::GangRequest;
use spec::state::JobState;
use spec::{AttemptId, Digest, JobId};

use crate::cause::Cause;
use crate::reason::Reason;
use crate::time::Time;

/// A job: saved whenever a decision changes it. Why it waits is worked out anew after each event, not saved for its
/// own sake.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Which job. Lower numbers were submitted earlier: the queue is in the order of the numbers.
    pub job: JobId,
    /// What its gang asks for.
    pub request: GangRequest,
    /// Where it stands.
    pub state: JobState,
    /// Why it is not running, or is about to stop, or ended; `None` while it runs and after success.
    pub reason: Option<Reason>,
    /// Attempts so far, which is also the number of the newest.
    pub attempts: u32,
    /// Failed attempts in a row, none of which brought a newer checkpoint than it started from, except the first.
    pub failures: u32,
    /// When it was submitted.
    pub submitted_at: Time,
    /// When the newest attempt was told to train; `None` before.
    pub started_at: Option<Time>,
    /// When it reached its final state.
    pub finished_at: Option<Time>,
    /// What the next attempt goes on from.
    pub newest_checkpoint: Option<SavedCheckpoint>,
    /// The device class that it keeps: asked for, or of the first attempt that trained.
    pub device_class: Option<String>,
    /// It is held back until then after a failure.
    pub not_before: Option<Time>,
    /// Why the newest failed attempt failed.
    pub last_failure: Option<Cause>,
}

/// A durable checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedCheckpoint {
    /// The step it holds.
    pub step: u64,
    /// Its digest.
    pub digest: Digest,
}

impl JobRecord {
    pub(crate) fn new(job: JobId, mut request: GangRequest, now: Time) -> Self {
        // A rank is a thread at least: 0 would let a worker take any number of them.
        request.threads = request.threads.max(1);
        JobRecord {
            job,
            state: JobState::Queued,
            reason: None,
            attempts: 0,
            failures: 0,
            submitted_at: now,
            started_at: None,
            finished_at: None,
            newest_checkpoint: None,
            device_class: request.device_class.clone(),
            not_before: None,
            last_failure: None,
            request,
        }
    }

    /// The newest attempt, if there was one.
    pub fn newest_attempt(&self) -> Option<AttemptId> {
        (self.attempts > 0).then_some(AttemptId {
            job: self.job,
            number: self.attempts,
        })
    }

    pub(crate) fn finish(&mut self, state: JobState, reason: Option<Reason>, now: Time) {
        self.state = state;
        self.reason = reason;
        self.finished_at = Some(now);
        self.not_before = None;
    }

    /// Until when the job is held back, if that is still to come.
    pub(crate) fn held_until(&self, now: Time) -> Option<Time> {
        self.not_before.filter(|&until| until > now)
    }
}
