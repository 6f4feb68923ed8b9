//! The roster: which stream belongs to which worker, what it has acknowledged, and what is sent down it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proto::{Command, RankOrder};
use scheduler::{Link, Scheduler};
use spec::rates::Rates;
use spec::{AttemptId, Job, JobId, WorkerId};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tracing::warn;

use crate::error::Error;
use crate::ledger::{Ledger, SubmittedJob};

/// Where messages to a worker go. Bounded: a worker that does not read is dropped, not waited for.
pub(crate) type Outgoing = mpsc::Sender<Command>;

/// A worker as `worker list` shows it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WorkerView {
    pub id: WorkerId,
    pub name: String,
    pub connected: bool,
    pub device_class: String,
    pub threads: u32,
    pub free_threads: u32,
    pub memory_bytes: u64,
    pub free_memory_bytes: u64,
    pub ranks: Vec<(AttemptId, u32)>,
    /// How fast it is, once it has told.
    pub rates: Option<Arc<Rates>>,
}

/// One stream of one worker. What an older stream still brings is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat {
    pub worker: WorkerId,
    pub stream: u64,
}

/// All workers that have been heard of since the start.
#[derive(Default)]
pub(crate) struct Roster {
    streams: BTreeMap<WorkerId, Stream>,
    /// The jobs that may still be started, by id.
    jobs: BTreeMap<JobId, Job>,
    next_stream: u64,
    /// What workers have measured on themselves.
    rates: BTreeMap<WorkerId, Arc<Rates>>,
    /// The workers whose stream was given up here since the last look.
    dropped: Vec<WorkerId>,
}

struct Stream {
    number: u64,
    instance: String,
    /// `None` once the stream is closed.
    outgoing: Option<Outgoing>,
    /// The last report taken, and the last acknowledged.
    received: u64,
    acknowledged: u64,
}

impl Roster {
    /// Whether another process holds an open stream under this worker's name.
    pub fn is_taken(&self, worker: WorkerId, instance: &str) -> bool {
        let stream = self.streams.get(&worker);
        stream.is_some_and(|stream| {
            stream.instance != instance
                && stream
                    .outgoing
                    .as_ref()
                    .is_some_and(|outgoing| !outgoing.is_closed())
        })
    }

    /// Gives a worker a new stream; an older one of the same process is left behind.
    pub fn open(&mut self, worker: WorkerId, instance: &str, outgoing: Outgoing) -> Seat {
        self.next_stream += 1;
        let earlier = self
            .streams
            .remove(&worker)
            .filter(|stream| stream.instance == instance);
        let stream = Stream {
            number: self.next_stream,
            instance: instance.to_string(),
            outgoing: Some(outgoing),
            received: earlier.map_or(0, |stream| stream.received),
            acknowledged: 0,
        };
        self.streams.insert(worker, stream);
        Seat {
            worker,
            stream: self.next_stream,
        }
    }

    /// Whether this is the worker's open stream.
    pub fn is_current(&self, seat: Seat) -> bool {
        self.streams
            .get(&seat.worker)
            .is_some_and(|stream| stream.number == seat.stream && stream.outgoing.is_some())
    }

    /// The workers whose stream was given up because it takes no more messages: to the scheduler it broke.
    pub fn take_dropped(&mut self) -> Vec<WorkerId> {
        std::mem::take(&mut self.dropped)
    }

    pub fn close(&mut self, seat: Seat) {
        if let Some(stream) = self.streams.get_mut(&seat.worker) {
            stream.outgoing = None;
        }
    }

    /// Notes what a worker has measured on itself.
    pub fn measured(&mut self, seat: Seat, rates: Rates) {
        self.rates.insert(seat.worker, Arc::new(rates));
    }

    /// Notes a report's number, to be acknowledged once it is durable.
    pub fn receive(&mut self, seat: Seat, sequence: u64) {
        if let Some(stream) = self.streams.get_mut(&seat.worker) {
            stream.received = stream.received.max(sequence);
        }
    }

    /// Tells every worker how far its reports are durable.
    pub fn acknowledge(&mut self) {
        for (&worker, stream) in &mut self.streams {
            if stream.received > stream.acknowledged {
                stream.acknowledged = stream.received;
                let ack = Command::Ack {
                    sequence: stream.received,
                };
                put(&mut self.dropped, worker, stream, ack);
            }
        }
    }

    pub fn welcome(&mut self, seat: Seat, heartbeat: Duration) {
        let heartbeat_ms = heartbeat.as_millis() as u64;
        let welcome = Command::Welcome {
            worker: seat.worker.to_string(),
            heartbeat_ms,
        };
        if let Some(stream) = self.streams.get_mut(&seat.worker) {
            put(&mut self.dropped, seat.worker, stream, welcome);
        }
    }

