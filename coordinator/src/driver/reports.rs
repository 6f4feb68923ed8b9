//! What ranks report. Rows go to the ledger and never enter the scheduler; all else becomes an event.

use proto::RankReport;
use scheduler::Event;
use spec::rank::{Failure, FailureKind, Report};
use spec::{AttemptId, MetricRow};
use tracing::{info, warn};

use super::Driver;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::roster::Seat;

impl Driver {
    pub(super) fn report(&mut self, seat: Seat, report: RankReport) -> Result<(), Error> {
        if !self.roster.receive(seat, report.sequence) {
            return Ok(());
        }
        let RankReport {
            attempt,
            rank,
            report,
            ..
        } = report;
        let event = match report {
            Report::Row(row) => return self.row(attempt, rank, *row),
            Report::Ready { address } => Event::RankReady {
                attempt,
                rank,
                address,
            },
            Report::Checkpoint { step, digest } => {
                info!(job = %attempt.job, %attempt, step, %digest, "checkpoint saved");
                Event::CheckpointSaved {
                    attempt,
                    step,
                    digest,
                }
            }
            Report::Done { step, state_digest } => Event::RankDone {
                attempt,
                rank,
                step,
                state_digest,
            },
            Report::Failed(failure) => {
                warn!(job = %attempt.job, %attempt, rank, message = failure.message, "rank failed");
                Event::RankFailed {
                    attempt,
                    rank,
                    failure,
                }
            }
            Report::Exited(exit) => {
                info!(job = %attempt.job, %attempt, rank, status = exit.status, "rank ended");
                Event::RankExited {
                    attempt,
                    rank,
                    exit,
                }
            }
        };
        self.step(event)
    }

    /// Keeps a row of the current attempt. A step that was computed before must have the same exact columns.
    fn row(&mut self, attempt: AttemptId, rank: u32, row: MetricRow) -> Result<(), Error> {
        if !self.is_current(attempt) {
            return Ok(());
        }
        if attempt.number > 1
            && let Some(earlier) = self.ledger.row(attempt.job, row.exact.step)?
            && earlier.exact != row.exact
        {
            let message = format!(
                "determinism failure at step {}: an earlier attempt computed {} and this one {}; run memory and processor tests on the machines of both",
                row.exact.step, earlier.exact.parameters_digest, row.exact.parameters_digest
            );
            let failure = Failure {
                kind: FailureKind::Lasting,
                message,
            };
            return self.step(Event::RankFailed {
                attempt,
                rank,
                failure,
            });
        }
        info!(
            job = %attempt.job, step = row.exact.step, epoch = row.exact.epoch, loss = row.exact.loss,
            accuracy = row.exact.accuracy, samples_per_s = row.timing.samples_per_s, "step"
        );
        Ledger::put_row(&mut self.batch, attempt.job, &row);
        Ok(())
    }

    fn is_current(&self, attempt: AttemptId) -> bool {
        let job = self.scheduler.job(attempt.job);
        job.is_some_and(|job| !job.state.is_final() && job.attempts == attempt.number)
    }
}
