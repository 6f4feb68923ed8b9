//! A simulated yard: a coordinator with its store, and machines that answer what the scheduler sends. Virtual time, one
//! seed, every step checked.

use std::collections::{BTreeMap, VecDeque};

use scheduler::{Config, Decision, Event, Scheduler, Send, Time};
use spec::WorkerId;
use spec::random::{Purpose, Stream};
use spec::rank::{Failure, FailureKind};

use crate::agenda::{Agenda, RankId, Task};
use crate::machine::{Machine, Phase};
use crate::yard::{Store, address, digest, exit, offer};

/// Coordinator, store and machines.
pub struct World {
    scheduler: Scheduler,
    store: Store,
    now: u64,
    random: Stream,
    machines: BTreeMap<WorkerId, Machine>,
    agenda: Agenda,
    streams: u64,
    last: VecDeque<String>,
}

impl World {
    /// Three machines of 2, 3 and 4 threads.
    pub fn new(seed: u64) -> World {
        let mut world = World {
            scheduler: Scheduler::new(Config::default()),
            store: Store::default(),
            now: 1_000_000,
            random: Stream::new(seed, Purpose::RowOrder, 0),
            machines: BTreeMap::new(),
            agenda: Agenda::default(),
            streams: 0,
            last: VecDeque::new(),
        };
        for (id, threads) in [(1, 2), (2, 3), (3, 4)] {
            world.machines.insert(
                WorkerId(id),
                Machine {
                    threads,
                    ..Machine::default()
                },
            );
            world.plan(0, Task::Connect(WorkerId(id)));
        }
        world
    }

    /// Leaves the yard in peace until every job has ended, and checks that nothing is left over.
    pub fn settle(&mut self) {
        for _ in 0..240 {
            self.pass(15_000);
            if self.scheduler.jobs().all(|job| job.state.is_final()) {
                break;
            }
        }
        for job in self.scheduler.jobs() {
            let ended = job.state.is_final();
            assert!(ended, "{job:?} has not ended\n{}", self.tail());
        }
        self.pass(60_000);
        for (id, machine) in &self.machines {
            assert!(
                machine.processes.is_empty(),
                "{id} still has {:?}\n{}",
                machine.processes,
                self.tail()
            );
            let view = self.scheduler.workers().find(|view| view.worker == *id);
            assert_eq!(
                view.map(|view| view.free_threads),
                Some(machine.threads),
                "{id}\n{}",
                self.tail()
            );
        }
        assert!(self.scheduler.attempts().next().is_none());
    }

    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    pub fn now(&self) -> u64 {
        self.now
    }

    pub fn pass(&mut self, milliseconds: u64) {
        self.run_until(self.now + milliseconds);
    }

