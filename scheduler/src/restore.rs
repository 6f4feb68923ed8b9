//! The state after a restart, from the records. Attempts that were not over are believed to run on: the workers that
//! have their ranks are expected within the lease, and say on joining what became of them.

use std::collections::BTreeMap;

use spec::job::Device;
use spec::offer::Offer;
use spec::state::JobState;
use spec::{AttemptId, JobId};

use crate::attempt::{Attempt, AttemptRecord, AttemptState};
use crate::check;
use crate::config::Config;
use crate::decision::Outbox;
use crate::ending::SHORTEST_WAIT;
use crate::job::JobRecord;
use crate::state::State;
use crate::time::Time;
use crate::worker::{Link, Worker};

/// Rebuilds the state. Records that contradict each other (a damaged store) cost an attempt, never more.
pub(crate) fn restore(
    config: Config,
    now: Time,
    jobs: Vec<JobRecord>,
    attempts: Vec<AttemptRecord>,
    out: &mut Outbox,
) -> State {
    let mut state = State::new(config, now);
    state.jobs = jobs.into_iter().map(|job| (job.job, job)).collect();
    let records: BTreeMap<AttemptId, AttemptRecord> = attempts
        .into_iter()
        .map(|record| (record.attempt, record))
        .collect();
    let newest: BTreeMap<JobId, u32> = records
        .keys()
        .map(|attempt| (attempt.job, attempt.number))
        .collect();
    for mut record in records
        .into_values()
        .filter(|record| !record.state.is_over())
    {
        let job = state.jobs.get(&record.attempt.job);
        match job
            .filter(|job| check::agrees(&record, job).is_ok())
            .map(|job| job.request.device)
        {
            Some(device) => take_up(&mut state, record, device),
            None => {
                record.state = AttemptState::Failed;
                record.ended_at = Some(now);
                out.save_ended(record);
            }
        }
    }
    let ids: Vec<JobId> = state.jobs.keys().copied().collect();
    for id in ids {
        let Some(job) = state.jobs.get_mut(&id) else {
            continue;
        };
        let has_attempt = job
            .newest_attempt()
            .is_some_and(|attempt| state.attempts.contains_key(&attempt));
        if matches!(job.state, JobState::Starting | JobState::Running) && !has_attempt {
            job.state = JobState::Queued;
            job.reason = None;
            // Ranks of an attempt that is not believed may still live: its number is never dealt again.
            job.attempts = job.attempts.max(newest.get(&id).copied().unwrap_or(0));
            out.save_job(id);
        }
        if job.state == JobState::Queued {
            state.queue.insert(id);
        }
    }
    state.queue_is_stale = true;
    state
}

fn take_up(state: &mut State, record: AttemptRecord, device: Device) {
    let now = state.now;
    let share = record.share();
    for placement in record.live() {
        // What it offers beyond that it says when it joins.
        let nothing = Offer {
            device,
            device_class: String::new(),
            threads: 0,
            memory_bytes: 0,
        };
        let expected = || Worker::new(placement.worker_name.clone(), nothing, Link::Expected, now);
        let worker = state
            .workers
            .entry(placement.worker)
            .or_insert_with(expected);
        worker.offer.device_class.clone_from(&record.device_class);
        worker.give((record.attempt, placement.rank), share);
        worker.offer.threads = worker.taken.threads;
        worker.offer.memory_bytes = worker.taken.memory_bytes;
    }
    let stop_at = match record.state {
        AttemptState::Starting | AttemptState::Running => None,
        _ => Some(now.after(state.config.stop_timeout.max(SHORTEST_WAIT))),
    };
    let ready_by = now.after(state.config.ready_timeout.max(SHORTEST_WAIT));
    state.attempts.insert(
        record.attempt,
        Attempt {
            record,
            ready_by,
            stop_at,
        },
    );
}
