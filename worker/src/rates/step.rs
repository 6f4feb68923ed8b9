//! What a step takes beside kernels and fold: a whole training of the digits with next to nothing to compute, its reports
//! written to a pipe as a rank's are.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Instant;

use data::{ChunkSink, CsvOptions, DIGITS_CSV_GZ, Progress, SinkError, import_csv_bytes};
use plan::Plan;
use spec::job::SplitRef;
use spec::rank::{Failure, Report};
use spec::{AttemptId, CheckpointManifest, DatasetManifest, Digest, JobId};
use tracing::subscriber::NoSubscriber;

use crate::depot::{Depot, lasting};
use crate::training::{Training, alone};

/// The training: its first steps warm up.
const JOB: &str = r#"name = "digits"
[data]
train = "digits/train"
normalize = "unit"
[model]
layers = ["flatten", { linear = "classes" }]
[training]
steps = 120
batch_size = 64
microbatches = 1
"#;
const WARM_UP: usize = 20;

/// Seconds of a step beside its kernels, for which `kernels` has the time.
pub fn measure(kernels: impl Fn(&Plan) -> f64) -> Result<f64, Failure> {
    let job = spec::job_file::parse(JOB).map_err(lasting)?;
    let mut training = Training::prepare(&job, Arc::new(Digits::new()?), 0, None)?;
    let bytes = training.plan().fold_bytes() as usize;
    let mut gang = alone(bytes, job.training.microbatches)?;
    let (mut reader, mut writer) = std::io::pipe().map_err(lasting)?;
    let drain = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while reader.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    let mut times = Vec::new();
    let mut last = Instant::now();
    let attempt = AttemptId {
        job: JobId(0),
        number: 1,
    };
    let mut keep = |report| {
        if matches!(report, Report::Row(_)) {
            let mut line = serde_json::to_vec(&report).map_err(lasting)?;
            line.push(b'\n');
            writer.write_all(&line).map_err(lasting)?;
            let now = Instant::now();
            times.push((now - std::mem::replace(&mut last, now)).as_secs_f64());
        }
        Ok(())
    };
    // Nobody wants to read of these steps.
    let ran = tracing::subscriber::with_default(NoSubscriber::default(), || {
        training.run(attempt, &mut gang, &mut keep)
    });
    drop(writer);
    // It reads until the pipe is closed.
    let _ = drain.join();
    ran?;
    let mut steps = times.split_off(WARM_UP.min(times.len()));
    steps.sort_by(f64::total_cmp);
    let median = steps.get(steps.len() / 2).copied().unwrap_or(0.0);
    Ok((median - kernels(training.plan())).max(0.0))
}

/// The digits, in memory.
struct Digits {
    manifest: DatasetManifest,
    chunks: BTreeMap<Digest, Vec<u8>>,
}

#[derive(Default)]
struct Kept(BTreeMap<Digest, Vec<u8>>);

impl ChunkSink for Kept {
    fn put(&mut self, bytes: Vec<u8>) -> Result<Digest, SinkError> {
        let digest = Digest::of(&bytes);
        self.0.insert(digest, bytes);
        Ok(digest)
    }
}

impl Digits {
    fn new() -> Result<Self, Failure> {
        let options = CsvOptions {
            label: None,
            shape: Some("1x8x8".parse().map_err(lasting)?),
            maximum: Some(16.0),
            ..CsvOptions::default()
        };
        let mut kept = Kept::default();
        let manifest = import_csv_bytes(
            "digits.csv.gz",
            DIGITS_CSV_GZ,
            &options,
            &mut kept,
            &mut |_: &Progress| (),
        )
        .map_err(lasting)?;
        Ok(Digits {
            manifest,
            chunks: kept.0,
        })
    }
}

impl Depot for Digits {
    fn dataset(&self, _: &SplitRef) -> Result<DatasetManifest, Failure> {
        Ok(self.manifest.clone())
    }

    fn chunk(&self, digest: &Digest) -> Result<Vec<u8>, Failure> {
        let chunk = self.chunks.get(digest).cloned();
        chunk.ok_or_else(|| lasting(format!("no chunk {digest}")))
    }

    fn save(
        &self,
        _: AttemptId,
        _: &[&[u8]],
        manifest: &CheckpointManifest,
    ) -> Result<Digest, Failure> {
        Ok(manifest.digest())
    }

    fn checkpoints(&self, _: JobId) -> Result<Vec<CheckpointManifest>, Failure> {
        Ok(Vec::new())
    }
}
