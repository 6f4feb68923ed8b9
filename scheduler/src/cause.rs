//! Why an attempt failed: which rank, where, and what shows it. When several ranks of a gang fall, the strongest
//! evidence names the cause: the rank that was killed, not the neighbour that missed it a millisecond earlier.

use std::fmt;

use serde::{Deserialize, Serialize};
use spec::AttemptId;
use spec::rank::{Exit, Failure, FailureKind};

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The attempt that failed.
    pub attempt: AttemptId,
    /// The rank that failed.
    pub rank: u32,
    /// The name of the worker that the rank was on.
    pub worker: String,
    /// What shows it.
    pub evidence: Evidence,
}

/// What shows that a rank could not go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The rank said so.
    Reported {
        /// What it said.
        failure: Failure,
        /// How its process ended after that, once known.
        exit: Option<Exit>,
    },
    /// Its process ended without a word.
    Exited(Exit),
    /// Its worker was silent for longer than the lease.
    WorkerSilent {
        /// How long, in milliseconds.
        silent_ms: u64,
    },
    /// Its worker said goodbye and ended it.
    WorkerLeft,
    /// Its worker came back without it, or with a rank that knew nothing of the attempt's start.
    Missing,
    /// It was not ready in time.
    NotReady {
        /// How long it had, in milliseconds.
        waited_ms: u64,
    },
    /// All ranks were done, but not with the same state.
    DigestsDiffer {
        /// What each rank ended with, by rank.
        digests: Vec<RankDigest>,
    },
}

/// What a rank ended with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankDigest {
    /// The rank.
    pub rank: u32,
    /// Its last step.
    pub step: u64,
    /// The digest of all of its state.
    pub state_digest: String,
}

/// How much evidence says about the cause, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// A rank reports what may be the consequence of another's death.
    Passing,
    /// A process gave up without a report, or the scheduler's patience ended.
    GaveUp,
    /// A rank reports what no other attempt will do better.
    Lasting,
    /// A process or its machine was ended from outside.
    Death,
    /// The ranks contradict each other.
    Contradiction,
}

impl Evidence {
    pub(crate) fn weight(&self) -> Weight {
        match self {
            Evidence::Reported { failure, .. } => match failure.kind {
                FailureKind::Passing => Weight::Passing,
                FailureKind::Lasting => Weight::Lasting,
            },
            Evidence::Exited(exit) if exit.status.starts_with("signal") => Weight::Death,
            Evidence::Exited(_) | Evidence::NotReady { .. } => Weight::GaveUp,
            Evidence::WorkerSilent { .. } | Evidence::WorkerLeft | Evidence::Missing => {
                Weight::Death
            }
            Evidence::DigestsDiffer { .. } => Weight::Contradiction,
        }
    }
}

impl Cause {
    /// Whether another attempt may go better.
    pub fn kind(&self) -> FailureKind {
        match &self.evidence {
            Evidence::Reported { failure, .. } => failure.kind,
            Evidence::DigestsDiffer { .. } => FailureKind::Lasting,
            _ => FailureKind::Passing,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cause {
            attempt,
            rank,
            worker,
            evidence,
        } = self;
        match evidence {
            Evidence::DigestsDiffer { digests } => {
                write!(
                    f,
                    "determinism failure in {attempt}: the ranks ended with different states:"
                )?;
                for (
                    index,
                    RankDigest {
                        rank,
                        step,
                        state_digest,
                    },
                ) in digests.iter().enumerate()
                {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma} rank {rank} with {state_digest} at step {step}")?;
                }
                Ok(())
            }
            Evidence::Reported { failure, exit } => {
                write!(
                    f,
                    "{attempt} rank {rank} on {worker} failed: {}",
                    failure.message
                )?;
                let Some(exit) = exit else { return Ok(()) };
                write!(f, "; its process ended with {}", exit.status)?;
                match last_line(exit) {
                    // As a rule the log ends with what was reported.
                    Some(line) if !line.contains(&failure.message) => {
                        write!(f, "; last line: {line}")
                    }
                    Some(_) | None => Ok(()),
                }
            }
            Evidence::Exited(exit) => {
                write!(
                    f,
                    "{attempt} rank {rank} on {worker} ended with {}",
                    exit.status
                )?;
                match last_line(exit) {
                    Some(line) => write!(f, "; last line: {line}"),
                    None => Ok(()),
                }
            }
            Evidence::WorkerSilent { silent_ms } => {
                let seconds = *silent_ms as f64 / 1000.0;
                write!(
                    f,
                    "{attempt} rank {rank} was lost: its worker {worker} was silent for {seconds:.1} s"
                )
            }
            Evidence::WorkerLeft => write!(
                f,
                "{attempt} rank {rank} was lost: its worker {worker} was stopped"
            ),
            Evidence::Missing => write!(
                f,
                "{attempt} rank {rank} was lost: its worker {worker} came back without it"
            ),
            Evidence::NotReady { waited_ms } => {
                let seconds = *waited_ms as f64 / 1000.0;
                write!(
                    f,
                    "{attempt} rank {rank} on {worker} was not ready within {seconds:.1} s"
                )
            }
        }
    }
}

/// The last line that a process wrote that is not blank.
fn last_line(exit: &Exit) -> Option<&str> {
    let mut lines = exit.last_lines.iter().rev().map(|line| line.trim());
    lines.find(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::JobId;

    #[test]
    fn a_cause_is_one_line_with_rank_worker_status_and_last_line() {
        let exit = Exit {
            status: "signal 9 (SIGKILL)".to_string(),
            clean: false,
            last_lines: vec![
                "step 41".to_string(),
                "step 42".to_string(),
                " ".to_string(),
            ],
        };
        let attempt = AttemptId {
            job: JobId(7),
            number: 2,
        };
        let cause = Cause {
            attempt,
            rank: 1,
            worker: "alpha".to_string(),
            evidence: Evidence::Exited(exit),
        };
        assert_eq!(
            cause.to_string(),
            "job-7#2 rank 1 on alpha ended with signal 9 (SIGKILL); last line: step 42"
        );
    }

    #[test]
    fn what_was_reported_is_not_said_again_as_the_last_line() {
        let said = |last: &str| {
            let exit = Exit {
                status: "exit status 1".to_string(),
                clean: false,
                last_lines: vec![last.to_string()],
            };
            let failure = Failure {
                kind: FailureKind::Lasting,
                message: "chunk 0 is damaged".to_string(),
            };
            let attempt = AttemptId {
                job: JobId(7),
                number: 2,
            };
            Cause {
                attempt,
                rank: 1,
                worker: "alpha".to_string(),
                evidence: Evidence::Reported {
                    failure,
                    exit: Some(exit),
                },
            }
            .to_string()
        };
        let failed = "job-7#2 rank 1 on alpha failed: chunk 0 is damaged; its process ended with exit status 1";
        assert_eq!(said("ERROR rank failed chunk 0 is damaged"), failed);
        assert_eq!(said("step 42"), format!("{failed}; last line: step 42"));
    }

    #[test]
    fn death_outweighs_a_report_and_a_lasting_report_outweighs_a_passing_one() {
        assert!(
            Weight::Death > Weight::Lasting
                && Weight::Lasting > Weight::GaveUp
                && Weight::GaveUp > Weight::Passing
        );
    }
}
