//! The step loop: batch, forward, backward, fold, apply.

use std::time::Instant;

use collective::{Gang, Node};
use data::{Loader, Microbatches, Sampling};
use engine::Update;
use spec::metric::{Exact, MetricRow, Rows, Timing};
use spec::rank::{Failure, Report};
use spec::watch::Watch;
use spec::{AttemptId, Digest};
use tracing::info;

use super::evaluation::{Evaluation, evaluate_rows, measures};
use super::failure::{of_data, of_engine, of_gang};
use super::pace::Pace;
use super::session::Training;
use super::wave::{PATIENCE, Walk, milliseconds};
use crate::depot::{lasting, passing};

/// How a training ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The last step.
    pub step: u64,
    /// The digest of all of S.
    pub state_digest: String,
}

/// A step, applied.
struct Applied {
    result: engine::StepResult,
    /// Its learning rate.
    lr: f64,
    /// Tokens trained on so far.
    tokens: u64,
    times: Timing,
}

impl Training {
    /// Trains to the last step with its gang. Rank 0 reports rows and writes checkpoints; a report that fails ends it.
    ///
    /// # Errors
    /// A lost or silent peer, data that cannot be read, a depot that does not keep a checkpoint.
    pub fn run(
        &mut self,
        attempt: AttemptId,
        gang: &mut Gang,
        report: &mut dyn FnMut(Report) -> Result<(), Failure>,
    ) -> Result<Done, Failure> {
        let mut operation = 0;
        self.agree(gang, &mut operation)?;
        let mut loader = self.loader(gang)?;
        let mut pace = Pace::start(Instant::now());
        while !self.ended() {
            let applied = self.advance(gang, &mut loader, &mut operation)?;
            let step = self.engine.step();
            let parameters_digest = self.engine.parameters_digest();
            let samples_per_s = pace.step(Instant::now(), applied.result.samples);
            let best = self.watch.best;
            let validated = if self.calendar.validates_after(step) {
                let validated = self.validate(gang, &mut operation)?;
                pace.resume(Instant::now());
                validated
            } else {
                None
            };
            if self.rank == 0 {
                let row = self.row(applied, samples_per_s, parameters_digest, validated);
                log(&row);
                report(Report::Row(Box::new(row)))?;
                let checkpoint = &self.job.checkpoint;
                let is_due = checkpoint
                    .every_steps
                    .is_some_and(|every| step.is_multiple_of(every));
                let is_best = checkpoint.keep_best > 0 && self.watch.best != best;
                if is_due || is_best || self.ended() {
                    let digest = self.save(attempt)?;
                    report(Report::Checkpoint { step, digest })?;
                    pace.resume(Instant::now());
                }
            }
        }
        Ok(Done {
            step: self.engine.step(),
            state_digest: self.state_digest(),
        })
    }

    /// Makes the state durable as a checkpoint.
    fn save(&self, attempt: AttemptId) -> Result<Digest, Failure> {
        if !self.engine.parameters().iter().all(|word| word.is_finite()) {
            return Err(lasting(format!(
                "step {} has left parameters that are not finite numbers: lower the learning rate or set training.clip_norm; the checkpoints before are kept",
                self.engine.step()
            )));
        }
        let (manifest, chunks) = self.checkpoint(Some(attempt.job));
        let digest = self.depot.save(attempt, &chunks, &manifest)?;
        info!(step = manifest.step, %digest, "checkpoint saved");
        Ok(digest)
    }

    /// Whether no step follows: the last is applied, or validation has decided that it is enough.
    fn ended(&self) -> bool {
        self.engine.step() >= self.calendar.steps || self.watch.stops(&self.job.training)
    }

    /// All ranks must go on from the same state.
    fn agree(&self, gang: &mut Gang, operation: &mut u64) -> Result<(), Failure> {
        *operation += 1;
        let mine = self.resumed.unwrap_or(Digest([0; 32]));
        let all = gang
            .gather(*operation, &mine.0, PATIENCE)
            .map_err(|error| of_gang(&error))?;
        match all.iter().position(|digest| *digest != mine.0) {
            None => Ok(()),
            Some(other) => Err(passing(format!(
                "rank {} goes on from checkpoint {mine} and rank {other} from {}",
                self.rank,
                Digest(all[other])
            ))),
        }
    }

    fn loader(&self, gang: &Gang) -> Result<Loader, Failure> {
        let order = self
            .rows
            .order(Sampling::from(&self.job.training))
            .map_err(|error| of_data(&error))?;
        Loader::training(
            self.rows.clone(),
            order,
            self.preprocessing.clone(),
            Microbatches::from(&self.job),
            gang.share(),
            self.engine.step(),
        )
        .map_err(|error| of_data(&error))
    }

