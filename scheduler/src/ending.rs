//! How an attempt ends: it fails or is cancelled, its ranks are stopped, and when the last is gone its job succeeds, is
//! queued again, or is given up. What a rank was given comes back when the rank is gone, never earlier.

use std::time::Duration;

use spec::rank::{Exit, Failure, FailureKind};
use spec::state::JobState;
use spec::{AttemptId, JobId};

use crate::attempt::{AttemptRecord, AttemptState, RankState};
use crate::cause::{Cause, Evidence, Weight};
use crate::decision::{Outbox, Send};
use crate::history::Happening;
use crate::job::JobRecord;
use crate::reason::Reason;
use crate::state::{self, State};
use crate::time::milliseconds;

/// A wait of zero would be over at once, again and again.
pub(crate) const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// A rank says that it cannot go on.
pub(crate) fn reported(
    state: &mut State,
    out: &mut Outbox,
    attempt: AttemptId,
    rank: u32,
    failure: Failure,
) {
    let Some(held) = state.attempts.get_mut(&attempt) else {
        return;
    };
    if !held.record.state.can_fail() {
        return;
    }
    let Some(placement) = held.live_rank(rank) else {
        return;
    };
    // A done rank that misses its peers has lost nothing: if they are not done, they say so themselves.
    if placement.done.is_some() || placement.failure.is_some() {
        return;
    }
    placement.failure = Some(failure.clone());
    out.save_attempt(attempt);
    let cause = state::cause(
        &held.record,
        rank,
        Evidence::Reported {
            failure,
            exit: None,
        },
    );
    fail(state, out, attempt, cause);
}

/// A rank's process has ended.
pub(crate) fn exited(
    state: &mut State,
    out: &mut Outbox,
    attempt: AttemptId,
    rank: u32,
    exit: Exit,
) {
    let placed = state.attempts.get_mut(&attempt);
    let Some(held) = placed.filter(|held| {
        held.record
            .placement(rank)
            .is_some_and(|placement| placement.is_live())
    }) else {
        if let Some(host) = state
            .host_of_stranger(attempt, rank)
            .and_then(|host| state.workers.get_mut(&host))
        {
            host.strangers.remove(&(attempt, rank));
            state.queue_is_stale = true;
        }
        return;
    };
    if let Some(Cause {
        rank: failed,
        evidence: Evidence::Reported {
            exit: unknown @ None,
            ..
        },
        ..
    }) = &mut held.record.failure
        && *failed == rank
    {
        *unknown = Some(exit.clone());
    }
    let placement = held.record.placement(rank);
    let told_why =
        placement.is_some_and(|placement| placement.done.is_some() || placement.failure.is_some());
    // How a process ends that was told to stop says nothing about why.
    let evidence =
        (!told_why && held.record.stopped_at.is_none()).then_some(Evidence::Exited(exit));
    gone(state, out, attempt, rank, evidence);
}

/// A rank's worker is lost, or came back without it.
pub(crate) fn lost(
    state: &mut State,
    out: &mut Outbox,
    attempt: AttemptId,
    rank: u32,
    evidence: Evidence,
) {
    let placement = state
        .attempts
        .get(&attempt)
        .and_then(|held| held.record.placement(rank));
    let done = placement.is_some_and(|placement| placement.done.is_some());
    gone(state, out, attempt, rank, (!done).then_some(evidence));
}

fn gone(
    state: &mut State,
    out: &mut Outbox,
    attempt: AttemptId,
    rank: u32,
    evidence: Option<Evidence>,
) {
    let Some(held) = state.attempts.get_mut(&attempt) else {
        return;
    };
    let Some(placement) = held.live_rank(rank) else {
        return;
    };
    placement.state = RankState::Gone;
    if let Some(worker) = state.workers.get_mut(&placement.worker) {
        worker.take_back((attempt, rank));
    }
    state.queue_is_stale = true;
    out.save_attempt(attempt);
    let last = held.record.live().next().is_none();
    if let Some(evidence) = evidence {
        let cause = state::cause(&held.record, rank, evidence);
        fail(state, out, attempt, cause);
    }
    if last {
        finish(state, out, attempt);
    }
}

/// The attempt cannot go on. The strongest evidence names the cause, of equally strong the first.
pub(crate) fn fail(state: &mut State, out: &mut Outbox, attempt: AttemptId, cause: Cause) {
    let Some(held) = state.attempts.get_mut(&attempt) else {
        return;
    };
    let record = &mut held.record;
    if !record.state.can_fail() {
        return;
    }
    record.state = AttemptState::Failing;
    out.save_attempt(attempt);
    let weight = cause.evidence.weight();
    let names_the_cause = match record.failure.as_ref().map(|known| known.evidence.weight()) {
        None => true,
        // After a stop, what follows may be its consequence; only a missed peer is still open.
        Some(known) => weight > known && (record.stopped_at.is_none() || known == Weight::Passing),
    };
    if names_the_cause {
        record.failure = Some(cause.clone());
        if let Some(job) = state.jobs.get_mut(&attempt.job) {
            job.reason = Some(Reason::Stopping {
                cause: Box::new(cause.clone()),
            });
            out.save_job(attempt.job);
        }
        out.happened(attempt.job, state.now, Happening::AttemptFailed { cause });
    }
    if record.stopped_at.is_some() {
        return;
    }
    // Ranks that met have connections, and exit by themselves when a peer is lost; others wait for a word.
    if weight == Weight::Passing && record.go.is_some() {
        let patience = state.config.evidence_wait.max(SHORTEST_WAIT);
        held.stop_at.get_or_insert(state.now.after(patience));
    } else {
        stop(state, out, attempt);
    }
}

