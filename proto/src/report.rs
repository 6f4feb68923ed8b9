//! What a worker tells the coordinator about its ranks.

use spec::AttemptId;
use spec::rank::{Exit, Failure, FailureKind, Progress, Report};

use crate::error::Error;
use crate::v1;
use crate::v1::rank_report::Report as Wire;
use crate::v1::rank_status::Status;

/// A numbered report of one rank.
#[derive(Debug, Clone, PartialEq)]
pub struct RankReport {
    /// Counts the reports of this worker process, from 1.
    pub sequence: u64,
    /// The rank's attempt.
    pub attempt: AttemptId,
    /// The rank.
    pub rank: u32,
    /// What it reports.
    pub report: Report,
}

/// A rank that a worker has, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RankStatus {
    /// The rank's attempt.
    pub attempt: AttemptId,
    /// The rank.
    pub rank: u32,
    /// How far it has come.
    pub progress: Progress,
}

impl From<RankReport> for v1::RankReport {
    fn from(report: RankReport) -> Self {
        let RankReport {
            sequence,
            attempt,
            rank,
            report,
        } = report;
        let report = match report {
            Report::Ready { address } => Wire::Ready(v1::Ready { address }),
            Report::Row(row) => Wire::Row((*row).into()),
            Report::Checkpoint { step, digest } => Wire::Checkpoint(v1::CheckpointSaved {
                step,
                digest: digest.to_string(),
            }),
            Report::Done { step, state_digest } => Wire::Done(v1::Done { step, state_digest }),
            Report::Failed(Failure { kind, message }) => Wire::Failed(v1::Failure {
                passing: kind == FailureKind::Passing,
                message,
            }),
            Report::Exited(Exit {
                status,
                clean,
                last_lines,
            }) => Wire::Exited(v1::Exit {
                status,
                clean,
                last_lines,
            }),
        };
        v1::RankReport {
            sequence,
            attempt: attempt.to_string(),
            rank,
            report: Some(report),
        }
    }
}

impl TryFrom<v1::RankReport> for RankReport {
    type Error = Error;

    fn try_from(message: v1::RankReport) -> Result<Self, Error> {
        let report = match message.report.ok_or(Error::Missing {
            message: "RankReport",
            field: "report",
        })? {
            Wire::Ready(v1::Ready { address }) => Report::Ready { address },
            Wire::Row(row) => Report::Row(Box::new(row.try_into()?)),
            Wire::Checkpoint(v1::CheckpointSaved { step, digest }) => Report::Checkpoint {
                step,
                digest: digest
                    .parse()
                    .map_err(|error| Error::unreadable("checkpoint.digest", error))?,
            },
            Wire::Done(v1::Done { step, state_digest }) => Report::Done { step, state_digest },
            Wire::Failed(v1::Failure { passing, message }) => {
                let kind = if passing {
                    FailureKind::Passing
                } else {
                    FailureKind::Lasting
                };
                Report::Failed(Failure { kind, message })
            }
            Wire::Exited(v1::Exit {
                status,
                clean,
                last_lines,
            }) => Report::Exited(Exit {
                status,
                clean,
                last_lines,
            }),
        };
        let attempt = message
            .attempt
            .parse()
            .map_err(|error| Error::unreadable("attempt", error))?;
        Ok(RankReport {
            sequence: message.sequence,
            attempt,
            rank: message.rank,
            report,
        })
    }
}

impl From<RankStatus> for v1::RankStatus {
    fn from(status: RankStatus) -> Self {
        let RankStatus {
            attempt,
            rank,
            progress,
        } = status;
        let status = match progress {
            Progress::Starting => Status::Starting(v1::Starting {}),
            Progress::Ready { address } => Status::Ready(v1::Ready { address }),
            Progress::Running => Status::Running(v1::Running {}),
            Progress::Done { step, state_digest } => Status::Done(v1::Done { step, state_digest }),
        };
        v1::RankStatus {
            attempt: attempt.to_string(),
            rank,
            status: Some(status),
        }
    }
}

impl TryFrom<v1::RankStatus> for RankStatus {
    type Error = Error;

    fn try_from(message: v1::RankStatus) -> Result<Self, Error> {
        let progress = match message.status.ok_or(Error::Missing {
            message: "RankStatus",
            field: "status",
        })? {
            Status::Starting(v1::Starting {}) => Progress::Starting,
            Status::Ready(v1::Ready { address }) => Progress::Ready { address },
            Status::Running(v1::Running {}) => Progress::Running,
            Status::Done(v1::Done { step, state_digest }) => Progress::Done { step, state_digest },
        };
        let attempt = message
            .attempt
            .parse()
            .map_err(|error| Error::unreadable("attempt", error))?;
        Ok(RankStatus {
            attempt,
            rank: message.rank,
            progress,
        })
    }
}
