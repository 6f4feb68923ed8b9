//! A profile: how long a model's passes take in this process on made-up samples, how long each of its stages, and what
//! memory that takes.

use std::ops::Range;
use std::time::{Duration, Instant};

use engine::{Engine, StageTimes, Synthetic};
use plan::{Mode, Plan};
use serde::Serialize;
use spec::checkpoint::DataFacts;
use spec::rank::Failure;
use spec::{CheckpointManifest, Job};

use super::failure::of_engine;
use super::state;
use crate::depot::{Depot, lasting};
use crate::machine;

/// How long one batch size is measured, and the fewest and most passes.
const MEASURE: Duration = Duration::from_millis(700);
const PASSES: Range<usize> = 20..5000;

/// Passes that warm up.
const WARM_UP: usize = 3;

/// What is profiled.
pub struct Subject<'a> {
    /// The model, and how it is trained.
    pub job: &'a Job,
    /// What it was or is to be trained on.
    pub facts: &'a DataFacts,
    /// The checkpoint with its parameters; without one they are drawn.
    pub checkpoint: Option<(&'a CheckpointManifest, &'a dyn Depot)>,
    /// Threads to run on.
    pub threads: usize,
}

/// How fast a model infers a batch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inference {
    /// Samples of a batch.
    pub batch_size: usize,
    /// Passes that were measured.
    pub passes: usize,
    /// Half of the passes took at most this long.
    pub p50_ms: f64,
    /// 95 of 100 did.
    pub p95_ms: f64,
    /// 99 of 100 did.
    pub p99_ms: f64,
    /// Samples a second over all passes.
    pub samples_per_s: f64,
    /// Memory by the plan.
    pub planned_bytes: u64,
    /// The most memory of this process so far, above what it had before the first batch size; `None` where the kernel does
    /// not tell.
    pub peak_bytes: Option<u64>,
}

/// How fast a model trains a microbatch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pace {
    /// Samples of a microbatch.
    pub microbatch: usize,
    /// Forward with the loss, the median.
    pub forward_ms: f64,
    /// Backward, the median.
    pub backward_ms: f64,
    /// The update of all parameters, the median; once a step.
    pub update_ms: f64,
    /// Memory by the plan.
    pub planned_bytes: u64,
    /// As that of [`Inference`].
    pub peak_bytes: Option<u64>,
}

/// How long layers that run as one pass take, the median.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StagePace {
    /// Their paths.
    pub layers: Vec<String>,
    /// What they are called in a job file.
    pub words: Vec<&'static str>,
    /// Parameters of them all.
    pub parameter_count: usize,
    /// Samples of the pass.
    pub samples: usize,
    /// Forward.
    pub forward_ms: f64,
    /// Backward; `None` without training.
    pub backward_ms: Option<f64>,
}

/// A model's profile.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Profile {
    /// All parameters.
    pub parameter_count: usize,
    /// The device class of this machine.
    pub device_class: String,
    /// Threads that it ran on.
    pub threads: usize,
    /// By batch size.
    pub inference: Vec<Inference>,
    /// How it trains, where that was asked for.
    pub training: Option<Pace>,
    /// Time by stage: of a microbatch of training, or else of the largest batch.
    pub stages: Vec<StagePace>,
}