/// Tells the living ranks to stop, and again each time `stop_timeout` passes.
pub(crate) fn stop(state: &mut State, out: &mut Outbox, attempt: AttemptId) {
    let now = state.now;
    let Some(held) = state.attempts.get_mut(&attempt) else {
        return;
    };
    let first = held.record.stopped_at.is_none();
    for placement in held.record.live() {
        // A rank that says it cannot go on exits by itself.
        if placement.failure.is_none() || !first {
            out.send(Send::Stop {
                worker: placement.worker,
                attempt,
                rank: placement.rank,
            });
        }
    }
    if first {
        held.record.stopped_at = Some(now);
        out.save_attempt(attempt);
    }
    held.stop_at = Some(now.after(state.config.stop_timeout.max(SHORTEST_WAIT)));
}

/// A person cancels a job. Once all ranks agree on the result it is too late: the job succeeds.
pub(crate) fn cancel(state: &mut State, out: &mut Outbox, id: JobId) {
    let now = state.now;
    let Some(job) = state.jobs.get_mut(&id) else {
        return;
    };
    if job.state.is_final() {
        return;
    }
    if state.queue.remove(&id) {
        state.queue_is_stale = true;
        job.finish(JobState::Cancelled, Some(Reason::Cancelled), now);
        out.happened(id, now, Happening::Cancelled);
        out.save_job(id);
        return;
    }
    let Some(attempt) = job.newest_attempt() else {
        return;
    };
    let Some(held) = state.attempts.get_mut(&attempt) else {
        return;
    };
    if !held.record.state.can_fail() {
        return;
    }
    held.record.state = AttemptState::Cancelling;
    job.reason = Some(Reason::Cancelling);
    let told_to_stop = held.record.stopped_at.is_some();
    out.happened(id, now, Happening::CancelRequested);
    out.save_attempt(attempt);
    out.save_job(id);
    if !told_to_stop {
        stop(state, out, attempt);
    }
}

/// The last rank is gone.
fn finish(state: &mut State, out: &mut Outbox, attempt: AttemptId) {
    let now = state.now;
    let Some(held) = state.attempts.remove(&attempt) else {
        return;
    };
    let mut record = held.record;
    record.ended_at = Some(now);
    if let Some(job) = state.jobs.get_mut(&attempt.job) {
        let what = match record.state {
            AttemptState::Ending => {
                record.state = AttemptState::Succeeded;
                job.finish(JobState::Succeeded, None, now);
                Happening::Succeeded
            }
            AttemptState::Cancelling => {
                record.state = AttemptState::Cancelled;
                job.finish(JobState::Cancelled, Some(Reason::Cancelled), now);
                Happening::Cancelled
            }
            _ => {
                record.state = AttemptState::Failed;
                after_failure(&record, job, state.config.max_attempts, |failures| {
                    state.config.backoff.wait(failures)
                })
            }
        };
        if job.state == JobState::Queued {
            state.queue.insert(job.job);
            state.queue_is_stale = true;
        }
        out.happened(attempt.job, now, what);
        out.save_job(attempt.job);
    }
    out.save_ended(record);
}

/// Queues the job again, or gives it up.
fn after_failure(
    record: &AttemptRecord,
    job: &mut JobRecord,
    max_attempts: u32,
    wait: impl Fn(u32) -> Duration,
) -> Happening {
    let now = record.ended_at.unwrap_or(record.placed_at);
    let cause = record
        .failure
        .clone()
        .expect("an attempt that ends neither well nor cancelled has a cause");
    job.last_failure = Some(cause.clone());
    let from = record.resume.map(|checkpoint| checkpoint.step);
    let progressed = job.newest_checkpoint.map(|checkpoint| checkpoint.step) > from;
    job.failures = if progressed {
        1
    } else {
        job.failures.saturating_add(1)
    };
    let boxed = Box::new(cause);
    if boxed.kind() == FailureKind::Lasting {
        job.finish(JobState::Failed, Some(Reason::Failed { cause: boxed }), now);
        return Happening::Failed;
    }
    if job.failures >= max_attempts {
        job.finish(
            JobState::Failed,
            Some(Reason::GaveUp {
                failures: job.failures,
                cause: boxed,
            }),
            now,
        );
        return Happening::Failed;
    }
    let wait = wait(job.failures);
    let (until, wait_ms) = (now.after(wait), milliseconds(wait));
    job.state = JobState::Queued;
    job.not_before = Some(until);
    job.reason = Some(Reason::BackingOff {
        until,
        wait_ms,
        cause: boxed,
    });
    Happening::Requeued { wait_ms }
}
