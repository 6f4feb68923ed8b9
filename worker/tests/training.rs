//! One rank's training from a job file to rows and checkpoints, with a depot in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use data::{ChunkSink, CsvOptions, SinkError};
use spec::job::SplitRef;
use spec::rank::{Failure, FailureKind, Report};
use spec::{AttemptId, CheckpointManifest, DatasetManifest, Digest, Job, JobId, MetricRow};
use worker::depot::{Depot, lasting, passing};
use worker::training::{Done, Training, alone};

const ATTEMPT: AttemptId = AttemptId {
    job: JobId(1),
    number: 1,
};

#[derive(Default)]
struct Kept {
    chunks: BTreeMap<Digest, Vec<u8>>,
    checkpoints: Vec<CheckpointManifest>,
}

/// A depot with one dataset.
struct Memory {
    dataset: DatasetManifest,
    kept: Mutex<Kept>,
}

struct Sink(BTreeMap<Digest, Vec<u8>>);

impl ChunkSink for Sink {
    fn put(&mut self, bytes: Vec<u8>) -> Result<Digest, SinkError> {
        let digest = Digest::of(&bytes);
        self.0.insert(digest, bytes);
        Ok(digest)
    }
}

impl Memory {
    /// 90 rows of 3 features in 3 classes.
    fn new() -> Arc<Memory> {
        let mut text = String::from("a,b,c,label\n");
        for row in 0..90u32 {
            let class = row % 3;
            let values = [row * 37 % 11, row * 53 % 13, row * 29 % 7 + 4 * class];
            let [a, b, c] = values;
            text.push_str(&format!("{a},{b},{c},{class}\n"));
        }
        let mut sink = Sink(BTreeMap::new());
        let options = CsvOptions::default();
        let dataset = data::import_csv_bytes(
            "rows.csv",
            text.as_bytes(),
            &options,
            &mut sink,
            &mut |_| (),
        )
        .expect("a dataset");
        let kept = Kept {
            chunks: sink.0,
            checkpoints: Vec::new(),
        };
        Arc::new(Memory {
            dataset,
            kept: Mutex::new(kept),
        })
    }

    fn checkpoint(&self, step: u64) -> CheckpointManifest {
        let kept = self.kept.lock().expect("no panic under it");
        let found = kept.checkpoints.iter().find(|kept| kept.step == step);
        found.expect("a checkpoint").clone()
    }
}

impl Depot for Memory {
    fn dataset(&self, _: &SplitRef) -> Result<DatasetManifest, Failure> {
        Ok(self.dataset.clone())
    }

    fn chunk(&self, digest: &Digest) -> Result<Vec<u8>, Failure> {
        let kept = self.kept.lock().expect("no panic under it");
        let chunk = kept.chunks.get(digest).cloned();
        chunk.ok_or_else(|| lasting("no such chunk"))
    }

    fn save(
        &self,
        _: AttemptId,
        chunks: &[&[u8]],
        manifest: &CheckpointManifest,
    ) -> Result<Digest, Failure> {
        let mut kept = self.kept.lock().expect("no panic under it");
        for chunk in chunks {
            kept.chunks.insert(Digest::of(chunk), chunk.to_vec());
        }
        // As it comes back from a store.
        let json = serde_json::to_vec(manifest).expect("JSON");
        kept.checkpoints
            .push(serde_json::from_slice(&json).expect("a manifest"));
        Ok(manifest.digest())
    }

    fn checkpoints(&self, _: JobId) -> Result<Vec<CheckpointManifest>, Failure> {
        Ok(self
            .kept
            .lock()
            .expect("no panic under it")
            .checkpoints
            .clone())
    }
}

