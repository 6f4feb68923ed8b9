//! Chunks in memory, for tests: kept, counted when read, and spoilt on request.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use spec::dataset::{ChunkRef, Element, Lengths, Split, TokenCounts, TokenForm, Tokens};
use spec::{DatasetManifest, Digest, Shape};

use crate::chunk::{encode, encode_labels, encode_lengths};
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

/// Tokens in memory, for tests.
impl Memory {
    /// A dataset of one split `train`, a stream of tokens below `vocabulary`, in chunks of these sizes: token `t` is `7t + t / 5`
    /// modulo the vocabulary.
    pub(crate) fn stream(&self, chunk_tokens: &[u32], vocabulary: u32) -> DatasetManifest {
        let count: u32 = chunk_tokens.iter().sum();
        let counts = TokenCounts {
            count: u64::from(count),
            lengths: None,
        };
        let split = Split {
            name: "train".to_string(),
            rows: u64::from(count),
            tokens: Some(counts),
            chunks: self.tokens(chunk_tokens, vocabulary),
            labels: None,
            class_counts: Vec::new(),
            mean: Vec::new(),
            std: Vec::new(),
        };
        self.of_tokens(TokenForm::Stream, vocabulary, Vec::new(), split)
    }

    /// A dataset of one split `train` of rows of these lengths, whose tokens are those of [`Memory::stream`]; row `r` has
    /// label `r % 3`.
    pub(crate) fn sequences(
        &self,
        chunk_tokens: &[u32],
        lengths: &[u32],
        vocabulary: u32,
    ) -> DatasetManifest {
        let rows = lengths.len() as u32;
        let known = Lengths {
            chunk: self.keep(encode_lengths(lengths)),
            shortest: *lengths.iter().min().unwrap(),
            median: *lengths.iter().max().unwrap(),
            p95: *lengths.iter().max().unwrap(),
            longest: *lengths.iter().max().unwrap(),
        };
        let counts = TokenCounts {
            count: lengths.iter().map(|&length| u64::from(length)).sum(),
            lengths: Some(known),
        };
        let labels: Vec<u32> = (0..rows).map(|row| row % 3).collect();
        let split = Split {
            name: "train".to_string(),
            rows: u64::from(rows),
            tokens: Some(counts),
            chunks: self.tokens(chunk_tokens, vocabulary),
            class_counts: (0..3)
                .map(|class| labels.iter().filter(|&&l| l == class).count() as u64)
                .collect(),
            labels: Some(self.keep(encode_labels(&labels))),
            mean: Vec::new(),
            std: Vec::new(),
        };
        let classes = ["a", "b", "c"].map(str::to_string).to_vec();
        self.of_tokens(TokenForm::Sequences, vocabulary, classes, split)
    }

    /// The token at a place of the streams here.
    pub(crate) fn token(at: u64, vocabulary: u32) -> u32 {
        ((7 * at + at / 5) % u64::from(vocabulary)) as u32
    }

    fn tokens(&self, chunk_tokens: &[u32], vocabulary: u32) -> Vec<ChunkRef> {
        let element = Element::of_tokens(vocabulary);
        let mut start = 0;
        let of_chunk = |&rows: &u32| {
            let tokens = start..start + u64::from(rows);
            start = tokens.end;
            let content: Vec<u8> = tokens
                .map(|at| Memory::token(at, vocabulary))
                .flat_map(|token| token.to_le_bytes()[..element.bytes()].to_vec())
                .collect();
            let digest = self.keep(encode(element, 1, &content));
            ChunkRef { digest, rows }
        };
        chunk_tokens.iter().map(of_chunk).collect()
    }

    fn of_tokens(
        &self,
        form: TokenForm,
        vocabulary: u32,
        classes: Vec<String>,
        split: Split,
    ) -> DatasetManifest {
        DatasetManifest {
            kind: "text".to_string(),
            shape: "1".parse().unwrap(),
            element: Element::of_tokens(vocabulary),
            maximum: f64::from(vocabulary),
            classes,
            tokens: Some(Tokens {
                form,
                tokenizer: Digest([3; 32]),
                vocabulary,
            }),
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
