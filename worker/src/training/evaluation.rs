//! Evaluation: a phase over fixed numbered microbatches, folded as a step is, so that its result does not depend on who
//! computed what.

use std::sync::Arc;
use std::time::Duration;

use collective::{Fence, Gang, LocalStep, Node, local};
use data::{Loader, Microbatches, Rows, Selection};
use engine::{Engine, Tally};
use serde::Serialize;
use spec::CheckpointManifest;
use spec::checkpoint::Preprocessing;
use spec::job::SplitRef;
use spec::metric::{Measures, Metric};
use spec::monitor::Monitor;
use spec::rank::Failure;

use super::failure::{of_data, of_engine, of_gang};
use super::microbatch;
use super::state;
use crate::depot::{Depot, DepotChunks, lasting};

/// How well a model does on some rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// The loss; none where its normaliser is 0.
    pub loss: Option<f64>,
    /// Share of the rows that were classified right.
    pub accuracy: Option<f64>,
    /// How many samples there were.
    pub samples: u64,
    /// What else the job measures.
    #[serde(flatten)]
    pub measures: Measures,
    /// Rows by class and, inside it, by answer, if they are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Vec<Vec<u64>>>,
}

impl Evaluation {
    fn new(tally: &Tally<'_>, metrics: &[Metric]) -> Self {
        Evaluation {
            loss: finite(tally.loss()),
            accuracy: tally.accuracy(),
            samples: tally.sums().samples,
            measures: measures(tally, metrics, spec::metric::Rows::Step),
            confusion: tally.confusion(),
        }
    }

    /// The value that a phase is judged by.
    pub fn monitored(&self, monitor: Monitor) -> Option<f64> {
        match monitor {
            Monitor::Loss => self.loss,
            Monitor::Metric(Metric::Accuracy) => self.accuracy,
            Monitor::Metric(metric) => *self.measures.0.get(&(spec::metric::Rows::Step, metric))?,
        }
    }
}

fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

/// The columns of the metrics beside accuracy, over these rows.
pub(super) fn measures(
    tally: &Tally<'_>,
    metrics: &[Metric],
    rows: spec::metric::Rows,
) -> Measures {
    let columns = metrics
        .iter()
        .filter(|metric| **metric != Metric::Accuracy)
        .map(|&metric| ((rows, metric), finite(tally.measure(metric))));
    Measures(columns.collect())
}

/// One phase: every rank of the gang evaluates its share of each round, the rounds are added in their order. Folds are
/// numbered from `operation` on.
pub(super) fn evaluate_rows(
    engine: &mut Engine<f32>,
    rows: &Rows,
    preprocessing: &Preprocessing,
    microbatches: Microbatches,
    gang: &mut Gang,
    operation: &mut u64,
    deadline: Duration,
) -> Result<Evaluation, Failure> {
    let mut loader = Loader::evaluation(
        rows.clone(),
        preprocessing.clone(),
        microbatches,
        gang.share(),
    )
    .map_err(|error| of_data(&error))?;
    let words = engine.plan().tail.words();
    let mut slots = vec![vec![0u64; words]; collective::slots(microbatches.count)];
    let (mut total, mut record) = (vec![0u64; words], vec![0u64; words]);
    let add =
        |offset: usize, into: &mut [u8], from: &[u8]| engine::add_record(0, offset, into, from);
    for _ in 0..loader.batches().expect("an evaluation ends") {
        let batch = loader.next().map_err(|error| of_data(&error))?;
        let schedule = collective::schedule(gang.share(), batch.present);
        let mut parts = batch.microbatches.iter();
        for step in &schedule.steps {
            match *step {
                LocalStep::Compute {
                    microbatch: number,
                    slot,
                } => {
                    let part = parts.next().filter(|part| part.number == number);
                    let part = part.expect("the loader brings the share in order");
                    engine
                        .evaluate(&microbatch::of_evaluation(part))
                        .map_err(|error| of_engine(&error))?;
                    slots[slot].copy_from_slice(engine.evaluated());
                }
                LocalStep::Add { into, from } => {
                    if let Ok([into, from]) = slots.get_disjoint_mut([into, from]) {
                        add(
                            0,
                            bytemuck::cast_slice_mut(into),
                            bytemuck::cast_slice(from),
                        );
                    }
                }
            }
        }
        let roots: Vec<(Node, &[u8])> = schedule
            .roots
            .iter()
            .map(|&(node, slot)| (node, bytemuck::cast_slice(&slots[slot])))
            .collect();
        *operation += 1;
        gang.fold(
            *operation,
            batch.present,
            &roots,
            bytemuck::cast_slice_mut(&mut record),
            &add,
            deadline,
        )
        .map_err(|error| of_gang(&error))?;
        let (total, record) = (&mut total[..], &record[..]);
        add(
            0,
            bytemuck::cast_slice_mut(total),
            bytemuck::cast_slice(record),
        );
        loader.recycle(batch);
    }
    let plan = engine.plan();
    Ok(Evaluation::new(&Tally::new(plan, &total), &plan.metrics))
}

