//! The manifest of a dataset: what it holds and which chunks hold it. A dataset's digest is that of its content alone.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::shape::Shape;

/// What a dataset is, apart from its name and age.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetManifest {
    /// The importer that made it: `idx` or `csv`.
    pub kind: String,
    /// The shape of one sample.
    pub shape: Shape,
    /// How values are kept in chunks.
    pub element: Element,
    /// The largest value there can be: what `normalize = "unit"` divides by.
    pub maximum: f64,
    /// The class names, by class number.
    pub classes: Vec<String>,
    /// The splits, in the order of their names.
    pub splits: Vec<Split>,
}

/// How a sample's values are kept in a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Element {
    /// One byte a value.
    U8,
    /// Four bytes a value, little-endian IEEE 754.
    F32,
}

impl Element {
    /// Bytes a value.
    pub fn bytes(self) -> usize {
        match self {
            Element::U8 => 1,
            Element::F32 => 4,
        }
    }
}

/// A named part of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// Its name: `train`, `test`.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// The chunks that hold the rows, in row order.
    pub chunks: Vec<ChunkRef>,
    /// The chunk that holds all labels of the split: one little-endian `u32` a row.
    pub labels: Digest,
    /// Rows of each class, by class number.
    pub class_counts: Vec<u64>,
    /// Mean of each channel over all rows of the split.
    pub mean: Vec<f64>,
    /// Standard deviation (biased) of each channel over all rows of the split.
    pub std: Vec<f64>,
}

/// A chunk of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRef {
    /// The chunk's content digest.
    pub digest: Digest,
    /// Rows in it, at least 1.
    pub rows: u32,
}

impl DatasetManifest {
    /// The digest of the canonical JSON of the content: equal content, equal digest.
    pub fn digest(&self) -> Digest {
        let json =
            serde_json::to_vec(self).expect("a manifest has no map with keys that are not text");
        Digest::of(&json)
    }

    /// The split of this name.
    pub fn split(&self, name: &str) -> Option<&Split> {
        self.splits.iter().find(|split| split.name == name)
    }

    /// Every chunk the dataset is made of, labels included.
    pub fn chunks(&self) -> impl Iterator<Item = Digest> + '_ {
        self.splits.iter().flat_map(|split| {
            split
                .chunks
                .iter()
                .map(|chunk| chunk.digest)
                .chain(std::iter::once(split.labels))
        })
    }
}

impl Split {
    /// Rows left for training when `fraction` of each class is held out for validation.
    pub fn training_rows(&self, fraction: f64) -> u64 {
        self.rows
            - self
                .class_counts
                .iter()
                .map(|&count| held_out(count, fraction))
                .sum::<u64>()
    }
}

/// How many of a class's `count` rows are held out for validation: the nearest number to `fraction * count`, at least 1
/// and never all where there are 2 or more.
pub fn held_out(count: u64, fraction: f64) -> u64 {
    if count < 2 {
        return 0;
    }
    ((count as f64 * fraction).round() as u64).clamp(1, count - 1)
}
