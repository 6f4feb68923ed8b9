//! A machine of the simulated yard: a worker and the processes that it has started.

use std::collections::BTreeMap;

use scheduler::{Event, RankInventory, RankStatus, Send};
use spec::WorkerId;
use spec::random::Stream;

use crate::agenda::{RankId, Task};
use crate::yard::address;

#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    Starting,
    Ready,
    Running,
    Done,
    Exiting,
}

#[derive(Debug)]
pub struct Process {
    pub phase: Phase,
    pub threads: u32,
    pub tries: u32,
}

#[derive(Debug, Default)]
pub struct Machine {
    pub threads: u32,
    /// The number of the open stream.
    pub stream: Option<u64>,
    pub processes: BTreeMap<RankId, Process>,
    /// Reports that no stream has carried to its end.
    pub unsent: Vec<Event>,
    pub hung_until: u64,
}

impl Machine {
    /// All processes end without a word.
    pub fn lose_everything(&mut self) {
        self.processes.clear();
        self.unsent.clear();
    }

    /// What it says on opening a stream.
    pub fn inventory(&self) -> Vec<RankInventory> {
        let status = |(rank, process): (&RankId, &Process)| match process.phase {
            Phase::Starting => RankStatus::Starting,
            Phase::Ready => RankStatus::Ready {
                address: address(rank.1),
            },
            Phase::Running | Phase::Exiting => RankStatus::Running,
            Phase::Done => RankStatus::Done {
                step: 100,
                state_digest: "d".to_string(),
            },
        };
        let living = self.processes.iter().map(|entry| RankInventory {
            attempt: entry.0.0,
            rank: entry.0.1,
            status: status(entry),
        });
        let exited = self.unsent.iter().filter_map(|event| match event {
            Event::RankExited {
                attempt,
                rank,
                exit,
            } => {
                let status = RankStatus::Exited(exit.clone());
                Some(RankInventory {
                    attempt: *attempt,
                    rank: *rank,
                    status,
                })
            }
            _ => None,
        });
        living.chain(exited).collect()
    }

    /// Does what it is told; a rank that starts has so many threads. What follows, and after how long.
    pub fn obey(
        &mut self,
        id: WorkerId,
        send: &Send,
        threads: u32,
        random: &mut Stream,
    ) -> Option<(u64, Task)> {
        let (Send::Start { attempt, rank, .. }
        | Send::Go { attempt, rank, .. }
        | Send::End { attempt, rank, .. }
        | Send::Stop { attempt, rank, .. }) = *send;
        let rank = (attempt, rank);
        if let Send::Start { .. } = send {
            let process = Process {
                phase: Phase::Starting,
                threads,
                tries: 0,
            };
            self.processes.entry(rank).or_insert(process);
            return Some((1 + random.below(500), Task::Prepared(id, rank)));
        }
        let process = self.processes.get_mut(&rank)?;
        match send {
            Send::Start { .. } => None,
            Send::Go { .. } => {
                if process.phase != Phase::Ready {
                    return None;
                }
                process.phase = Phase::Running;
                Some((1 + random.below(4_000), Task::Trained(id, rank)))
            }
            Send::End { .. } => {
                assert_eq!(
                    process.phase,
                    Phase::Done,
                    "only a done rank is told to end"
                );
                Some((1 + random.below(50), Task::Exits(id, rank, "exit status 0")))
            }
            Send::Stop { .. } => {
                process.phase = Phase::Exiting;
                Some((
                    1 + random.below(300),
                    Task::Exits(id, rank, "signal 15 (SIGTERM)"),
                ))
            }
        }
    }

    /// Threads that run now, wanted or not.
    pub fn used(&self) -> u32 {
        self.processes.values().map(|process| process.threads).sum()
    }
}
