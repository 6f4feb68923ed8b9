//! What ranks report. Rows go to the ledger and never enter the scheduler; all else becomes an event.

use std::time::{Duration, Instant};

use proto::RankReport;
use scheduler::Event;
use spec::rank::{Failure, FailureKind, Report};
use spec::{AttemptId, MetricRow};
use tracing::{info, warn};

use super::Driver;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::roster::Seat;

/// The time between two progress lines of a job.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

impl Driver {
    /// A report that comes a second time, because its acknowledgement was lost, is taken in again: nothing that follows
    /// from it changes, and a worker whose hello still lists the rank counts on it.
    pub(super) fn report(&mut self, seat: Seat, report: RankReport) -> Result<(), Error> {
        if !self.roster.is_current(seat) {
            return Ok(());
        }
        self.roster.receive(seat, report.sequence);
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
            Report::Checkpoint { step, digest } => Event::CheckpointSaved {
                attempt,
                step,
                digest,
            },
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
        self.log_row(attempt, &row);
        Ledger::put_row(&mut self.batch, attempt.job, &row);
        Ok(())
    }

    fn is_current(&self, attempt: AttemptId) -> bool {
        let job = self.scheduler.job(attempt.job);
        job.is_some_and(|job| !job.state.is_final() && job.attempts == attempt.number)
    }

    /// Every row as a structured event, and once a second a line for people.
    fn log_row(&mut self, attempt: AttemptId, row: &MetricRow) {
        let (exact, timing) = (&row.exact, &row.timing);
        info!(
            target: "trainyard::step",
            job = %attempt.job, %attempt, epoch = exact.epoch, step = exact.step, samples = exact.samples,
            loss = exact.loss, accuracy = exact.accuracy, learning_rate = exact.learning_rate,
            gradient_norm = exact.gradient_norm, parameters_digest = exact.parameters_digest,
            validation_loss = exact.validation_loss, validation_accuracy = exact.validation_accuracy,
            measures = %exact.measures,
            samples_per_s = timing.samples_per_s, data_ms = timing.data_ms, forward_ms = timing.forward_ms,
            backward_ms = timing.backward_ms, reduce_ms = timing.reduce_ms, update_ms = timing.update_ms, "step"
        );
        let now = Instant::now();
        let last = self.last_progress.get(&attempt.job);
        if last.is_none_or(|&last| now - last >= PROGRESS_INTERVAL) {
            self.last_progress.insert(attempt.job, now);
            info!(
                job = %attempt.job, epoch = exact.epoch, step = exact.step, loss = exact.loss,
                accuracy = exact.accuracy, samples_per_s = timing.samples_per_s, "progress"
            );
        }
    }
}
