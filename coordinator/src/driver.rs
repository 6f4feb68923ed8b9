//! The driver: one thread that owns the scheduler. Commands come in, are decided together, made durable in one batch,
//! and only then acted on (save before send). It holds the coordinator's only deadline loop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use proto::{RankReport, RankStatus};
use scheduler::{Decision, Event, Save, Scheduler, Time};
use spec::JobId;
use spec::offer::Offer;
use spec::rates::Rates;
use store::Batch;
use tokio::sync::{oneshot, watch};
use tracing::info;

use crate::admission::Admitted;
use crate::error::Error;
use crate::ledger::{Ledger, Occurrence, SubmittedJob};
use crate::roster::{Outgoing, Roster, Seat, WorkerView};

mod presence;
mod reports;

/// What the driver is asked or told.
pub(crate) enum Command {
    /// Accept a job.
    Submit {
        admitted: Box<Admitted>,
        reply: oneshot::Sender<Result<JobId, Error>>,
    },
    /// Cancel a job.
    Cancel {
        job: JobId,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    /// A worker opened its stream.
    Join {
        hello: Hello,
        outgoing: Outgoing,
        reply: oneshot::Sender<Result<Seat, Error>>,
    },
    /// A worker is alive.
    Beat(Seat),
    /// A worker's rank reports.
    Report(Seat, Box<RankReport>),
    /// A worker has measured how fast it is.
    Measured(Seat, Box<Rates>),
    /// A worker says goodbye.
    Leave(Seat),
    /// A worker's stream broke.
    Gone(Seat),
    /// The store can no longer be written: end, and say so.
    Fail(Error),
    /// End.
    Stop,
}

/// How a worker introduces itself.
pub(crate) struct Hello {
    pub name: String,
    pub instance: String,
    pub offer: Offer,
    pub ranks: Vec<RankStatus>,
}

/// The way to the driver. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Handle {
    commands: Sender<Command>,
    /// Counts the batches made durable.
    pub changes: watch::Receiver<u64>,
    /// The workers as they are.
    pub workers: watch::Receiver<Arc<Vec<WorkerView>>>,
}

impl Handle {
    /// Tells the driver something.
    ///
    /// # Errors
    /// The driver has ended.
    pub fn tell(&self, command: Command) -> Result<(), Error> {
        self.commands.send(command).map_err(|_| Error::Stopping)
    }

    /// Asks the driver something.
    ///
    /// # Errors
    /// What the driver answers, or that it has ended.
    pub async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Command,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.tell(command(reply))?;
        answer.await.map_err(|_| Error::Stopping)?
    }

    /// Resolves when the driver has ended.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut workers = self.workers.clone();
        async move { while workers.changed().await.is_ok() {} }
    }
}

/// The commands decided together at most.
const TOGETHER: usize = 1024;

struct Driver {
    ledger: Ledger,
    scheduler: Scheduler,
    roster: Roster,
    heartbeat: Duration,
    started: Instant,
    started_unix_ms: u64,
    next_job: JobId,
    next_occurrence: BTreeMap<JobId, u64>,
    /// The jobs that ended in this batch: what memory holds of them goes once that is durable.
    ended: Vec<JobId>,
    /// When a progress line of a job was last logged.
    last_progress: BTreeMap<JobId, Instant>,
    changes: watch::Sender<u64>,
    workers: watch::Sender<Arc<Vec<WorkerView>>>,
    /// Made durable before `replies` and `sends` go out.
    batch: Batch,
    sends: Vec<scheduler::Send>,
    replies: Vec<Box<dyn FnOnce() + std::marker::Send>>,
}

/// Starts the driver on its own thread, going on from what the ledger holds. The thread ends with `Command::Stop`, or
/// with an error when the store can no longer be written.
///
/// # Errors
/// A ledger that does not read.
pub(crate) fn start(
    ledger: Ledger,
    config: scheduler::Config,
    heartbeat: Duration,
) -> Result<(Handle, JoinHandle<Result<(), Error>>), Error> {
    let started_unix_ms = unix_ms();
    let states = ledger.states()?;
    let mut attempts = Vec::new();
    for state in states.iter().filter(|state| !state.state.is_final()) {
        attempts.extend(ledger.newest_attempt(state.job)?);
    }
    let (scheduler, decision) = Scheduler::restore(config, Time(started_unix_ms), states, attempts);
    let (commands, inbox) = channel();
    let (changes, changes_seen) = watch::channel(0);
    let (workers, workers_seen) = watch::channel(Arc::new(Vec::new()));
    let mut driver = Driver {
        next_job: ledger.next_job()?,
        ledger,
        scheduler,
        roster: Roster::default(),
        heartbeat,
        started: Instant::now(),
        started_unix_ms,
        next_occurrence: BTreeMap::new(),
        ended: Vec::new(),
        last_progress: BTreeMap::new(),
        changes,
        workers,
        batch: Batch::default(),
        sends: Vec::new(),
        replies: Vec::new(),
    };
    driver.note(decision)?;
    driver.finish()?;
    let thread = std::thread::Builder::new()
        .name("driver".to_string())
        .spawn(move || driver.run(&inbox))
        .expect("a thread can be started");
    Ok((
        Handle {
            commands,
            changes: changes_seen,
            workers: workers_seen,
        },
        thread,
    ))
}

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