    /// The processes of all machines.
    pub fn processes(&self) -> impl Iterator<Item = (WorkerId, RankId)> + '_ {
        let of = |(&id, machine): (&WorkerId, &Machine)| {
            machine
                .processes
                .keys()
                .map(move |&rank| (id, rank))
                .collect::<Vec<_>>()
        };
        self.machines.iter().flat_map(of)
    }

    /// The coordinator is killed and started again on the same store.
    pub fn restart(&mut self) {
        let ids: Vec<WorkerId> = self.machines.keys().copied().collect();
        for &id in &ids {
            self.machine(id).stream = None;
            let wait = 1 + self.random.below(3_000);
            self.plan(wait, Task::Connect(id));
        }
        let (scheduler, decision) = self.store.restore(Config::default(), Time(self.now));
        self.scheduler = scheduler;
        self.follow(decision);
    }

    fn run_until(&mut self, end: u64) {
        loop {
            let next = self.agenda.next();
            let tick = self.scheduler.next_deadline().map(|deadline| deadline.0);
            match (next, tick) {
                (Some(at), tick) if at <= end && tick.is_none_or(|tick| at <= tick) => {
                    let task = self.agenda.take().expect("it was just looked at");
                    self.now = self.now.max(at);
                    self.perform(task);
                }
                (_, Some(tick)) if tick <= end => {
                    self.now = self.now.max(tick);
                    self.tell(Event::Tick);
                    let next = self.scheduler.next_deadline();
                    assert!(
                        next.is_none_or(|next| next.0 > self.now),
                        "a deadline is stuck\n{}",
                        self.tail()
                    );
                }
                _ => break,
            }
        }
        self.now = self.now.max(end);
    }

    fn perform(&mut self, task: Task) {
        match task {
            Task::Connect(id) => self.connect(id),
            Task::Beat(id, stream) => {
                let (hung_until, open) = (
                    self.machine(id).hung_until,
                    self.machine(id).stream == Some(stream),
                );
                if !open {
                    return;
                }
                if hung_until <= self.now {
                    self.tell(Event::WorkerBeat { worker: id });
                }
                self.plan(2_000, Task::Beat(id, stream));
            }
            Task::Report(id, stream, event) => {
                let now = self.now;
                let machine = self.machine(id);
                if machine.stream != Some(stream) {
                    machine.unsent.push(event);
                } else if machine.hung_until > now {
                    let wait = machine.hung_until - now;
                    self.plan(wait, Task::Report(id, stream, event));
                } else {
                    if self.random.below(10) == 0 {
                        self.tell(event.clone());
                    }
                    self.tell(event);
                }
            }
            Task::Message(id, stream, send) => {
                let now = self.now;
                let machine = self.machine(id);
                if machine.stream != Some(stream) {
                    return;
                }
                if machine.hung_until > now {
                    let wait = machine.hung_until - now;
                    self.plan(wait, Task::Message(id, stream, send));
                } else {
                    self.obey(id, send);
                }
            }
            Task::Prepared(id, rank) => {
                let Some(process) = self.machine(id).processes.get_mut(&rank) else {
                    return;
                };
                if process.phase == Phase::Starting {
                    process.phase = Phase::Ready;
                    self.report(
                        id,
                        Event::RankReady {
                            attempt: rank.0,
                            rank: rank.1,
                            address: address(rank.1),
                        },
                    );
                }
            }
            Task::Trained(id, rank) => self.trained(id, rank),
            Task::Exits(id, rank, status) => {
                if self.machine(id).processes.remove(&rank).is_some() {
                    self.report(
                        id,
                        Event::RankExited {
                            attempt: rank.0,
                            rank: rank.1,
                            exit: exit(status),
                        },
                    );
                }
            }
        }
    }

    fn connect(&mut self, id: WorkerId) {
        let (now, hung_until) = (self.now, self.machine(id).hung_until);
        if hung_until > now {
            self.plan(hung_until - now, Task::Connect(id));
            return;
        }
        if self.machine(id).stream.is_some() {
            return;
        }
        self.streams += 1;
        let stream = self.streams;
        let machine = self.machine(id);
        machine.stream = Some(stream);
        let ranks = machine.inventory();
        let (threads, unsent) = (machine.threads, std::mem::take(&mut machine.unsent));
        self.tell(Event::WorkerJoined {
            worker: id,
            name: format!("w{}", id.0),
            offer: offer(threads),
            ranks,
        });
        for event in unsent {
            self.plan(1, Task::Report(id, stream, event));
        }
        self.plan(2_000, Task::Beat(id, stream));
    }

    /// A worker does what it is told.
    fn obey(&mut self, id: WorkerId, send: Send) {
        let (Send::Start { attempt, .. }
        | Send::Go { attempt, .. }
        | Send::End { attempt, .. }
        | Send::Stop { attempt, .. }) = send;
        let threads = self
            .scheduler
            .job(attempt.job)
            .map_or(0, |job| job.request.threads);
        let machine = self
            .machines
            .get_mut(&id)
            .expect("one of the three machines");
        let next = machine.obey(id, &send, threads, &mut self.random);
        let (used, has) = (machine.used(), machine.threads);
        assert!(
            used <= has,
            "{id} has {has} threads and runs {used}\n{}",
            self.tail()
        );
        if let Some((wait, task)) = next {
            self.plan(wait, task);
        }
    }

    /// A rank comes to the end of its work, if its peers are with it.
    fn trained(&mut self, id: WorkerId, (attempt, rank): RankId) {
        let request = self
            .scheduler
            .job(attempt.job)
            .expect("a known job")
            .request
            .clone();
        let phases: Vec<Phase> = self
            .machines
            .values()
            .flat_map(|machine| &machine.processes)
            .filter(|((other, _), _)| *other == attempt)
            .map(|(_, process)| process.phase.clone())
            .collect();
        let met = phases
            .iter()
            .filter(|phase| matches!(phase, Phase::Running | Phase::Done))
            .count();
        let alive = phases.len() == request.ranks as usize;
        let Some(process) = self.machine(id).processes.get_mut(&(attempt, rank)) else {
            return;
        };
        if process.phase != Phase::Running {
            return;
        }
        process.tries += 1;
        if met == request.ranks as usize {
            process.phase = Phase::Done;
            if rank == 0 {
                let step = u64::from(attempt.number) * 100;
                self.report(
                    id,
                    Event::CheckpointSaved {
                        attempt,
                        step,
                        digest: digest(step),
                    },
                );
            }
            self.report(
                id,
                Event::RankDone {
                    attempt,
                    rank,
                    step: 100,
                    state_digest: "d".to_string(),
                },
            );
        } else if alive && process.tries < 40 {
            self.plan(500, Task::Trained(id, (attempt, rank)));
        } else {
            process.phase = Phase::Exiting;
            let failure = Failure {
                kind: FailureKind::Passing,
                message: "lost a peer".to_string(),
            };
            self.report(
                id,
                Event::RankFailed {
                    attempt,
                    rank,
                    failure,
                },
            );
            self.plan(5, Task::Exits(id, (attempt, rank), "exit status 1"));
        }
    }

    pub fn report(&mut self, id: WorkerId, event: Event) {
        match self.machine(id).stream {
            Some(stream) => self.plan(1, Task::Report(id, stream, event)),
            None => self.machine(id).unsent.push(event),
        }
    }

    pub fn tell(&mut self, event: Event) {
        if !matches!(event, Event::WorkerBeat { .. }) {
            self.note(format!("{event:?}"));
        }
        let decision = self.scheduler.step(Time(self.now), event);
        if let Err(violation) = self.scheduler.check() {
            panic!("{violation}\n{}", self.tail());
        }
        self.follow(decision);
    }

    fn follow(&mut self, decision: Decision) {
        self.store.keep(&decision);
        for send in decision.send {
            self.note(format!("  {send:?}"));
            let (Send::Start { worker, .. }
            | Send::Go { worker, .. }
            | Send::End { worker, .. }
            | Send::Stop { worker, .. }) = send;
            if let Some(stream) = self.machine(worker).stream {
                self.plan(1, Task::Message(worker, stream, send));
            }
        }
    }

    pub fn machine(&mut self, id: WorkerId) -> &mut Machine {
        self.machines
            .get_mut(&id)
            .expect("one of the three machines")
    }

    pub fn plan(&mut self, wait: u64, task: Task) {
        self.agenda.add(self.now + wait, task);
    }

    pub fn note(&mut self, what: String) {
        if self.last.len() == 60 {
            self.last.pop_front();
        }
        self.last.push_back(format!("{:>9} {what}", self.now));
    }

    /// The last events, for a failure's message.
    fn tail(&self) -> String {
        self.last.iter().map(|line| format!("{line}\n")).collect()
    }
}
