//! What the scheduler is told.

use spec::offer::{GangRequest, Offer};
use spec::rank::{Exit, Failure};
use spec::{AttemptId, Digest, JobId, WorkerId};

/// Something that happened. Events may come twice, late, and about things that nobody knows.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A deadline has passed. Leases and patience end here and nowhere else.
    Tick,
    /// A job was accepted.
    Submitted {
        /// Its id; ids are dealt in the order of submission.
        job: JobId,
        /// What its gang asks for.
        request: GangRequest,
    },
    /// A person cancels a job.
    Cancelled {
        /// The job.
        job: JobId,
    },
    /// A worker opened its stream, for the first time or again.
    WorkerJoined {
        /// The worker.
        worker: WorkerId,
        /// Its name.
        name: String,
        /// What it offers now.
        offer: Offer,
        /// The ranks that it has, and those that exited without its having been able to say so.
        ranks: Vec<RankInventory>,
    },
    /// A worker is alive.
    WorkerBeat {
        /// The worker.
        worker: WorkerId,
    },
    /// A worker's stream broke. It is not lost yet: its lease runs.
    WorkerGone {
        /// The worker.
        worker: WorkerId,
    },
    /// A worker said goodbye and has ended its ranks.
    WorkerLeft {
        /// The worker.
        worker: WorkerId,
    },
    /// A rank is prepared.
    RankReady {
        /// The attempt.
        attempt: AttemptId,
        /// The rank.
        rank: u32,
        /// Where peers reach it: `host:port`.
        address: String,
    },
    /// A checkpoint is durable.
    CheckpointSaved {
        /// The attempt.
        attempt: AttemptId,
        /// The step it holds.
        step: u64,
        /// Its digest.
        digest: Digest,
    },
    /// A rank has applied the last step.
    RankDone {
        /// The attempt.
        attempt: AttemptId,
        /// The rank.
        rank: u32,
        /// Its last step.
        step: u64,
        /// The digest of all of its state.
        state_digest: String,
    },
    /// A rank cannot go on and exits.
    RankFailed {
        /// The attempt.
        attempt: AttemptId,
        /// The rank.
        rank: u32,
        /// Why.
        failure: Failure,
    },
    /// A rank's process has ended.
    RankExited {
        /// The attempt.
        attempt: AttemptId,
        /// The rank.
        rank: u32,
        /// How.
        exit: Exit,
    },
}

/// A rank that a worker has.
#[derive(Debug, Clone, PartialEq)]
pub struct RankInventory {
    /// The attempt.
    pub attempt: AttemptId,
    /// The rank.
    pub rank: u32,
    /// Where it stands.
    pub status: RankStatus,
}

/// Where a rank stands, as its worker knows.
#[derive(Debug, Clone, PartialEq)]
pub enum RankStatus {
    /// Its process was started.
    Starting,
    /// It is prepared and was not told to train.
    Ready {
        /// Where peers reach it: `host:port`.
        address: String,
    },
    /// It was told to train.
    Running,
    /// It has applied the last step.
    Done {
        /// Its last step.
        step: u64,
        /// The digest of all of its state.
        state_digest: String,
    },
    /// Its process has ended.
    Exited(Exit),
}