/// Profiles a model by inference of batches of each size, and where `trains` by a microbatch of its training.
///
/// # Errors
/// No plan for it, no memory for it, or a checkpoint that cannot be read.
pub fn profile(subject: &Subject<'_>, sizes: &[usize], trains: bool) -> Result<Profile, Failure> {
    let before = machine::resident().map(|resident| resident.now);
    let grown = || {
        let peak = machine::resident()?.peak;
        Some(peak.saturating_sub(before?))
    };
    let mut sizes = sizes.to_vec();
    // The peak of a process never falls: from small to large it is each one's own.
    sizes.sort_unstable();
    sizes.dedup();
    let (mut inference, mut stages, mut parameter_count) = (Vec::new(), Vec::new(), 0);
    for &size in &sizes {
        let mut engine = subject.engine(size, Mode::Evaluate)?;
        let synthetic = Synthetic::new(engine.plan(), size);
        let mut times = Vec::new();
        let mut pass = |engine: &mut Engine<f32>| {
            let began = Instant::now();
            engine
                .logits(synthetic.samples())
                .map_err(|error| of_engine(&error))?;
            let took = began.elapsed();
            times.push(milliseconds(took));
            Ok(took)
        };
        repeat(&mut engine, &mut pass)?;
        times.drain(..WARM_UP);
        let passes = times.len();
        let samples_per_s = (size * passes) as f64 / times.iter().sum::<f64>() * 1e3;
        let [p50_ms, p95_ms, p99_ms] = [0.5, 0.95, 0.99].map(|share| quantile(&mut times, share));
        inference.push(Inference {
            batch_size: size,
            passes,
            p50_ms,
            p95_ms,
            p99_ms,
            samples_per_s,
            planned_bytes: engine.plan().memory.total,
            peak_bytes: grown(),
        });
        parameter_count = engine.plan().parameter_count;
        if !trains && Some(&size) == sizes.last() {
            let mut timed = Timed::default();
            engine.time_stages(machine::clock);
            repeat(&mut engine, &mut |engine| {
                engine
                    .logits(synthetic.samples())
                    .map_err(|error| of_engine(&error))?;
                Ok(timed.note(engine))
            })?;
            stages = timed.stages(engine.plan(), size);
        }
    }
    let mut training = None;
    if trains {
        let (pace, by_stage) = subject.training(&grown)?;
        training = Some(pace);
        stages = by_stage;
    }
    Ok(Profile {
        parameter_count,
        device_class: engine::device_class(),
        threads: subject.threads,
        inference,
        training,
        stages,
    })
}

impl Subject<'_> {
    fn engine(&self, microbatch: usize, mode: Mode) -> Result<Engine<f32>, Failure> {
        let plan = match mode {
            Mode::Evaluate => {
                plan::to_evaluate(self.job, self.facts, microbatch, self.threads, false)
            }
            Mode::Train => {
                // One microbatch of the job, on these threads.
                let mut job = self.job.clone();
                (job.training.batch_size, job.training.microbatches) = (microbatch as u32, 1);
                job.resources.ranks = 1;
                job.resources.threads = self.threads as u32;
                plan::for_job(&job, self.facts, &[])
            }
        };
        let plan = plan.map_err(lasting)?;
        let mut engine = Engine::new(plan, self.threads).map_err(|error| of_engine(&error))?;
        match self.checkpoint {
            Some((manifest, depot)) => state::load(&mut engine, depot, manifest)?,
            None => engine.initialize(self.job.training.seed),
        }
        Ok(engine)
    }

    fn training(&self, grown: &dyn Fn() -> Option<u64>) -> Result<(Pace, Vec<StagePace>), Failure> {
        let microbatch = self.job.microbatch_size();
        let mut engine = self.engine(microbatch, Mode::Train)?;
        let synthetic = Synthetic::new(engine.plan(), microbatch);
        let (mut forward, mut backward, mut updates) = (Vec::new(), Vec::new(), Vec::new());
        let mut timed = Timed::default();
        engine.time_stages(machine::clock);
        repeat(&mut engine, &mut |engine| {
            let began = Instant::now();
            let times = engine
                .train(&synthetic.batch(), 0)
                .map_err(|error| of_engine(&error))?;
            let stages = timed.note(engine);
            forward.push(milliseconds(times.forward));
            backward.push(milliseconds(times.backward));
            let (slots, record) = engine.fold_views(&[0]);
            record.copy_from_slice(slots[0]);
            let update = Instant::now();
            // Rates do not matter here, and with 0 the numbers stay finite.
            engine.apply(0.0).map_err(|error| of_engine(&error))?;
            updates.push(milliseconds(update.elapsed()));
            Ok(stages.max(began.elapsed()))
        })?;
        let pace = Pace {
            microbatch,
            forward_ms: median(forward),
            backward_ms: median(backward),
            update_ms: median(updates),
            planned_bytes: engine.plan().memory.total,
            peak_bytes: grown(),
        };
        Ok((pace, timed.stages(engine.plan(), microbatch)))
    }
}

/// Runs passes, each telling how long it took, until they have been measured long enough.
fn repeat(
    engine: &mut Engine<f32>,
    pass: &mut dyn FnMut(&mut Engine<f32>) -> Result<Duration, Failure>,
) -> Result<(), Failure> {
    for _ in 0..WARM_UP {
        pass(engine)?;
    }
    let (mut measured, mut passes) = (Duration::ZERO, 0);
    while passes < PASSES.start || (measured < MEASURE && passes < PASSES.end) {
        measured += pass(engine)?;
        passes += 1;
    }
    Ok(())
}

