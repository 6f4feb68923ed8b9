//! A scheduler in a yard: every step is checked, and every saved record goes through JSON into a store of its own.

use std::collections::BTreeMap;

use scheduler::{
    AttemptRecord, AttemptState, Config, Decision, Event, JobRecord, RankInventory, RankStatus,
    Save, Scheduler, Send, Time, WorkerView,
};
use spec::job::Device;
use spec::offer::{GangRequest, Offer};
use spec::rank::{Exit, Failure, FailureKind};
use spec::state::JobState;
use spec::{AttemptId, Digest, JobId, WorkerId};

pub const GIB: u64 = 1 << 30;

/// What the coordinator's store would hold.
#[derive(Debug, Clone, Default)]
pub struct Store {
    pub jobs: BTreeMap<JobId, JobRecord>,
    pub attempts: BTreeMap<AttemptId, AttemptRecord>,
    pub history: Vec<(JobId, String)>,
}

impl Store {
    /// Saves a decision and checks that it may be sent: what it says rests on what is now durable.
    pub fn keep(&mut self, decision: &Decision) {
        let mut seen = Vec::new();
        for save in &decision.save {
            match save {
                Save::Job(record) => {
                    assert!(
                        !seen.contains(&record.job.to_string()),
                        "{} is saved twice",
                        record.job
                    );
                    seen.push(record.job.to_string());
                    let kept = through_json(record);
                    self.jobs.insert(record.job, kept);
                }
                Save::Attempt(record) => {
                    assert!(
                        !seen.contains(&record.attempt.to_string()),
                        "{} is saved twice",
                        record.attempt
                    );
                    seen.push(record.attempt.to_string());
                    let kept = through_json(record);
                    self.attempts.insert(record.attempt, kept);
                }
                Save::History { job, what, .. } => {
                    assert_eq!(&through_json(what), what);
                    self.history.push((*job, what.to_string()));
                }
            }
        }
        for send in &decision.send {
            match send {
                Send::Start { attempt, .. } => assert!(
                    self.attempts.contains_key(attempt),
                    "{attempt} is not durable"
                ),
                Send::Go { attempt, go, .. } => {
                    assert_eq!(self.attempts[attempt].go.as_ref(), Some(go))
                }
                Send::End { attempt, .. } => {
                    assert_eq!(self.attempts[attempt].state, AttemptState::Ending)
                }
                Send::Stop {
                    worker,
                    attempt,
                    rank,
                } => {
                    let known = self.attempts.get(attempt);
                    // A rank that runs where no record has it is stopped whatever its attempt does.
                    let wanted = |record: &&AttemptRecord| {
                        record
                            .placement(*rank)
                            .is_some_and(|rank| rank.is_live() && rank.worker == *worker)
                    };
                    let kept = known
                        .filter(|record| !record.state.is_over())
                        .filter(wanted);
                    assert!(
                        kept.is_none_or(|record| record.stopped_at.is_some()),
                        "{attempt} is not durably stopped"
                    );
                }
            }
        }
    }

    pub fn restore(&self, config: Config, now: Time) -> (Scheduler, Decision) {
        Scheduler::restore(
            config,
            now,
            self.jobs.values().cloned().collect(),
            self.attempts.values().cloned().collect(),
        )
    }
}

fn through_json<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(
    record: &T,
) -> T {
    let text = serde_json::to_string(record).expect("a record has a JSON form");
    let back: T = serde_json::from_str(&text).expect("a record reads its own JSON form");
    assert_eq!(&back, record);
    back
}

/// A scheduler, a clock and a store.
pub struct Yard {
    pub config: Config,
    pub scheduler: Scheduler,
    pub now: Time,
    pub store: Store,
}

impl Yard {
    pub fn new() -> Yard {
        let config = Config::default();
        Yard {
            config,
            scheduler: Scheduler::new(config),
            now: Time(1_000_000),
            store: Store::default(),
        }
    }

    pub fn step(&mut self, event: Event) -> Vec<Send> {
        let decision = self.scheduler.step(self.now, event);
        self.scheduler.check().expect("the invariants hold");
        self.store.keep(&decision);
        decision.send
    }

    /// Lets time pass and ticks at every deadline on the way, with all connected workers beating each second.
    pub fn pass(&mut self, milliseconds: u64) -> Vec<Send> {
        self.pass_while(milliseconds, |_| true)
    }

    /// The same, but only these workers beat.
    pub fn pass_while(&mut self, milliseconds: u64, beats: impl Fn(WorkerId) -> bool) -> Vec<Send> {
        let end = Time(self.now.0 + milliseconds);
        let mut sent = Vec::new();
        while self.now < end {
            let beat = Time(self.now.0 + 1000);
            let deadline = self
                .scheduler
                .next_deadline()
                .unwrap_or(end)
                .max(Time(self.now.0 + 1));
            self.now = beat.min(deadline).min(end);
            let workers: Vec<WorkerId> = self.scheduler.workers().map(|view| view.worker).collect();
            for worker in workers.into_iter().filter(|&worker| beats(worker)) {
                sent.extend(self.step(Event::WorkerBeat { worker }));
            }
            if self
                .scheduler
                .next_deadline()
                .is_some_and(|deadline| deadline <= self.now)
            {
                sent.extend(self.step(Event::Tick));
                assert!(
                    self.scheduler
                        .next_deadline()
                        .is_none_or(|deadline| deadline > self.now)
                );
            }
        }
        sent
    }

    pub fn restart(&mut self) -> Decision {
        let (scheduler, decision) = self.store.restore(self.config, self.now);
        self.scheduler = scheduler;
        self.scheduler
            .check()
            .expect("the invariants hold after a restart");
        self.store.keep(&decision);
        decision
    }

