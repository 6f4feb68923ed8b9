//! Evaluation: a phase over fixed numbered microbatches, folded as a step is, so that its result does not depend on who
//! computed what.

use std::sync::Arc;
use std::time::Duration;

use collective::{Fence, Gang, LocalStep, Node, local};
use data::{Loader, Microbatches, Rows, Selection};
use engine::{Engine, Sums};
use serde::Serialize;
use spec::CheckpointManifest;
use spec::checkpoint::Preprocessing;
use spec::job::SplitRef;
use spec::rank::Failure;

use super::failure::{of_data, of_engine, of_gang};
use super::microbatch;
use super::state;
use crate::depot::{Depot, DepotChunks, lasting};

/// A record of an evaluation: loss sum (f64), correct (u64), samples (u64), and zeros up to 64 bytes.
const RECORD_BYTES: usize = 64;

/// How well a model does on some rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Evaluation {
    /// Mean loss.
    pub loss: Option<f64>,
    /// Share of the samples that were classified right.
    pub accuracy: Option<f64>,
    /// How many samples there were.
    pub samples: u64,
}

impl From<Sums> for Evaluation {
    fn from(sums: Sums) -> Self {
        let mean = |sum: f64| {
            (sums.samples > 0)
                .then(|| sum / sums.samples as f64)
                .filter(|mean| mean.is_finite())
        };
        Evaluation {
            loss: mean(sums.loss),
            accuracy: mean(sums.correct as f64),
            samples: sums.samples,
        }
    }
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
    let mut slots = vec![[0u8; RECORD_BYTES]; collective::slots(microbatches.count)];
    let mut total = Sums {
        loss: 0.0,
        correct: 0,
        samples: 0,
    };
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
                    let sums = engine
                        .evaluate(&microbatch::of_evaluation(part))
                        .map_err(|error| of_engine(&error))?;
                    slots[slot] = encode(sums);
                }
                LocalStep::Add { into, from } => {
                    let from = slots[from];
                    engine::add_record(0, 0, &mut slots[into], &from);
                }
            }
        }
        let roots: Vec<(Node, &[u8])> = schedule
            .roots
            .iter()
            .map(|&(node, slot)| (node, slots[slot].as_slice()))
            .collect();
        let mut record = [0u8; RECORD_BYTES];
        let add =
            |offset: usize, into: &mut [u8], from: &[u8]| engine::add_record(0, offset, into, from);
        *operation += 1;
        gang.fold(
            *operation,
            batch.present,
            &roots,
            &mut record,
            &add,
            deadline,
        )
        .map_err(|error| of_gang(&error))?;
        let round = decode(&record);
        total.loss += round.loss;
        total.correct += round.correct;
        total.samples += round.samples;
        loader.recycle(batch);
    }
    Ok(total.into())
}

fn encode(sums: Sums) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    record[0..8].copy_from_slice(&sums.loss.to_le_bytes());
    record[8..16].copy_from_slice(&sums.correct.to_le_bytes());
    record[16..24].copy_from_slice(&sums.samples.to_le_bytes());
    record
}

fn decode(record: &[u8; RECORD_BYTES]) -> Sums {
    let word = |at: usize| u64::from_le_bytes(*record[at..].first_chunk().expect("a word"));
    Sums {
        loss: f64::from_bits(word(0)),
        correct: word(8),
        samples: word(16),
    }
}

/// Evaluates a checkpoint in this process: on a split, or on the rows that its job validates on.
///
/// # Errors
/// Nothing to evaluate on, data that is not the model's, or anything that cannot be read.
pub fn evaluate(
    manifest: &CheckpointManifest,
    depot: &Arc<dyn Depot>,
    split: Option<&SplitRef>,
    threads: usize,
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
    let plan = plan::to_evaluate(&manifest.job, &manifest.data, microbatches.size, threads)
        .map_err(lasting)?;
    let mut engine = Engine::new(plan, threads).map_err(|error| of_engine(&error))?;
    state::load(&mut engine, depot.as_ref(), manifest)?;
    let mut gang = alone(RECORD_BYTES, microbatches.count)?;
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
