//! The scheduler: events in, decisions out.

use spec::offer::GangRequest;
use spec::state::JobState;
use spec::{AttemptId, JobId, WorkerId};

use crate::attempt::{AttemptRecord, Done, Placement, RankState};
use crate::check::{self, Violation};
use crate::config::Config;
use crate::deadline;
use crate::decision::{Decision, Outbox};
use crate::ending;
use crate::event::Event;
use crate::gang;
use crate::history::Happening;
use crate::job::JobRecord;
use crate::presence;
use crate::queue;
use crate::reason::Reason;
use crate::restore;
use crate::state::State;
use crate::time::Time;
use crate::worker::WorkerView;

/// Decides which gang runs where. The same events at the same times give the same decisions.
#[derive(Debug, Clone)]
pub struct Scheduler {
    state: State,
}

impl Scheduler {
    /// A scheduler that knows no job and no worker.
    pub fn new(config: Config) -> Scheduler {
        Scheduler {
            state: State::new(config, Time::default()),
        }
    }

    /// A scheduler that goes on from saved records. Attempts that were not over are taken to run on: their workers
    /// are to join within the lease and say what they have. Records of attempts that are over may be left out.
    pub fn restore(
        config: Config,
        now: Time,
        jobs: Vec<JobRecord>,
        attempts: Vec<AttemptRecord>,
    ) -> (Scheduler, Decision) {
        let mut out = Outbox::default();
        let mut state = restore::restore(config, now, jobs, attempts, &mut out);
        queue::run(&mut state, &mut out);
        let decision = out.into_decision(&state);
        (Scheduler { state }, decision)
    }

    /// Takes in an event. A `now` before an earlier one counts as that earlier one.
    pub fn step(&mut self, now: Time, event: Event) -> Decision {
        let state = &mut self.state;
        state.now = state.now.max(now);
        let mut out = Outbox::default();
        let speaker = speaker(state, &event);
        take_in(state, &mut out, event);
        if let Some(worker) = speaker {
            presence::heard(state, &mut out, worker);
        }
        queue::run(state, &mut out);
        out.into_decision(state)
    }

    /// When [`Event::Tick`] is to come next. After a tick this lies in its future.
    pub fn next_deadline(&self) -> Option<Time> {
        deadline::next(&self.state)
    }

    /// A job, ended or not.
    pub fn job(&self, job: JobId) -> Option<&JobRecord> {
        self.state.jobs.get(&job)
    }

    /// All jobs, in the order of submission.
    pub fn jobs(&self) -> impl Iterator<Item = &JobRecord> + '_ {
        self.state.jobs.values()
    }

    /// An attempt that is not over.
    pub fn attempt(&self, attempt: AttemptId) -> Option<&AttemptRecord> {
        self.state.attempts.get(&attempt).map(|held| &held.record)
    }

    /// The attempts that are not over: at most one a job.
    pub fn attempts(&self) -> impl Iterator<Item = &AttemptRecord> + '_ {
        self.state.attempts.values().map(|held| &held.record)
    }

    /// How many ranks of a job were told to train and are not gone.
    pub fn running_ranks(&self, job: JobId) -> u32 {
        let newest = self.job(job).and_then(JobRecord::newest_attempt);
        let placements = newest
            .and_then(|attempt| self.attempt(attempt))
            .map(|record| record.placements.as_slice());
        let running = |placement: &&Placement| placement.state == RankState::Running;
        placements
            .unwrap_or_default()
            .iter()
            .filter(running)
            .map(|_| 1)
            .sum()
    }

    /// The workers that are not lost, and those that fell silent with their stream open.
    pub fn workers(&self) -> impl Iterator<Item = WorkerView<'_>> + '_ {
        self.state
            .workers
            .iter()
            .map(|(&id, worker)| worker.view(id))
    }

    /// Checks the invariants over all cross-references.
    ///
    /// # Errors
    /// The first that does not hold: a fault in the scheduler itself, whatever the events were.
    pub fn check(&self) -> Result<(), Violation> {
        check::check(&self.state)
    }
}

/// The worker that an event shows to be alive, before the event changes where its rank is.
fn speaker(state: &State, event: &Event) -> Option<WorkerId> {
    match *event {
        Event::WorkerBeat { worker } => Some(worker),
        Event::RankReady { attempt, rank, .. }
        | Event::RankDone { attempt, rank, .. }
        | Event::RankFailed { attempt, rank, .. }
        | Event::RankExited { attempt, rank, .. } => state.worker_of(attempt, rank),
        _ => None,
    }
}

fn take_in(state: &mut State, out: &mut Outbox, event: Event) {
    match event {
        Event::Tick => deadline::tick(state, out),
        Event::Submitted { job, request } => submitted(state, out, job, request),
        Event::Cancelled { job } => ending::cancel(state, out, job),
        Event::WorkerJoined {
            worker,
            name,
            offer,
            ranks,
        } => {
            presence::joined(state, out, worker, name, offer, ranks);
        }
        Event::WorkerBeat { .. } => {}
        Event::WorkerGone { worker } => presence::stream_broke(state, worker),
        Event::WorkerLeft { worker } => presence::left(state, out, worker),
        Event::RankReady {
            attempt,
            rank,
            address,
        } => gang::ready(state, out, attempt, rank, address),
        Event::CheckpointSaved {
            attempt,
            step,
            digest,
        } => gang::checkpoint_saved(state, out, attempt, step, digest),
        Event::RankDone {
            attempt,
            rank,
            step,
            state_digest,
        } => {
            gang::done(state, out, attempt, rank, Done { step, state_digest });
        }
        Event::RankFailed {
            attempt,
            rank,
            failure,
        } => ending::reported(state, out, attempt, rank, failure),
        Event::RankExited {
            attempt,
            rank,
            exit,
        } => ending::exited(state, out, attempt, rank, exit),
    }
}

fn submitted(state: &mut State, out: &mut Outbox, job: JobId, request: GangRequest) {
    if state.jobs.contains_key(&job) {
        return;
    }
    let now = state.now;
    let mut record = JobRecord::new(job, request, now);
    out.happened(job, now, Happening::Submitted);
    if record.request.ranks == 0 {
        record.finish(JobState::Failed, Some(Reason::EmptyGang), now);
        out.happened(job, now, Happening::Failed);
    } else {
        state.queue.insert(job);
        state.queue_is_stale = true;
    }
    state.jobs.insert(job, record);
    out.save_job(job);
}
