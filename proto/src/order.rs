//! What the coordinator tells a worker.

use spec::rank::Go;
use spec::{AttemptId, Digest, Job};

use crate::document::decode_job;
use crate::error::Error;
use crate::v1;
use crate::v1::coordinator_message::Message;

/// One message from the coordinator to a worker.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// The worker is known by this id and is to send a heartbeat this often.
    Welcome {
        /// `worker-3`.
        worker: String,
        /// Milliseconds between heartbeats.
        heartbeat_ms: u64,
    },
    /// All reports up to this sequence number are durable.
    Ack {
        /// The last durable report.
        sequence: u64,
    },
    /// An order to one rank.
    Rank {
        /// The rank's attempt.
        attempt: AttemptId,
        /// The rank.
        rank: u32,
        /// What it is to do.
        order: RankOrder,
    },
}

/// What one rank is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum RankOrder {
    /// Start the process and give it the job.
    Start {
        /// The canonical job.
        job: Box<Job>,
        /// The checkpoint to go on from.
        resume: Option<Digest>,
    },
    /// Meet the others and train.
    Go(Go),
    /// Exit: everything is durable.
    End,
    /// Be killed.
    Stop,
}

impl From<Command> for v1::CoordinatorMessage {
    fn from(command: Command) -> Self {
        let message = match command {
            Command::Welcome {
                worker,
                heartbeat_ms,
            } => Message::Welcome(v1::Welcome {
                worker,
                heartbeat_ms,
            }),
            Command::Ack { sequence } => Message::Ack(v1::Ack { sequence }),
            Command::Rank {
                attempt,
                rank,
                order,
            } => {
                let attempt = attempt.to_string();
                match order {
                    RankOrder::Start { job, resume } => Message::Start(v1::StartRank {
                        attempt,
                        rank,
                        job_toml: spec::job_file::render(&job),
                        resume: resume.map(|digest| digest.to_string()).unwrap_or_default(),
                    }),
                    RankOrder::Go(Go {
                        generation,
                        addresses,
                    }) => Message::Go(v1::Go {
                        attempt,
                        rank,
                        generation,
                        addresses,
                    }),
                    RankOrder::End => Message::End(v1::EndRank { attempt, rank }),
                    RankOrder::Stop => Message::Stop(v1::StopRank { attempt, rank }),
                }
            }
        };
        v1::CoordinatorMessage {
            message: Some(message),
        }
    }
}

impl TryFrom<v1::CoordinatorMessage> for Command {
    type Error = Error;

    fn try_from(message: v1::CoordinatorMessage) -> Result<Self, Error> {
        let rank = |attempt: &str, rank: u32, order| {
            let attempt = attempt
                .parse()
                .map_err(|error| Error::unreadable("attempt", error))?;
            Ok(Command::Rank {
                attempt,
                rank,
                order,
            })
        };
        match message.message.ok_or(Error::Missing {
            message: "CoordinatorMessage",
            field: "message",
        })? {
            Message::Welcome(v1::Welcome {
                worker,
                heartbeat_ms,
            }) => Ok(Command::Welcome {
                worker,
                heartbeat_ms,
            }),
            Message::Ack(v1::Ack { sequence }) => Ok(Command::Ack { sequence }),
            Message::Start(start) => {
                let resume = match start.resume.as_str() {
                    "" => None,
                    text => Some(
                        text.parse()
                            .map_err(|error| Error::unreadable("resume", error))?,
                    ),
                };
                let job = Box::new(decode_job(&start.job_toml)?);
                rank(&start.attempt, start.rank, RankOrder::Start { job, resume })
            }
            Message::Go(go) => {
                let order = RankOrder::Go(Go {
                    generation: go.generation,
                    addresses: go.addresses,
                });
                rank(&go.attempt, go.rank, order)
            }
            Message::End(end) => rank(&end.attempt, end.rank, RankOrder::End),
            Message::Stop(stop) => rank(&stop.attempt, stop.rank, RankOrder::Stop),
        }
    }
}
