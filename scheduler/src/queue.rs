//! The queue: first in, first out. The first job that only waits for what others use makes all behind it wait; a job
//! that is held back after a failure, or that the known workers could never hold, makes nobody wait.

use spec::JobId;

use crate::decision::Outbox;
use crate::gang;
use crate::place::{Verdict, place};
use crate::reason::Reason;
use crate::state::State;

/// Places what can be placed, if anything has changed, and says of the others why they wait.
pub(crate) fn run(state: &mut State, out: &mut Outbox) {
    let woken = state.wake_at.is_some_and(|wake| wake <= state.now);
    if !state.queue_is_stale && !woken {
        return;
    }
    state.queue_is_stale = false;
    state.wake_at = None;
    let jobs: Vec<JobId> = state.queue.iter().copied().collect();
    let mut first_waiting = None;
    for id in jobs {
        let Some(job) = state.jobs.get_mut(&id) else {
            continue;
        };
        if let Some(until) = job.held_until(state.now) {
            state.wake_at = Some(state.wake_at.map_or(until, |wake| wake.min(until)));
            continue;
        }
        job.not_before = None;
        let verdict = place(&job.request, job.device_class.as_deref(), &state.workers);
        match (verdict, first_waiting) {
            (Verdict::Never(reason), _) => job.reason = Some(reason),
            (_, Some(first)) => job.reason = Some(Reason::Behind { job: first }),
            (Verdict::Waits(reason), None) => {
                first_waiting = Some(id);
                job.reason = Some(reason);
            }
            (
                Verdict::Fits {
                    device_class,
                    workers,
                },
                None,
            ) => gang::place(state, out, id, device_class, &workers),
        }
    }
}