/// The times of stages, pass after pass.
#[derive(Default)]
struct Timed {
    passes: Vec<StageTimes>,
}

impl Timed {
    /// Keeps the times of the last pass; their sum.
    fn note(&mut self, engine: &Engine<f32>) -> Duration {
        let Some(times) = engine.stage_times() else {
            return Duration::ZERO;
        };
        self.passes.push(times.clone());
        times.forward.iter().chain(&times.backward).sum()
    }

    fn stages(mut self, plan: &Plan, samples: usize) -> Vec<StagePace> {
        self.passes.drain(..WARM_UP.min(self.passes.len()));
        let of = |part: &dyn Fn(&StageTimes) -> Duration| {
            median(
                self.passes
                    .iter()
                    .map(|pass| milliseconds(part(pass)))
                    .collect(),
            )
        };
        let pace = |(index, stage): (usize, &plan::Stage)| {
            let layers = &plan.layers[stage.layers.clone()];
            StagePace {
                layers: layers.iter().map(|layer| layer.path.clone()).collect(),
                words: layers.iter().map(|layer| layer.word).collect(),
                parameter_count: layers.iter().map(|layer| layer.parameter_count).sum(),
                samples,
                forward_ms: of(&|pass| pass.forward[index]),
                backward_ms: (plan.mode == Mode::Train).then(|| of(&|pass| pass.backward[index])),
            }
        };
        plan.stages.iter().enumerate().map(pace).collect()
    }
}

/// The smallest that at least this share of all does not exceed.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    values
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

fn median(mut values: Vec<f64>) -> f64 {
    quantile(&mut values, 0.5)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = r#"name = "small"
[data]
train = "made-up/train"
[model]
layers = [{ conv2d = { filters = 4, kernel = 3, padding = 1 } }, "relu", { max_pool2d = 2 }, "flatten", { linear = 16 }, "tanh", { linear = "classes" }]
[training]
steps = 1
batch_size = 16
microbatches = 2
"#;

    #[test]
    fn a_profile_has_every_size_once_and_every_layer_in_one_stage() {
        let job = spec::job_file::parse(JOB).unwrap();
        let facts = DataFacts {
            shape: "1x8x8".parse().unwrap(),
            classes: (0..5).map(|class| class.to_string()).collect(),
            tokens: None,
        };
        let subject = Subject {
            job: &job,
            facts: &facts,
            checkpoint: None,
            threads: 1,
        };
        let plain = profile(&subject, &[4, 1, 4], false).unwrap();
        let sizes: Vec<usize> = plain.inference.iter().map(|one| one.batch_size).collect();
        assert_eq!(sizes, [1, 4]);
        for one in &plain.inference {
            assert!(one.passes >= PASSES.start);
            assert!(0.0 < one.p50_ms && one.p50_ms <= one.p95_ms && one.p95_ms <= one.p99_ms);
        }
        assert_eq!(plain.training, None);
        let layers: Vec<Vec<String>> = plain
            .stages
            .iter()
            .map(|stage| stage.layers.clone())
            .collect();
        assert_eq!(
            layers,
            [vec!["0", "1", "2"], vec!["4"], vec!["5"], vec!["6"]]
        );
        assert!(
            plain
                .stages
                .iter()
                .all(|stage| stage.samples == 4 && stage.backward_ms.is_none())
        );
        assert!(plain.stages.iter().all(|stage| stage.forward_ms > 0.0));

        let trained = profile(&subject, &[1], true).unwrap();
        let pace = trained.training.unwrap();
        assert_eq!(pace.microbatch, 8);
        assert!(trained.stages.iter().all(|stage| stage.samples == 8));
        let backward: f64 = trained
            .stages
            .iter()
            .filter_map(|stage| stage.backward_ms)
            .sum();
        assert!(backward > 0.0 && pace.backward_ms > 0.0 && pace.update_ms > 0.0);
        let parameters: usize = trained
            .stages
            .iter()
            .map(|stage| stage.parameter_count)
            .sum();
        assert_eq!(parameters, trained.parameter_count);
    }

    #[test]
    fn quantiles_are_passes_that_were_measured() {
        let mut values = vec![5.0, 1.0, 3.0, 2.0, 4.0];
        assert_eq!(
            [0.5, 0.95, 0.99].map(|share| quantile(&mut values, share)),
            [3.0, 5.0, 5.0]
        );
        assert_eq!(median(vec![2.0, 1.0]), 1.0);
    }
}