fn job(data: &str, training: &str) -> Job {
    let text = format!(
        "name = \"rows\"\n[data]\ntrain = \"rows/train\"\n{data}\n[model]\nlayers = [{{ linear = 8 }}, \"relu\", {{ linear = \"classes\" }}]\n\
         [checkpoint]\nevery_steps = 4\n[training]\nbatch_size = 16\n{training}\n"
    );
    spec::job_file::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// Trains, from a checkpoint if one is given, until the end or until after step `until`.
fn train(
    depot: &Arc<Memory>,
    job: &Job,
    from: Option<&CheckpointManifest>,
    until: Option<u64>,
) -> (Vec<MetricRow>, Result<Done, Failure>) {
    let resume = from.map(|manifest| (JobId(1), manifest.digest()));
    let mut training = Training::prepare(job, depot.clone(), 0, resume).expect("a training");
    let record_bytes = training.plan().fold_bytes() as usize;
    let mut gang = alone(record_bytes, job.training.microbatches).expect("a gang");
    let mut rows = Vec::new();
    let mut report = |report: Report| {
        if let Report::Row(row) = report {
            rows.push(*row);
            if until == rows.last().map(|row: &MetricRow| row.exact.step) {
                return Err(passing("enough"));
            }
        }
        Ok(())
    };
    let done = training.run(ATTEMPT, &mut gang, &mut report);
    (rows, done)
}

fn rates(rows: &[MetricRow]) -> Vec<f64> {
    rows.iter().map(|row| row.exact.learning_rate).collect()
}

#[test]
fn rows_tell_the_rate_of_a_schedule_and_weights_follow_it() {
    let depot = Memory::new();
    let scheduled = |schedule: &str| {
        let training = format!("steps = 10\noptimizer.sgd.lr = 0.1\nlr_schedule = {schedule}");
        let (rows, done) = train(&depot, &job("", &training), None, None);
        (rates(&rows), done.expect("an end").state_digest)
    };
    let (constant, still) = scheduled("\"constant\"");
    assert_eq!(constant, [0.1; 10]);
    let (warm, moved) = scheduled("{ constant = { warmup_steps = 4 } }");
    for (rate, expected) in warm.iter().zip([0.02, 0.04, 0.06, 0.08, 0.1, 0.1]) {
        assert!((rate - expected).abs() < 1e-12, "{rate} {expected}");
    }
    assert_ne!(still, moved);
}

#[test]
fn a_plateau_lowers_the_rate_and_a_resumed_run_goes_on_as_if_it_had_not_stopped() {
    let depot = Memory::new();
    // At such a rate nothing becomes better for long.
    let training = "epochs = 8\noptimizer.sgd.lr = 2.0\n\
                    lr_schedule = { reduce_on_plateau = { patience = 0, factor = 0.5, threshold = 0.1 } }";
    let job = job("validation = 0.2", training);
    let (rows, done) = train(&depot, &job, None, None);
    let done = done.expect("an end");
    let rates = rates(&rows);
    assert_eq!(rates[0], 2.0);
    assert!(rates.last().unwrap() < &2.0, "{rates:?}");
    for step in [8, 20, 36] {
        let checkpoint = depot.checkpoint(step);
        let (rest, again) = train(&depot, &job, Some(&checkpoint), None);
        assert_eq!(again.expect("an end"), done, "from step {step}");
        let exact =
            |rows: &[MetricRow]| -> Vec<_> { rows.iter().map(|row| row.exact.clone()).collect() };
        assert_eq!(exact(&rest), exact(&rows[step as usize..]));
    }
}

#[test]
fn training_stops_early_where_validation_does_not_become_better_and_leaves_a_checkpoint() {
    let depot = Memory::new();
    let training = "epochs = 50\noptimizer.sgd.lr = 0.05\nmonitor = \"validation_accuracy\"\n\
                    early_stopping = { patience = 2, min_delta = 0.9 }";
    let job = job("validation = 0.2", training);
    let (rows, done) = train(&depot, &job, None, None);
    let done = done.expect("an end");
    // The first phase is the best, the next two do not better it: three epochs of five steps.
    assert_eq!(
        (done.step, rows.len() as u64),
        (15, 15),
        "{:?}",
        rows.last()
    );
    let last = depot.checkpoint(15);
    assert_eq!(last.state_digest, done.state_digest);
    // Going on from there, it has ended already.
    let (rest, again) = train(&depot, &job, Some(&last), None);
    assert_eq!((rest.len(), again.expect("an end")), (0, done));
}

#[test]
fn a_value_that_is_no_number_ends_the_job_for_good_with_step_and_place_and_keeps_the_checkpoints() {
    // Two linear layers at such a rate outgrow every number within a few steps.
    let depot = Memory::new();
    let mut job = job("", "epochs = 6\noptimizer.sgd.lr = 1e6");
    job.model.layers.remove(1);
    job.checkpoint.every_steps = Some(1);
    let (rows, done) = train(&depot, &job, None, None);
    let failure = done.expect_err("no number");
    assert_eq!(failure.kind, FailureKind::Lasting);
    let step = rows.len() + 1;
    let message = failure.message;
    assert!(
        message.contains(&format!(
            "of step {step} is not a finite number, first in the "
        )),
        "{message}"
    );
    assert!(message.contains(" of layer "), "{message}");
    assert!(step > 1, "the first step is well");
    let kept = depot.checkpoints(JobId(1)).unwrap();
    assert_eq!(kept.len(), rows.len(), "those of the steps before");
}

#[test]
fn clipping_changes_the_weights_and_not_the_norm_that_is_reported() {
    let depot = Memory::new();
    let run = |clip: &str| {
        let training = format!("steps = 1\noptimizer.sgd.lr = 0.1\n{clip}");
        let (rows, done) = train(&depot, &job("", &training), None, None);
        let norm = rows[0].exact.gradient_norm.expect("a norm");
        (norm, done.expect("an end").state_digest)
    };
    let (free, by_norm, by_value) = (run(""), run("clip_norm = 0.01"), run("clip_value = 0.01"));
    assert!(free.0 > 0.01);
    assert_eq!((free.0, free.0), (by_norm.0, by_value.0));
    assert!(free.1 != by_norm.1 && free.1 != by_value.1 && by_norm.1 != by_value.1);
    assert_eq!(run("clip_norm = 1000").1, free.1);
}