    fn advance(
        &mut self,
        gang: &mut Gang,
        loader: &mut Loader,
        operation: &mut u64,
    ) -> Result<Applied, Failure> {
        let mut times = Timing::default();

        // The batch.
        let began = Instant::now();
        let batch = loader.next().map_err(|error| of_data(&error))?;
        times.data_ms = milliseconds(began.elapsed());

        // Forward and backward, folding what lies in this rank's subtrees.
        let walk = Walk::of(
            self.engine.plan(),
            &collective::schedule(gang.share(), batch.present),
        );
        self.compute(&batch, &walk, gang, operation, &mut times)?;
        let present = batch.present;

        // The fold over the gang.
        let began = Instant::now();
        let slots: Vec<usize> = walk.roots.iter().map(|&(_, slot)| slot).collect();
        *operation += 1;
        if let ([slot], 1) = (&slots[..], gang.ranks()) {
            self.engine.fold_alone(*slot);
        } else {
            let tail_offset = self.engine.plan().tail_offset as usize;
            let (sums, record) = self.engine.fold_views(&slots);
            let nodes = walk.roots.iter().map(|&(node, _)| node);
            let roots: Vec<(Node, &[u8])> = nodes.zip(sums).collect();
            let add = |offset: usize, into: &mut [u8], from: &[u8]| {
                engine::add_record(tail_offset, offset, into, from);
            };
            gang.fold(*operation, present, &roots, record, &add, PATIENCE)
                .map_err(|error| of_gang(&error))?;
        }
        times.reduce_ms += milliseconds(began.elapsed());

        // Apply: from here to its end the step cannot be lost.
        let began = Instant::now();
        let step = self.engine.step() + 1;
        let lr = self.calendar.lr(&self.job, &self.watch, step);
        let update = Update {
            lr,
            clip: self.job.training.clip,
        };
        let result = match self.engine.apply(update) {
            Err(engine::Error::NotFinite { what }) => {
                return Err(self.not_finite(what, &batch, gang, operation));
            }
            result => result.map_err(|error| of_engine(&error))?,
        };
        self.commit += 1;
        let tokens = batch.tokens;
        loader.recycle(batch);
        times.update_ms = milliseconds(began.elapsed());
        Ok(Applied {
            result,
            lr,
            tokens,
            times,
        })
    }

    fn validate(
        &mut self,
        gang: &mut Gang,
        operation: &mut u64,
    ) -> Result<Option<Evaluation>, Failure> {
        let Some(rows) = &self.validation else {
            return Ok(None);
        };
        let microbatches = Microbatches::from(&self.job);
        self.engine.exchange_averages();
        let evaluation = evaluate_rows(
            &mut self.engine,
            rows,
            &self.preprocessing,
            microbatches,
            gang,
            operation,
            PATIENCE,
        );
        self.engine.exchange_averages();
        let evaluation = evaluation?;
        self.commit += 1;
        let before = self.watch;
        let value = evaluation.monitored(self.job.training.monitor);
        self.watch = before.after(&self.job.training, value);
        let finite = value.filter(|value| value.is_finite());
        self.validated = finite.map(|value| (self.engine.step(), value));
        self.log_decisions(&before);
        Ok(Some(evaluation))
    }

    fn log_decisions(&self, before: &Watch) {
        let (training, step) = (&self.job.training, self.engine.step());
        if self.watch.plateau.lr != before.plateau.lr {
            info!(
                step,
                lr = self.watch.plateau.lr,
                "learning rate reduced on a plateau"
            );
        }
        if self.watch.stops(training) && step < self.calendar.steps {
            info!(
                step,
                steps = self.calendar.steps,
                monitor = %training.monitor,
                best = self.watch.stall.best,
                phases = self.watch.stall.waited,
                "stopped early: the monitored value did not become better"
            );
        }
    }

    fn row(
        &self,
        applied: Applied,
        samples_per_s: f64,
        parameters_digest: String,
        validated: Option<Evaluation>,
    ) -> MetricRow {
        let (step, result) = (self.engine.step(), applied.result);
        let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
        let mut all = measures(&self.engine.tally(), &self.job.training.metrics, Rows::Step);
        if let Some(validated) = &validated {
            let columns = validated.measures.0.iter();
            all.0
                .extend(columns.map(|(&(_, metric), &value)| ((Rows::Validation, metric), value)));
        }
        let exact = Exact {
            epoch: self.calendar.epoch(step),
            step,
            samples: self.calendar.samples(step),
            tokens: applied.tokens,
            loss: finite(result.loss),
            accuracy: finite(result.accuracy),
            learning_rate: applied.lr,
            gradient_norm: finite(Some(result.gradient_norm)),
            parameters_digest,
            validation_loss: validated.as_ref().and_then(|validated| validated.loss),
            validation_accuracy: validated.and_then(|validated| validated.accuracy),
            measures: all,
        };
        let timing = Timing {
            samples_per_s,
            ..applied.times
        };
        MetricRow { exact, timing }
    }
}

/// A row as a structured event.
fn log(row: &MetricRow) {
    let (exact, timing) = (&row.exact, &row.timing);
    info!(
        target: "trainyard::step",
        epoch = exact.epoch, step = exact.step, samples = exact.samples, loss = exact.loss,
        accuracy = exact.accuracy, gradient_norm = exact.gradient_norm,
        parameters_digest = exact.parameters_digest, validation_loss = exact.validation_loss,
        validation_accuracy = exact.validation_accuracy, measures = %exact.measures, samples_per_s = timing.samples_per_s,
        data_ms = timing.data_ms, forward_ms = timing.forward_ms, backward_ms = timing.backward_ms,
        reduce_ms = timing.reduce_ms, update_ms = timing.update_ms, "step"
    );
}