impl Driver {
    fn run(&mut self, inbox: &Receiver<Command>) -> Result<(), Error> {
        loop {
            let wait = self
                .scheduler
                .next_deadline()
                .map(|deadline| deadline.0.saturating_sub(self.now().0));
            let first = match wait {
                Some(wait) => inbox.recv_timeout(Duration::from_millis(wait)),
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let first = match first {
                Ok(command) => Some(command),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            for command in first.into_iter().chain(inbox.try_iter().take(TOGETHER)) {
                match command {
                    Command::Stop => return self.finish(),
                    Command::Fail(error) => return Err(error),
                    command => self.take(command)?,
                }
            }
            self.step(Event::Tick)?;
            self.finish()?;
        }
    }

    fn now(&self) -> Time {
        Time(self.started_unix_ms + self.started.elapsed().as_millis() as u64)
    }

    fn step(&mut self, event: Event) -> Result<(), Error> {
        let decision = self.scheduler.step(self.now(), event);
        self.note(decision)
    }

    fn take(&mut self, command: Command) -> Result<(), Error> {
        match command {
            Command::Submit { admitted, reply } => {
                let job = self.submit(*admitted)?;
                self.replies
                    .push(Box::new(move || drop(reply.send(Ok(job)))));
            }
            Command::Cancel { job, reply } => {
                self.step(Event::Cancelled { job })?;
                self.replies
                    .push(Box::new(move || drop(reply.send(Ok(())))));
            }
            Command::Join {
                hello,
                outgoing,
                reply,
            } => {
                let seat = self.join(hello, outgoing)?;
                self.replies.push(Box::new(move || drop(reply.send(seat))));
            }
            Command::Beat(seat) => self.beat(seat)?,
            Command::Report(seat, report) => self.report(seat, *report)?,
            Command::Measured(seat, rates) if self.roster.is_current(seat) => {
                self.roster.measured(seat, *rates);
            }
            Command::Measured(..) => {}
            Command::Leave(seat) => self.leave(seat)?,
            Command::Gone(seat) => self.gone(seat)?,
            // The loop has seen to these.
            Command::Fail(_) | Command::Stop => {}
        }
        Ok(())
    }

    fn submit(&mut self, admitted: Admitted) -> Result<JobId, Error> {
        let id = self.next_job;
        self.next_job = JobId(id.0 + 1);
        let Admitted {
            job,
            steps,
            request,
            ..
        } = admitted;
        info!(job = %id, name = job.name, ranks = request.ranks, steps, "job accepted");
        let submitted = SubmittedJob {
            id,
            job,
            steps,
            submitted_unix_ms: unix_ms(),
        };
        Ledger::put_job(&mut self.batch, &submitted);
        self.roster.remember(submitted);
        self.step(Event::Submitted { job: id, request })?;
        Ok(id)
    }

    /// Takes a decision's saves into the batch and keeps its sends until the batch is durable.
    fn note(&mut self, decision: Decision) -> Result<(), Error> {
        for save in decision.save {
            match save {
                Save::Job(record) => {
                    if record.state.is_final() {
                        info!(job = %record.job, state = %record.state, reason = record.reason.as_ref().map(ToString::to_string), "job ended");
                        self.ended.push(record.job);
                        self.last_progress.remove(&record.job);
                    }
                    Ledger::put_state(&mut self.batch, &record);
                }
                Save::Attempt(record) => Ledger::put_attempt(&mut self.batch, &record),
                Save::History { job, at, what } => {
                    let occurrence = Occurrence {
                        unix_ms: at.0,
                        text: what.to_string(),
                    };
                    info!(%job, "{}", occurrence.text);
                    let number = match self.next_occurrence.get(&job) {
                        Some(&number) => number,
                        None => self.ledger.next_occurrence(job)?,
                    };
                    Ledger::put_occurrence(&mut self.batch, job, number, &occurrence);
                    self.next_occurrence.insert(job, number + 1);
                }
            }
        }
        self.sends.extend(decision.send);
        Ok(())
    }

    /// Makes the batch durable, then replies and sends.
    fn finish(&mut self) -> Result<(), Error> {
        let mut changed = false;
        loop {
            changed |= self.flush()?;
            for reply in self.replies.drain(..) {
                reply();
            }
            for job in self.ended.drain(..) {
                self.roster.forget(job);
                self.next_occurrence.remove(&job);
            }
            let sends = std::mem::take(&mut self.sends);
            for send in sends {
                self.roster.send(&self.ledger, send)?;
            }
            self.roster.acknowledge();
            let dropped = self.roster.take_dropped();
            if dropped.is_empty() {
                break;
            }
            for worker in dropped {
                self.step(Event::WorkerGone { worker })?;
            }
        }
        let views = self.roster.views(&self.scheduler);
        self.workers.send_if_modified(|seen| {
            let differs = **seen != views;
            if differs {
                *seen = Arc::new(views);
            }
            differs
        });
        if changed {
            self.changes.send_modify(|version| *version += 1);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<bool, Error> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(false);
        }
        self.ledger.commit(batch)?;
        Ok(true)
    }
}
