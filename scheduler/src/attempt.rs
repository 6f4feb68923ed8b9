//! An attempt: one gang's run of a job, from the moment it is given devices until its last rank is gone.

use serde::{Deserialize, Serialize};
use spec::rank::{Failure, Go};
use spec::{AttemptId, WorkerId};

use crate::cause::{Cause, RankDigest};
use crate::job::SavedCheckpoint;
use crate::time::Time;
use crate::worker::Share;

/// An attempt: saved whenever a decision changes it. That a rank is ready is not saved: its worker says so again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// Which attempt.
    pub attempt: AttemptId,
    /// Where it stands.
    pub state: AttemptState,
    /// The device class of all of its ranks.
    pub device_class: String,
    /// Thread slots of each rank.
    pub threads: u32,
    /// Memory of each rank, in bytes.
    pub memory_bytes: u64,
    /// What it goes on from.
    pub resume: Option<SavedCheckpoint>,
    /// Its ranks, by rank.
    pub placements: Vec<Placement>,
    /// What the ranks were told when all were ready.
    pub go: Option<Go>,
    /// Why it failed, if it did.
    pub failure: Option<Cause>,
    /// When it was given devices.
    pub placed_at: Time,
    /// When its ranks were first told to stop.
    pub stopped_at: Option<Time>,
    /// When its last rank was gone.
    pub ended_at: Option<Time>,
}

/// Where an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    /// Its ranks are being started.
    Starting,
    /// All ranks were ready and were told to train.
    Running,
    /// All ranks are done and agree; they are told to end. The job will succeed, whatever happens to them now.
    Ending,
    /// It cannot go on; its ranks are stopping.
    Failing,
    /// A person cancelled the job; its ranks are stopping.
    Cancelling,
    /// Over: the job succeeded.
    Succeeded,
    /// Over: it failed.
    Failed,
    /// Over: the job was cancelled.
    Cancelled,
}

impl AttemptState {
    /// Whether its last rank is gone.
    pub fn is_over(self) -> bool {
        matches!(
            self,
            AttemptState::Succeeded | AttemptState::Failed | AttemptState::Cancelled
        )
    }

    pub(crate) fn can_fail(self) -> bool {
        matches!(
            self,
            AttemptState::Starting | AttemptState::Running | AttemptState::Failing
        )
    }
}

/// One rank of a gang and the worker it was given to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    /// Which rank, from 0.
    pub rank: u32,
    /// The worker.
    pub worker: WorkerId,
    /// The worker's name at placement, for messages.
    pub worker_name: String,
    /// Where the rank stands.
    pub state: RankState,
    /// What it ended with, once it has applied the last step.
    pub done: Option<Done>,
    /// That it cannot go on, if it said so.
    pub failure: Option<Failure>,
}

/// Where a rank stands. It holds its devices until it is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RankState {
    /// Its process is being started.
    Starting,
    /// It waits for its peers.
    Ready {
        /// Where peers reach it: `host:port`.
        address: String,
    },
    /// It was told to train.
    Running,
    /// Its process has ended, or its worker is lost.
    Gone,
}

/// What a rank ended with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Its last step.
    pub step: u64,
    /// The digest of all of its state.
    pub state_digest: String,
}

impl AttemptRecord {
    /// The placement of a rank.
    pub fn placement(&self, rank: u32) -> Option<&Placement> {
        self.placements
            .iter()
            .find(|placement| placement.rank == rank)
    }

    /// The ranks whose process may still exist.
    pub fn live(&self) -> impl Iterator<Item = &Placement> + '_ {
        self.placements
            .iter()
            .filter(|placement| placement.is_live())
    }

    /// What each rank ended with, if they do not all agree; ranks that are not done are left out.
    pub(crate) fn disagreement(&self) -> Option<Vec<RankDigest>> {
        let digests: Vec<RankDigest> = self
            .placements
            .iter()
            .filter_map(Placement::digest)
            .collect();
        let differ =
            |a: &RankDigest, b: &RankDigest| (a.step, &a.state_digest) != (b.step, &b.state_digest);
        digests
            .windows(2)
            .any(|pair| differ(&pair[0], &pair[1]))
            .then_some(digests)
    }

    pub(crate) fn all_done(&self) -> bool {
        self.placements
            .iter()
            .all(|placement| placement.done.is_some())
    }

    pub(crate) fn share(&self) -> Share {
        Share {
            threads: self.threads,
            memory_bytes: self.memory_bytes,
        }
    }
}

impl Placement {
    /// Whether the rank's process may still exist.
    pub fn is_live(&self) -> bool {
        self.state != RankState::Gone
    }

    fn digest(&self) -> Option<RankDigest> {
        let Done { step, state_digest } = self.done.clone()?;
        Some(RankDigest {
            rank: self.rank,
            step,
            state_digest,
        })
    }
}

/// A living attempt with its deadlines.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub record: AttemptRecord,
    /// While starting: all ranks are to be ready by then.
    pub ready_by: Time,
    /// Ranks still living then are told to stop.
    pub stop_at: Option<Time>,
}

impl Attempt {
    /// The living rank of this number.
    pub fn live_rank(&mut self, rank: u32) -> Option<&mut Placement> {
        self.record
            .placements
            .iter_mut()
            .find(|placement| placement.rank == rank && placement.is_live())
    }

    /// The next point in time at which something is to be done about it.
    pub fn deadline(&self) -> Option<Time> {
        match self.record.state {
            AttemptState::Starting => Some(self.ready_by),
            _ => self.stop_at,
        }
    }
}