    pub fn worker(&mut self, id: u64, threads: u32) -> Vec<Send> {
        self.joins(id, offer(threads), Vec::new())
    }

    pub fn joins(&mut self, id: u64, offer: Offer, ranks: Vec<RankInventory>) -> Vec<Send> {
        self.step(Event::WorkerJoined {
            worker: WorkerId(id),
            name: format!("w{id}"),
            offer,
            ranks,
        })
    }

    pub fn gone(&mut self, id: u64) -> Vec<Send> {
        self.step(Event::WorkerGone {
            worker: WorkerId(id),
        })
    }

    pub fn submit(&mut self, job: u64, ranks: u32, threads: u32) -> Vec<Send> {
        self.step(Event::Submitted {
            job: JobId(job),
            request: request(ranks, threads),
        })
    }

    pub fn cancel(&mut self, job: u64) -> Vec<Send> {
        self.step(Event::Cancelled { job: JobId(job) })
    }

    pub fn ready(&mut self, attempt: AttemptId, rank: u32) -> Vec<Send> {
        self.step(Event::RankReady {
            attempt,
            rank,
            address: address(rank),
        })
    }

    pub fn all_ready(&mut self, attempt: AttemptId) -> Vec<Send> {
        let ranks = self
            .scheduler
            .attempt(attempt)
            .expect("a living attempt")
            .placements
            .len() as u32;
        (0..ranks)
            .flat_map(|rank| self.ready(attempt, rank))
            .collect()
    }

    pub fn checkpoint(&mut self, attempt: AttemptId, step: u64) -> Vec<Send> {
        self.step(Event::CheckpointSaved {
            attempt,
            step,
            digest: digest(step),
        })
    }

    pub fn done(&mut self, attempt: AttemptId, rank: u32, state_digest: &str) -> Vec<Send> {
        self.step(Event::RankDone {
            attempt,
            rank,
            step: 100,
            state_digest: state_digest.to_string(),
        })
    }

    pub fn fails(
        &mut self,
        attempt: AttemptId,
        rank: u32,
        kind: FailureKind,
        message: &str,
    ) -> Vec<Send> {
        let failure = Failure {
            kind,
            message: message.to_string(),
        };
        self.step(Event::RankFailed {
            attempt,
            rank,
            failure,
        })
    }

    pub fn exits(&mut self, attempt: AttemptId, rank: u32, status: &str) -> Vec<Send> {
        self.step(Event::RankExited {
            attempt,
            rank,
            exit: exit(status),
        })
    }

    pub fn state(&self, job: u64) -> JobState {
        self.scheduler.job(JobId(job)).expect("a known job").state
    }

    pub fn reason(&self, job: u64) -> String {
        let reason = self
            .scheduler
            .job(JobId(job))
            .expect("a known job")
            .reason
            .as_ref();
        reason.map(ToString::to_string).unwrap_or_default()
    }

    /// The workers of an attempt, by rank.
    pub fn where_is(&self, attempt: AttemptId) -> Vec<u64> {
        let record = self.scheduler.attempt(attempt).expect("a living attempt");
        record
            .placements
            .iter()
            .map(|placement| placement.worker.0)
            .collect()
    }

    pub fn free_threads(&self, id: u64) -> u32 {
        self.view(id).expect("a known worker").free_threads
    }

    pub fn view(&self, id: u64) -> Option<WorkerView<'_>> {
        self.scheduler
            .workers()
            .find(|view| view.worker == WorkerId(id))
    }
}

pub fn offer(threads: u32) -> Offer {
    Offer {
        device: Device::Cpu,
        device_class: "cpu/a".to_string(),
        threads,
        memory_bytes: 16 * GIB,
    }
}

pub fn request(ranks: u32, threads: u32) -> GangRequest {
    GangRequest {
        device: Device::Cpu,
        ranks,
        threads,
        memory_bytes: GIB,
        device_class: None,
    }
}

pub fn attempt(job: u64, number: u32) -> AttemptId {
    AttemptId {
        job: JobId(job),
        number,
    }
}

pub fn digest(step: u64) -> Digest {
    Digest::of(&step.to_le_bytes())
}

pub fn address(rank: u32) -> String {
    format!("10.0.0.1:{}", 5000 + rank)
}

pub fn exit(status: &str) -> Exit {
    Exit {
        status: status.to_string(),
        clean: status == "exit status 0",
        last_lines: vec!["loss 0.5".to_string()],
    }
}

pub fn has(attempt: AttemptId, rank: u32, status: RankStatus) -> RankInventory {
    RankInventory {
        attempt,
        rank,
        status,
    }
}

/// What was sent, one word each: `start job-1#1.0 w1`.
pub fn words(sent: &[Send]) -> Vec<String> {
    let word = |send: &Send| match send {
        Send::Start {
            worker,
            attempt,
            rank,
            resume,
        } => match resume {
            None => format!("start {attempt}.{rank} w{}", worker.0),
            Some(digest) => format!(
                "start {attempt}.{rank} w{} from {}",
                worker.0,
                digest.short()
            ),
        },
        Send::Go {
            worker,
            attempt,
            rank,
            ..
        } => format!("go {attempt}.{rank} w{}", worker.0),
        Send::End {
            worker,
            attempt,
            rank,
        } => format!("end {attempt}.{rank} w{}", worker.0),
        Send::Stop {
            worker,
            attempt,
            rank,
        } => format!("stop {attempt}.{rank} w{}", worker.0),
    };
    sent.iter().map(word).collect()
}
