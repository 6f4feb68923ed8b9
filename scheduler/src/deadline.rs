//! What happens because time passes.

use spec::{AttemptId, WorkerId};

use crate::attempt::{AttemptState, Placement, RankState};
use crate::cause::Evidence;
use crate::decision::Outbox;
use crate::ending;
use crate::presence;
use crate::state::{self, State};
use crate::time::{Time, milliseconds};
use crate::worker::{Link, Worker};

/// When the next tick is due.
pub(crate) fn next(state: &State) -> Option<Time> {
    let leases = state
        .workers
        .values()
        .filter_map(|worker| lease_end(state, worker));
    let attempts = state
        .attempts
        .values()
        .filter_map(|attempt| attempt.deadline());
    let strangers = state.workers.values().filter_map(Worker::stop_strangers_at);
    leases
        .chain(attempts)
        .chain(strangers)
        .chain(state.wake_at)
        .min()
}

fn lease_end(state: &State, worker: &Worker) -> Option<Time> {
    let lease = state.config.lease.max(ending::SHORTEST_WAIT);
    (worker.link != Link::Silent).then(|| worker.heard_at.after(lease))
}

/// Acts on all deadlines that have passed.
pub(crate) fn tick(state: &mut State, out: &mut Outbox) {
    let now = state.now;
    let over = |worker: &Worker| lease_end(state, worker).is_some_and(|end| end <= now);
    let silent: Vec<WorkerId> = state
        .workers
        .iter()
        .filter(|(_, worker)| over(worker))
        .map(|(&worker, _)| worker)
        .collect();
    for worker in silent {
        presence::lease_ended(state, out, worker);
    }
    let again = |worker: &Worker| worker.stop_strangers_at().is_some_and(|end| end <= now);
    let with_strangers: Vec<WorkerId> = state
        .workers
        .iter()
        .filter(|(_, worker)| again(worker))
        .map(|(&worker, _)| worker)
        .collect();
    for worker in with_strangers {
        presence::stop_strangers(state, out, worker);
    }
    let due = |state: &State| -> Vec<AttemptId> {
        let late = state
            .attempts
            .iter()
            .filter(|(_, attempt)| attempt.deadline().is_some_and(|end| end <= now));
        late.map(|(&attempt, _)| attempt).collect()
    };
    for id in due(state) {
        let Some(attempt) = state.attempts.get(&id) else {
            continue;
        };
        if attempt.record.state == AttemptState::Starting {
            let waiting = |placement: &&Placement| placement.state == RankState::Starting;
            let rank = attempt
                .record
                .placements
                .iter()
                .find(waiting)
                .map_or(0, |placement| placement.rank);
            let waited_ms = milliseconds(now.since(attempt.record.placed_at));
            let cause = state::cause(&attempt.record, rank, Evidence::NotReady { waited_ms });
            ending::fail(state, out, id, cause);
        } else {
            ending::stop(state, out, id);
        }
    }
}