    pub fn remember(&mut self, submitted: SubmittedJob) {
        self.jobs.insert(submitted.id, submitted.job);
    }

    pub fn forget(&mut self, job: JobId) {
        self.jobs.remove(&job);
    }

    /// Sends what the scheduler decided. A worker whose stream is closed hears it when it comes back and tells what it has.
    pub fn send(&mut self, ledger: &Ledger, send: scheduler::Send) -> Result<(), Error> {
        let (worker, attempt, rank, order) = match send {
            scheduler::Send::Start {
                worker,
                attempt,
                rank,
                resume,
            } => {
                let job = match self.jobs.get(&attempt.job) {
                    Some(job) => job.clone(),
                    None => {
                        let job = ledger.submitted(attempt.job)?.job;
                        self.jobs.entry(attempt.job).or_insert(job).clone()
                    }
                };
                (
                    worker,
                    attempt,
                    rank,
                    RankOrder::Start {
                        job: Box::new(job),
                        resume,
                    },
                )
            }
            scheduler::Send::Go {
                worker,
                attempt,
                rank,
                go,
            } => (worker, attempt, rank, RankOrder::Go(go)),
            scheduler::Send::End {
                worker,
                attempt,
                rank,
            } => (worker, attempt, rank, RankOrder::End),
            scheduler::Send::Stop {
                worker,
                attempt,
                rank,
            } => (worker, attempt, rank, RankOrder::Stop),
        };
        if let Some(stream) = self.streams.get_mut(&worker) {
            let command = Command::Rank {
                attempt,
                rank,
                order,
            };
            put(&mut self.dropped, worker, stream, command);
        }
        Ok(())
    }

    /// The workers as the scheduler has them.
    pub fn views(&self, scheduler: &Scheduler) -> Vec<WorkerView> {
        scheduler
            .workers()
            .map(|worker| WorkerView {
                id: worker.worker,
                name: worker.name.to_string(),
                connected: worker.link == Link::Connected,
                device_class: worker.offer.device_class.clone(),
                threads: worker.offer.threads,
                free_threads: worker.free_threads,
                memory_bytes: worker.offer.memory_bytes,
                free_memory_bytes: worker.free_memory_bytes,
                ranks: worker.ranks,
                rates: self.rates.get(&worker.worker).cloned(),
            })
            .collect()
    }
}

fn put(dropped: &mut Vec<WorkerId>, worker: WorkerId, stream: &mut Stream, command: Command) {
    let Some(outgoing) = &stream.outgoing else {
        return;
    };
    match outgoing.try_send(command) {
        Ok(()) => return,
        Err(TrySendError::Full(_)) => {
            warn!(%worker, "worker does not read its stream, dropping it")
        }
        Err(TrySendError::Closed(_)) => {
            warn!(%worker, "stream of worker broke, waiting for it to come back");
        }
    }
    stream.outgoing = None;
    dropped.push(worker);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_takes_no_more_messages_is_given_up_and_told_of() {
        let mut roster = Roster::default();
        let worker = WorkerId(1);
        let (outgoing, mut orders) = mpsc::channel(1);
        let seat = roster.open(worker, "first", outgoing);
        roster.welcome(seat, Duration::from_secs(1));
        assert!(roster.is_current(seat));
        roster.receive(seat, 7);
        roster.acknowledge();
        assert!(!roster.is_current(seat), "there was no room");
        assert_eq!(roster.take_dropped(), [worker]);
        assert_eq!(roster.take_dropped(), []);
        assert!(matches!(orders.try_recv(), Ok(Command::Welcome { .. })));
        assert!(orders.try_recv().is_err());
        assert!(!roster.is_taken(worker, "second"));

        // The next stream of the same process hears how far its reports have come.
        let (outgoing, mut orders) = mpsc::channel(1);
        let next = roster.open(worker, "first", outgoing);
        roster.acknowledge();
        assert_eq!(orders.try_recv(), Ok(Command::Ack { sequence: 7 }));
        assert!(roster.is_current(next) && !roster.is_current(seat));
        // Another process begins anew.
        assert!(roster.is_taken(worker, "second"));
        drop(orders);
        assert!(!roster.is_taken(worker, "second"));
        let (outgoing, mut orders) = mpsc::channel(1);
        roster.open(worker, "second", outgoing);
        roster.acknowledge();
        assert!(orders.try_recv().is_err());
    }
}
