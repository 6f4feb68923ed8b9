//! The invariants, checked over all cross-references. Tests call this after every step.

use spec::rank::Go;
use spec::state::JobState;
use spec::{AttemptId, JobId, WorkerId};

use crate::attempt::{AttemptRecord, AttemptState};
use crate::job::JobRecord;
use crate::place::{Verdict, place};
use crate::state::State;
use crate::worker::Share;

/// An invariant that does not hold: a fault in the scheduler.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A job is queued but not in the queue, or the other way round.
    #[error("{job} is {state} but the queue says otherwise")]
    Queue {
        /// The job.
        job: JobId,
        /// Its state.
        state: JobState,
    },
    /// A job that starts or runs has no attempt, or a job that does neither has one.
    #[error("{job} is {state} and has {attempts} living attempts")]
    Attempts {
        /// The job.
        job: JobId,
        /// Its state.
        state: JobState,
        /// Its living attempts.
        attempts: usize,
    },
    /// A final job has no end, or a job that is not final has one.
    #[error("{job} is {state}, which contradicts the time of its end")]
    End {
        /// The job.
        job: JobId,
        /// Its state.
        state: JobState,
    },
    /// An attempt's parts do not agree with each other or with its job.
    #[error("{attempt} is {state:?}, which contradicts {what}")]
    Attempt {
        /// The attempt.
        attempt: AttemptId,
        /// Its state.
        state: AttemptState,
        /// The part that contradicts it.
        what: &'static str,
    },
    /// A living rank and its worker do not agree that it was given devices.
    #[error("{attempt} rank {rank} and {worker} do not agree on what it was given")]
    Given {
        /// The attempt.
        attempt: AttemptId,
        /// The rank.
        rank: u32,
        /// The worker.
        worker: WorkerId,
    },
    /// A worker's account is wrong, or more was given away than it offers.
    #[error("{worker} offers {offered} threads, gave {given} and counts {counted}")]
    Account {
        /// The worker.
        worker: WorkerId,
        /// Thread slots that it offers.
        offered: u32,
        /// Thread slots that its ranks have together.
        given: u32,
        /// Thread slots that it believes to have given.
        counted: u32,
    },
    /// A job that is first in line and fits was not placed.
    #[error("{job} could run and was not placed")]
    Idle {
        /// The job.
        job: JobId,
    },
}

/// Checks every invariant.
pub(crate) fn check(state: &State) -> Result<(), Violation> {
    for job in state.jobs.values() {
        check_job(state, job)?;
    }
    let unknown = state.queue.iter().find(|job| !state.jobs.contains_key(job));
    if let Some(&job) = unknown {
        return Err(Violation::Queue {
            job,
            state: JobState::Queued,
        });
    }
    for attempt in state.attempts.values() {
        let record = &attempt.record;
        let job = state.jobs.get(&record.attempt.job);
        agrees(
            record,
            job.ok_or(contradiction(record, "its job, which nobody knows"))?,
        )?;
        for placement in record.live() {
            let rank = (record.attempt, placement.rank);
            let worker = state.workers.get(&placement.worker);
            if worker.and_then(|worker| worker.given.get(&rank)) != Some(&record.share()) {
                let (attempt, rank) = rank;
                return Err(Violation::Given {
                    attempt,
                    rank,
                    worker: placement.worker,
                });
            }
        }
    }
    check_workers(state)?;
    check_order(state)
}

fn check_job(state: &State, job: &JobRecord) -> Result<(), Violation> {
    let (id, is) = (job.job, job.state);
    if state.queue.contains(&id) != (is == JobState::Queued) {
        return Err(Violation::Queue { job: id, state: is });
    }
    let of_job = AttemptId { job: id, number: 0 }..=AttemptId {
        job: id,
        number: u32::MAX,
    };
    let attempts = state.attempts.range(of_job).count();
    let wanted = usize::from(matches!(is, JobState::Starting | JobState::Running));
    if attempts != wanted {
        return Err(Violation::Attempts {
            job: id,
            state: is,
            attempts,
        });
    }
    if job.finished_at.is_some() != is.is_final() {
        return Err(Violation::End { job: id, state: is });
    }
    Ok(())
}

fn contradiction(record: &AttemptRecord, what: &'static str) -> Violation {
    Violation::Attempt {
        attempt: record.attempt,
        state: record.state,
        what,
    }
}

/// Whether a living attempt agrees with itself and with its job.
pub(crate) fn agrees(record: &AttemptRecord, job: &JobRecord) -> Result<(), Violation> {
    let wrong = |what| Err(contradiction(record, what));
    let ranks = record.placements.iter().map(|placement| placement.rank);
    if !ranks.eq(0..job.request.ranks) {
        return wrong("its ranks: the gang is not whole");
    }
    if job.newest_attempt() != Some(record.attempt) {
        return wrong("its number: it is not the newest of its job");
    }
    if record.live().next().is_none() || record.state.is_over() {
        return wrong("its ranks: an attempt lives as long as one of them");
    }
    let told = |go: &Go| go.addresses.len() == record.placements.len();
    if record.go.as_ref().is_some_and(|go| !told(go)) {
        return wrong("its membership");
    }
    let trains = if record.go.is_some() {
        JobState::Running
    } else {
        JobState::Starting
    };
    if job.state != trains {
        return wrong("the state of its job");
    }
    let fits = match record.state {
        AttemptState::Starting => {
            record.go.is_none() && record.failure.is_none() && record.stopped_at.is_none()
        }
        AttemptState::Running => {
            record.go.is_some() && record.failure.is_none() && record.stopped_at.is_none()
        }
        AttemptState::Ending => record.all_done() && record.disagreement().is_none(),
        AttemptState::Failing => record.failure.is_some(),
        AttemptState::Cancelling => record.stopped_at.is_some(),
        _ => false,
    };
    if fits {
        Ok(())
    } else {
        wrong("what is known of its ranks")
    }
}

fn check_workers(state: &State) -> Result<(), Violation> {
    for (&id, worker) in &state.workers {
        for &(attempt, rank) in worker.given.keys() {
            let placement = state
                .attempts
                .get(&attempt)
                .and_then(|held| held.record.placement(rank));
            let here =
                placement.is_some_and(|placement| placement.worker == id && placement.is_live());
            if !here || worker.strangers.contains(&(attempt, rank)) {
                return Err(Violation::Given {
                    attempt,
                    rank,
                    worker: id,
                });
            }
        }
        let given = worker
            .given
            .values()
            .copied()
            .fold(Share::default(), Share::plus);
        if given != worker.taken || !(worker.whole().holds(given) || worker.overdrawn) {
            let (offered, counted) = (worker.offer.threads, worker.taken.threads);
            return Err(Violation::Account {
                worker: id,
                offered,
                given: given.threads,
                counted,
            });
        }
    }
    Ok(())
}

/// No job waits that is first in line and has room.
fn check_order(state: &State) -> Result<(), Violation> {
    for &id in &state.queue {
        let Some(job) = state.jobs.get(&id) else {
            continue;
        };
        if job.held_until(state.now).is_some() {
            continue;
        }
        match place(&job.request, job.device_class.as_deref(), &state.workers) {
            Verdict::Never(_) => {}
            Verdict::Waits(_) => break,
            Verdict::Fits { .. } => return Err(Violation::Idle { job: id }),
        }
    }
    Ok(())
}
