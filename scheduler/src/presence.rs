//! Workers come, are heard, fall silent and go.

use std::collections::BTreeMap;

use spec::WorkerId;
use spec::offer::Offer;

use crate::attempt::{AttemptState, Done, RankState};
use crate::cause::Evidence;
use crate::decision::{Outbox, Send};
use crate::ending::{self, SHORTEST_WAIT};
use crate::event::{RankInventory, RankStatus};
use crate::gang;
use crate::state::{self, State};
use crate::time::milliseconds;
use crate::worker::{Link, RankId, Worker};

/// A worker opened its stream. What it has is compared with what it was given, and what it missed is sent again.
pub(crate) fn joined(
    state: &mut State,
    out: &mut Outbox,
    id: WorkerId,
    name: String,
    offer: Offer,
    ranks: Vec<RankInventory>,
) {
    let now = state.now;
    let inventory: BTreeMap<RankId, RankStatus> = ranks
        .into_iter()
        .map(|item| ((item.attempt, item.rank), item.status))
        .collect();
    let known = state.workers.entry(id);
    let worker =
        known.or_insert_with(|| Worker::new(name.clone(), offer.clone(), Link::Connected, now));
    worker.renew(name, offer, now);
    worker.strangers = inventory
        .iter()
        .filter(|(rank, status)| {
            !worker.given.contains_key(rank) && !matches!(status, RankStatus::Exited(_))
        })
        .map(|(&rank, _)| rank)
        .collect();
    let given: Vec<RankId> = worker.given.keys().copied().collect();
    state.queue_is_stale = true;
    stop_strangers(state, out, id);

    // First what it missed, by the state as it was, then what we missed: that may change the state and send more.
    let (present, missing): (Vec<RankId>, Vec<RankId>) =
        given.iter().partition(|rank| inventory.contains_key(rank));
    for rank in present {
        if let Some(status) = inventory.get(&rank) {
            repeat(state, out, id, rank, status);
        }
    }
    for (attempt, rank) in missing {
        ending::lost(state, out, attempt, rank, Evidence::Missing);
    }
    for (rank, status) in inventory {
        if given.contains(&rank) {
            catch_up(state, out, rank, status);
        }
    }
}

/// Sends again what a rank that is still there has not got.
fn repeat(
    state: &State,
    out: &mut Outbox,
    worker: WorkerId,
    (attempt, rank): RankId,
    status: &RankStatus,
) {
    let Some(held) = state.attempts.get(&attempt) else {
        return;
    };
    let record = &held.record;
    match (record.state, status) {
        (_, RankStatus::Exited(_)) => {}
        _ if record.stopped_at.is_some() => out.send(Send::Stop {
            worker,
            attempt,
            rank,
        }),
        (AttemptState::Ending, _) => out.send(Send::End {
            worker,
            attempt,
            rank,
        }),
        (AttemptState::Running, RankStatus::Ready { .. }) => {
            if let Some(go) = record.go.clone() {
                out.send(Send::Go {
                    worker,
                    attempt,
                    rank,
                    go,
                });
            }
        }
        _ => {}
    }
}

/// Takes in what a rank did while its worker could not tell.
fn catch_up(state: &mut State, out: &mut Outbox, (attempt, rank): RankId, status: RankStatus) {
    match status {
        RankStatus::Starting => {
            // A gang that trains waits for a rank that does not know: its start was not the one that we remember.
            let Some(held) = state.attempts.get(&attempt) else {
                return;
            };
            let trains = held.record.state == AttemptState::Running
                && held
                    .record
                    .placement(rank)
                    .is_some_and(|placement| placement.state == RankState::Running);
            if trains {
                let cause = state::cause(&held.record, rank, Evidence::Missing);
                ending::fail(state, out, attempt, cause);
            }
        }
        RankStatus::Ready { address } => gang::ready(state, out, attempt, rank, address),
        RankStatus::Running => {}
        RankStatus::Done { step, state_digest } => {
            gang::done(state, out, attempt, rank, Done { step, state_digest })
        }
        RankStatus::Exited(exit) => ending::exited(state, out, attempt, rank, exit),
    }
}

/// Tells the ranks that nobody has on a worker to stop, and again each time `stop_timeout` passes.
pub(crate) fn stop_strangers(state: &mut State, out: &mut Outbox, id: WorkerId) {
    let Some(worker) = state.workers.get_mut(&id) else {
        return;
    };
    for &(attempt, rank) in &worker.strangers {
        out.send(Send::Stop {
            worker: id,
            attempt,
            rank,
        });
    }
    worker.stop_at = state
        .now
        .after(state.config.stop_timeout.max(SHORTEST_WAIT));
}

/// A worker is alive. One that was given up is used again once the ranks that it kept are gone.
pub(crate) fn heard(state: &mut State, out: &mut Outbox, id: WorkerId) {
    let now = state.now;
    let Some(worker) = state.workers.get_mut(&id) else {
        return;
    };
    match worker.link {
        Link::Connected => worker.heard_at = now,
        Link::Broken | Link::Silent => {
            worker.heard_at = now;
            worker.link = Link::Connected;
            state.queue_is_stale = true;
            stop_strangers(state, out, id);
        }
        // Only its inventory tells what it still has.
        Link::Expected => {}
    }
}

/// A worker's stream broke: its lease runs from when it was last heard.
pub(crate) fn stream_broke(state: &mut State, id: WorkerId) {
    let Some(worker) = state.workers.get_mut(&id) else {
        return;
    };
    match worker.link {
        Link::Connected => worker.link = Link::Broken,
        Link::Silent => {
            state.workers.remove(&id);
        }
        Link::Broken | Link::Expected => return,
    }
    state.queue_is_stale = true;
}

/// A worker said goodbye: its ranks have ended.
pub(crate) fn left(state: &mut State, out: &mut Outbox, id: WorkerId) {
    let Some(worker) = state.workers.remove(&id) else {
        return;
    };
    state.queue_is_stale = true;
    for &(attempt, rank) in worker.given.keys() {
        ending::lost(state, out, attempt, rank, Evidence::WorkerLeft);
    }
}

/// A worker's lease has run out.
pub(crate) fn lease_ended(state: &mut State, out: &mut Outbox, id: WorkerId) {
    let now = state.now;
    let Some(worker) = state.workers.get_mut(&id) else {
        return;
    };
    let silent_ms = milliseconds(now.since(worker.heard_at));
    let given: Vec<RankId> = worker.given.keys().copied().collect();
    if worker.link == Link::Connected {
        // Its stream is open: it may speak again without joining again, and still have its ranks.
        worker.link = Link::Silent;
        worker.strangers.extend(&given);
    } else {
        state.workers.remove(&id);
    }
    state.queue_is_stale = true;
    for (attempt, rank) in given {
        ending::lost(
            state,
            out,
            attempt,
            rank,
            Evidence::WorkerSilent { silent_ms },
        );
    }
}