/// Evaluates a checkpoint in this process: on a split, or on the rows that its job validates on; with `confusion`, rows are
/// counted by class and answer too.
///
/// # Errors
/// Nothing to evaluate on, data that is not the model's, or anything that cannot be read.
pub fn evaluate(
    manifest: &CheckpointManifest,
    depot: &Arc<dyn Depot>,
    split: Option<&SplitRef>,
    threads: usize,
    confusion: bool,
) -> Result<Evaluation, Failure> {
    let validated = Selection::validated_on(&manifest.job.data);
    let (reference, selection) = match (split, validated) {
        (Some(split), _) => (split, Selection::All),
        (None, Some(validated)) => validated,
        (None, None) => {
            return Err(lasting(
                "the job has no validation rows: say what to evaluate on with --data DATASET/SPLIT",
            ));
        }
    };
    let dataset = depot.dataset(reference)?;
    let tokenizer = dataset.tokens.map(|tokens| tokens.tokenizer);
    let expected = manifest.data.tokens.and_then(|tokens| tokens.tokenizer);
    if tokenizer != expected {
        return Err(lasting(format!(
            "{reference} was not split into tokens as the model's data was: import it again beside {}, as another split of it",
            manifest.job.data.train
        )));
    }
    if dataset.shape != manifest.data.shape || dataset.classes != manifest.data.classes {
        return Err(lasting(format!(
            "{reference} has samples of {} in {} classes, the model takes {} in {}",
            dataset.shape,
            dataset.classes.len(),
            manifest.data.shape,
            manifest.data.classes.len()
        )));
    }
    let chunks = Arc::new(DepotChunks(depot.clone()));
    let rows = Rows::open(
        &reference.dataset,
        &dataset,
        &reference.split,
        selection,
        manifest.data.sequence_length(),
        chunks,
    )
    .map_err(|error| of_data(&error))?;
    let microbatches = Microbatches::from(&manifest.job);
    let plan = plan::to_evaluate(
        &manifest.job,
        &manifest.data,
        microbatches.size,
        threads,
        confusion,
    )
    .map_err(lasting)?;
    let mut engine = Engine::new(plan, threads).map_err(|error| of_engine(&error))?;
    state::load(&mut engine, depot.as_ref(), manifest)?;
    let mut gang = alone(engine.plan().tail.bytes(), microbatches.count)?;
    evaluate_rows(
        &mut engine,
        &rows,
        &manifest.preprocessing,
        microbatches,
        &mut gang,
        &mut 0,
        Duration::from_secs(60),
    )
}

/// A gang of one, whose folds need no network.
///
/// # Errors
/// None that a gang of one can meet.
pub fn alone(record_bytes: usize, microbatches: u32) -> Result<Gang, Failure> {
    let seat = local::table(1).pop().expect("a table for one has one seat");
    Gang::new(Box::new(seat), Fence([0; 3]), record_bytes, microbatches)
        .map_err(|error| of_gang(&error))
}
