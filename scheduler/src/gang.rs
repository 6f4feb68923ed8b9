//! How an attempt goes well: placed, all ready, told to train, all done, told to end.

use spec::rank::Go;
use spec::state::JobState;
use spec::{AttemptId, Digest, JobId, WorkerId};

use crate::attempt::{Attempt, AttemptRecord, AttemptState, Done, Placement, RankState};
use crate::cause::{Evidence, RankDigest};
use crate::decision::{Outbox, Send};
use crate::ending::{self, SHORTEST_WAIT};
use crate::history::Happening;
use crate::job::SavedCheckpoint;
use crate::state::{self, State};

/// Gives a queued job the workers that were chosen for it, by rank.
pub(crate) fn place(
    state: &mut State,
    out: &mut Outbox,
    job: JobId,
    device_class: String,
    workers: &[WorkerId],
) {
    let now = state.now;
    let Some(record) = state.jobs.get_mut(&job) else {
        return;
    };
    state.queue.remove(&job);
    record.attempts += 1;
    record.state = JobState::Starting;
    record.reason = None;
    record.not_before = None;
    record.started_at = None;
    let attempt = AttemptId {
        job,
        number: record.attempts,
    };
    let mut placed = AttemptRecord {
        attempt,
        state: AttemptState::Starting,
        device_class,
        threads: record.request.threads,
        memory_bytes: record.request.memory_bytes,
        resume: record.newest_checkpoint,
        placements: Vec::with_capacity(workers.len()),
        go: None,
        failure: None,
        placed_at: now,
        stopped_at: None,
        ended_at: None,
    };
    let resume = placed.resume.map(|checkpoint| checkpoint.digest);
    for (rank, &id) in (0..).zip(workers) {
        let Some(worker) = state.workers.get_mut(&id) else {
            continue;
        };
        worker.give((attempt, rank), placed.share());
        placed.placements.push(Placement {
            rank,
            worker: id,
            worker_name: worker.name.clone(),
            state: RankState::Starting,
            done: None,
            failure: None,
        });
        out.send(Send::Start {
            worker: id,
            attempt,
            rank,
            resume,
        });
    }
    let names = placed
        .placements
        .iter()
        .map(|placement| placement.worker_name.clone())
        .collect();
    let resume_step = placed.resume.map(|checkpoint| checkpoint.step);
    out.happened(
        job,
        now,
        Happening::Placed {
            attempt,
            workers: names,
            resume_step,
        },
    );
    out.save_attempt(attempt);
    out.save_job(job);
    let ready_by = now.after(state.config.ready_timeout.max(SHORTEST_WAIT));
    state.attempts.insert(
        attempt,
        Attempt {
            record: placed,
            ready_by,
            stop_at: None,
        },
    );
}

/// A rank is prepared: when all are, the gang is told to train.
pub(crate) fn ready(
    state: &mut State,
    out: &mut Outbox,
    attempt: AttemptId,
    rank: u32,
    address: String,
) {
    let Some(held) = state.attempts.get_mut(&attempt) else {
        return;
    };
    if held.record.state != AttemptState::Starting {
        return;
    }
    let Some(placement) = held.live_rank(rank) else {
        return;
    };
    placement.state = RankState::Ready { address };
    let address = |placement: &Placement| match &placement.state {
        RankState::Ready { address } => Some(address.clone()),
        _ => None,
    };
    let addresses: Option<Vec<String>> = held.record.placements.iter().map(address).collect();
    if let Some(addresses) = addresses {
        go(
            state,
            out,
            attempt,
            Go {
                generation: 1,
                addresses,
            },
        );
    }
}

fn go(state: &mut State, out: &mut Outbox, attempt: AttemptId, go: Go) {
    let now = state.now;
    let Some(held) = state.attempts.get_mut(&attempt) else {
        return;
    };
    let Some(job) = state.jobs.get_mut(&attempt.job) else {
        return;
    };
    let record = &mut held.record;
    for placement in &mut record.placements {
        placement.state = RankState::Running;
        out.send(Send::Go {
            worker: placement.worker,
            attempt,
            rank: placement.rank,
            go: go.clone(),
        });
    }
    record.state = AttemptState::Running;
    record.go = Some(go);
    job.state = JobState::Running;
    job.started_at = Some(now);
    // From the first step on the job's bits are those of this class.
    job.device_class = Some(record.device_class.clone());
    out.happened(attempt.job, now, Happening::Started { attempt });
    out.save_attempt(attempt);
    out.save_job(attempt.job);
}

/// A checkpoint is durable: a later attempt goes on from the one with the most steps.
pub(crate) fn checkpoint_saved(
    state: &mut State,
    out: &mut Outbox,
    attempt: AttemptId,
    step: u64,
    digest: Digest,
) {
    if !state.attempts.contains_key(&attempt) {
        return;
    }
    let Some(job) = state.jobs.get_mut(&attempt.job) else {
        return;
    };
    let saved = SavedCheckpoint { step, digest };
    // At the same step the later one counts: the earlier may be gone if this attempt could not start from it.
    if job
        .newest_checkpoint
        .is_none_or(|newest| newest.step <= step && newest != saved)
    {
        job.newest_checkpoint = Some(saved);
        out.happened(
            attempt.job,
            state.now,
            Happening::CheckpointSaved {
                attempt,
                step,
                digest,
            },
        );
        out.save_job(attempt.job);
    }
}

/// A rank has applied the last step: when all have, and agree, the success is durable and they are told to end.
pub(crate) fn done(state: &mut State, out: &mut Outbox, attempt: AttemptId, rank: u32, done: Done) {
    let Some(held) = state.attempts.get_mut(&attempt) else {
        return;
    };
    if held.record.state != AttemptState::Running {
        return;
    }
    let Some(placement) = held.live_rank(rank) else {
        return;
    };
    if placement.done.is_some() {
        return;
    }
    placement.done = Some(done.clone());
    out.save_attempt(attempt);
    if !held.record.all_done() {
        return;
    }
    if let Some(digests) = held.record.disagreement() {
        let first = digests
            .first()
            .map(|first| (first.step, first.state_digest.clone()));
        let differs = |entry: &&RankDigest| Some((entry.step, entry.state_digest.clone())) != first;
        let rank = digests.iter().find(differs).map_or(0, |entry| entry.rank);
        let cause = state::cause(&held.record, rank, Evidence::DigestsDiffer { digests });
        ending::fail(state, out, attempt, cause);
        return;
    }
    held.record.state = AttemptState::Ending;
    held.stop_at = Some(
        state
            .now
            .after(state.config.stop_timeout.max(SHORTEST_WAIT)),
    );
    for placement in held.record.live() {
        out.send(Send::End {
            worker: placement.worker,
            attempt,
            rank: placement.rank,
        });
    }
    let Done { step, state_digest } = done;
    out.happened(
        attempt.job,
        state.now,
        Happening::Trained {
            attempt,
            step,
            state_digest,
        },
    );
}
