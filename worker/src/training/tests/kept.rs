//! A depot in memory: points to train on, and what trainings save.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use data::{ChunkSink, CsvOptions, SinkError, Source, TextOptions};
use spec::job::SplitRef;
use spec::random::{Purpose, Stream};
use spec::rank::Failure;
use spec::{AttemptId, CheckpointManifest, DatasetManifest, Digest, JobId, Shape};

use crate::depot::{Depot, lasting};

/// What is trained on, and what was saved.
pub struct Kept {
    points: DatasetManifest,
    /// A stream of the characters of 40 lines.
    text: DatasetManifest,
    chunks: Mutex<BTreeMap<Digest, Vec<u8>>>,
    checkpoints: Mutex<Vec<CheckpointManifest>>,
    /// Why chunks cannot be read, if so.
    pub fault: Mutex<Option<Failure>>,
}

#[derive(Default)]
struct Sink(BTreeMap<Digest, Vec<u8>>);

impl ChunkSink for Sink {
    fn put(&mut self, bytes: Vec<u8>) -> Result<Digest, SinkError> {
        let digest = Digest::of(&bytes);
        self.0.insert(digest, bytes);
        Ok(digest)
    }
}

/// Some lines in which one word tells the next.
fn text(sink: &mut Sink) -> DatasetManifest {
    let lines: Vec<String> = (0..40)
        .map(|line| {
            let (who, what) =
                [("a cat", "naps"), ("the dog", "digs"), ("one hen", "sits")][line % 3];
            format!("{who} {what}{}\n", " on".repeat(line % 4))
        })
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("text.txt");
    std::fs::write(&path, lines.concat()).expect("it is written");
    let source = Source {
        split: "train".to_string(),
        path,
    };
    let text = data::import_text(&[source], &TextOptions::default(), sink, &mut |_| {});
    text.expect("it is well-formed")
}

impl Kept {
    /// 60 points of 1x4x4 in 3 classes, whose brightest quarter tells the class; and a text.
    pub fn new() -> Arc<Kept> {
        let mut stream = Stream::new(7, Purpose::RowOrder, 0);
        let mut csv = String::new();
        for row in 0..60u64 {
            let class = row % 3;
            let values = (0..16).map(|place| {
                let bright = 100 * u64::from(place / 4 == class);
                (bright + stream.below(100)).to_string()
            });
            csv.push_str(&values.collect::<Vec<String>>().join(","));
            csv.push_str(&format!(",{class}\n"));
        }
        let options = CsvOptions {
            label: None,
            shape: Some(Shape::new(vec![1, 4, 4]).expect("a shape")),
            maximum: Some(255.0),
            ..CsvOptions::default()
        };
        let mut sink = Sink::default();
        let dataset = data::import_csv_bytes(
            "points.csv",
            csv.as_bytes(),
            &options,
            &mut sink,
            &mut |_| {},
        );
        let text = text(&mut sink);
        Arc::new(Kept {
            points: dataset.expect("it is well-formed"),
            text,
            chunks: Mutex::new(sink.0),
            checkpoints: Mutex::default(),
            fault: Mutex::default(),
        })
    }

    pub fn checkpoint(&self, step: u64) -> CheckpointManifest {
        let checkpoints = self.checkpoints.lock().unwrap();
        let found = checkpoints.iter().find(|manifest| manifest.step == step);
        found.expect("a checkpoint of this step").clone()
    }

    /// Flips a bit of the first chunk of a checkpoint.
    pub fn corrupt(&self, step: u64) {
        let digest = self.checkpoint(step).chunks().next().expect("a chunk");
        let mut chunks = self.chunks.lock().unwrap();
        chunks.get_mut(&digest).expect("it is kept")[5] ^= 1;
    }

    /// Takes away everything that was saved after a step.
    pub fn forget_after(&self, step: u64) {
        let mut checkpoints = self.checkpoints.lock().unwrap();
        checkpoints.retain(|manifest| manifest.step <= step);
    }
}

impl Depot for Kept {
    fn dataset(&self, reference: &SplitRef) -> Result<DatasetManifest, Failure> {
        match reference.dataset.as_str() {
            "points" => Ok(self.points.clone()),
            "text" => Ok(self.text.clone()),
            other => Err(lasting(format!("no dataset {other}"))),
        }
    }

    fn chunk(&self, digest: &Digest) -> Result<Vec<u8>, Failure> {
        if let Some(fault) = self.fault.lock().unwrap().clone() {
            return Err(fault);
        }
        let chunk = self.chunks.lock().unwrap().get(digest).cloned();
        chunk.ok_or_else(|| lasting("no such chunk"))
    }

    fn save(
        &self,
        _: AttemptId,
        chunks: &[&[u8]],
        manifest: &CheckpointManifest,
    ) -> Result<Digest, Failure> {
        let mut kept = self.chunks.lock().unwrap();
        for chunk in chunks {
            // One that is there stays as it is: tests damage them.
            kept.entry(Digest::of(chunk))
                .or_insert_with(|| chunk.to_vec());
        }
        let mut checkpoints = self.checkpoints.lock().unwrap();
        checkpoints.retain(|known| known.step != manifest.step);
        checkpoints.push(manifest.clone());
        checkpoints.sort_by_key(|manifest| manifest.step);
        Ok(manifest.digest())
    }

    fn checkpoints(&self, _: JobId) -> Result<Vec<CheckpointManifest>, Failure> {
        Ok(self.checkpoints.lock().unwrap().clone())
    }
}
