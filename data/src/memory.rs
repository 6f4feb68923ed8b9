//! Chunks in memory, for tests: kept, counted when read, and spoilt on request.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use spec::dataset::{ChunkRef, Element, Split};
use spec::{DatasetManifest, Digest, Shape};

use crate::chunk::{encode, encode_labels};
use crate::sink::{ChunkSink, SinkError};
use crate::source::{ChunkSource, SourceError};

#[derive(Debug, Default)]
pub(crate) struct Memory {
    chunks: Mutex<BTreeMap<Digest, Vec<u8>>>,
    pub(crate) reads: AtomicU64,
}

impl Memory {
    /// Flips a bit in the middle of a chunk.
    pub(crate) fn spoil(&self, digest: &Digest) {
        let mut chunks = self.chunks.lock().unwrap();
        let bytes = chunks.get_mut(digest).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    }

    pub(crate) fn lose(&self, digest: &Digest) {
        self.chunks.lock().unwrap().remove(digest).unwrap();
    }

    pub(crate) fn bytes(&self, digest: &Digest) -> Vec<u8> {
        self.chunks.lock().unwrap()[digest].clone()
    }

    pub(crate) fn keep(&self, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(&bytes);
        self.chunks.lock().unwrap().insert(digest, bytes);
        digest
    }

    /// A dataset of one split `train` whose chunks hold so many rows; the values count up through each channel, row
    /// `r` has label `r % classes`.
    pub(crate) fn dataset(&self, chunk_rows: &[u32], shape: &str, classes: u32) -> DatasetManifest {
        let shape: Shape = shape.parse().unwrap();
        let values = shape.elements();
        let mut row = 0;
        let mut chunks = Vec::new();
        for &rows in chunk_rows {
            let content: Vec<u8> = (row..row + rows)
                .flat_map(|row| (0..values).map(move |v| (row as usize * 7 + v) as u8))
                .collect();
            chunks.push(ChunkRef {
                digest: self.keep(encode(Element::U8, values, &content)),
                rows,
            });
            row += rows;
        }
        let labels: Vec<u32> = (0..row).map(|row| row % classes).collect();
        let channels = shape.channels();
        let split = Split {
            name: "train".to_string(),
            rows: u64::from(row),
            chunks,
            tokens: None,
            labels: Some(self.keep(encode_labels(&labels))),
            class_counts: (0..classes)
                .map(|class| labels.iter().filter(|&&l| l == class).count() as u64)
                .collect(),
            mean: vec![0.0; channels],
            std: vec![1.0; channels],
        };
        DatasetManifest {
            kind: "idx".to_string(),
            shape,
            element: Element::U8,
            maximum: 255.0,
            classes: (0..classes).map(|class| class.to_string()).collect(),
            tokens: None,
            splits: vec![split],
        }
    }
}

impl ChunkSink for Memory {
    fn put(&mut self, bytes: Vec<u8>) -> Result<Digest, SinkError> {
        Ok(self.keep(bytes))
    }
}

impl ChunkSource for Memory {
    fn chunk(&self, digest: &Digest) -> Result<Vec<u8>, SourceError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let chunks = self.chunks.lock().unwrap();
        chunks
            .get(digest)
            .cloned()
            .ok_or_else(|| SourceError::new("it is not there"))
    }
}
