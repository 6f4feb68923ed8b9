//! The manifest of a dataset: what it holds and which chunks hold it. A dataset's digest is that of its content alone.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::shape::Shape;

/// What a dataset is, apart from its name and age.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetManifest {
    /// The importer that made it: `idx`, `csv`, `text` or `lines`.
    pub kind: String,
    /// The shape of one sample; of tokens the shape of one, `1`.
    pub shape: Shape,
    /// How values are kept in chunks.
    pub element: Element,
    /// The largest value there can be: what `normalize = "unit"` divides by. Of tokens the size of the vocabulary.
    pub maximum: f64,
    /// The class names, by class number; none where text is one stream.
    pub classes: Vec<String>,
    /// What the tokens are, where the samples are tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
    /// The splits, in the order of their names.
    pub splits: Vec<Split>,
}

/// What the tokens of a dataset are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// What the samples are.
    pub form: TokenForm,
    /// The chunk that holds the [`Tokenizer`](crate::tokenizer::Tokenizer): how text was split, and the vocabulary.
    pub tokenizer: Digest,
    /// Different tokens there can be; every token is below it.
    pub vocabulary: u32,
}

/// What the samples of a dataset of tokens are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenForm {
    /// Windows of one stream, each token's target the token that follows: their length is the job's.
    Stream,
    /// Rows of tokens, at least one in each, with a class a row.
    Sequences,
}

/// How a sample's values are kept in a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Element {
    /// One byte a value.
    U8,
    /// Four bytes a value, little-endian IEEE 754.
    F32,
    /// Two bytes a token, little-endian.
    U16,
    /// Four bytes a token, little-endian.
    U32,
}

impl Element {
    /// Bytes a value.
    pub fn bytes(self) -> usize {
        match self {
            Element::U8 => 1,
            Element::U16 => 2,
            Element::F32 | Element::U32 => 4,
        }
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Element::U8 => "u8",
            Element::F32 => "f32",
            Element::U16 => "u16",
            Element::U32 => "u32",
        }
    }

    /// The narrowest that holds the tokens of a vocabulary of this size.
    pub fn of_tokens(vocabulary: u32) -> Self {
        if vocabulary <= 1 << 16 {
            Element::U16
        } else {
            Element::U32
        }
    }
}

/// A named part of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// Its name: `train`, `test`.
    pub name: String,
    /// Its rows; of a stream its tokens.
    pub rows: u64,
    /// Its tokens, where the samples are tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenCounts>,
    /// The chunks that hold the rows, in row order; of tokens the chunks that hold these, one row's behind the other's.
    pub chunks: Vec<ChunkRef>,
    /// The chunk that holds all labels of the split: one little-endian `u32` a row. A stream has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Digest>,
    /// Rows of each class, by class number.
    pub class_counts: Vec<u64>,
    /// Mean of each channel over all rows of the split; none of tokens.
    pub mean: Vec<f64>,
    /// Standard deviation (biased) of each channel over all rows of the split; none of tokens.
    pub std: Vec<f64>,
}

/// The tokens of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCounts {
    /// All of them.
    pub count: u64,
    /// How many each row has; a stream has no rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lengths: Option<Lengths>,
}

/// The tokens of each row of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lengths {
    /// The chunk that holds them: one little-endian `u32` a row, at least 1.
    pub chunk: Digest,
    /// The fewest.
    pub shortest: u32,
    /// The fewest that at least half of the rows have at most.
    pub median: u32,
    /// The fewest that at least 95 of 100 rows have at most.
    pub p95: u32,
    /// The most.
    pub longest: u32,
}

/// A chunk of rows, or of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRef {
    /// The chunk's content digest.
    pub digest: Digest,
    /// Rows in it, at least 1; of tokens how many there are.
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

    /// Every chunk the dataset is made of: rows, labels, lengths, the tokenizer.
    pub fn chunks(&self) -> impl Iterator<Item = Digest> + '_ {
        let of_splits = self.splits.iter().flat_map(|split| {
            let lengths = split.tokens.and_then(|tokens| tokens.lengths);
            let rows = split.chunks.iter().map(|chunk| chunk.digest);
            rows.chain(split.labels)
                .chain(lengths.map(|lengths| lengths.chunk))
        });
        of_splits.chain(self.tokens.map(|tokens| tokens.tokenizer))
    }
}

impl Split {
    /// Its samples: its rows, or the windows of at most `sequence_length` tokens, each with a token that follows, that a
    /// stream is cut into. A stream without a length has none.
    pub fn samples(&self, sequence_length: Option<u32>) -> u64 {
        match self.tokens {
            Some(TokenCounts {
                count,
                lengths: None,
            }) => sequence_length.map_or(0, |length| {
                count.saturating_sub(1).div_ceil(u64::from(length.max(1)))
            }),
            _ => self.rows,
        }
    }

    /// The most tokens of a sample that is cut at `sequence_length`; 0 where samples are no tokens.
    pub fn longest(&self, sequence_length: Option<u32>) -> u32 {
        let most = sequence_length.unwrap_or(u32::MAX);
        match self.tokens {
            None => 0,
            Some(TokenCounts {
                lengths: Some(lengths),
                ..
            }) => lengths.longest.min(most),
            // No window is longer than the stream.
            Some(TokenCounts { count, .. }) => {
                u32::try_from(count.saturating_sub(1)).map_or(most, |count| count.min(most))
            }
        }
    }

    /// Samples left for training when `fraction` of each class, or of a stream, is held out for validation.
    pub fn trained_on(&self, fraction: f64, sequence_length: Option<u32>) -> u64 {
        let samples = self.samples(sequence_length);
        if self.labels.is_none() {
            return samples - held_out(samples, fraction);
        }
        samples
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

#[cfg(test)]
mod tests {
    use super::*;

    fn split(tokens: Option<TokenCounts>, labels: Option<Digest>) -> Split {
        Split {
            name: "train".to_string(),
            rows: 30,
            tokens,
            chunks: Vec::new(),
            labels,
            class_counts: vec![20, 10],
            mean: Vec::new(),
            std: Vec::new(),
        }
    }

    #[test]
    fn a_stream_is_cut_into_windows_that_have_a_token_behind_them() {
        let stream = |count| {
            let lengths = None;
            split(Some(TokenCounts { count, lengths }), None)
        };
        let windows = |count, length| stream(count).samples(Some(length));
        assert_eq!(
            [
                windows(0, 4),
                windows(1, 4),
                windows(2, 4),
                windows(5, 4),
                windows(6, 4)
            ],
            [0, 0, 1, 1, 2]
        );
        assert_eq!(stream(100).samples(None), 0);
        assert_eq!(stream(41).trained_on(0.25, Some(4)), 7);
    }

    #[test]
    fn rows_are_samples_whatever_the_length_and_are_held_out_by_class() {
        let rows = split(None, Some(Digest([0; 32])));
        assert_eq!((rows.samples(None), rows.samples(Some(3))), (30, 30));
        assert_eq!(rows.trained_on(0.3, None), 30 - 6 - 3);
    }

    #[test]
    fn a_dataset_without_tokens_has_the_json_that_it_had_before_there_were_any() {
        let manifest = DatasetManifest {
            kind: "csv".to_string(),
            shape: Shape::new(vec![1]).expect("a shape"),
            element: Element::F32,
            maximum: 1.0,
            classes: vec!["0".to_string()],
            tokens: None,
            splits: vec![split(None, Some(Digest([0; 32])))],
        };
        let json = serde_json::to_string(&manifest).expect("JSON");
        let keys = [
            r#""classes":["0"],"splits":[{"name":"train","rows":30,"chunks":[],"labels":"00"#,
            r#"00","class_counts":[20,10],"mean":[],"std":[]}]}"#,
        ];
        assert!(keys.iter().all(|part| json.contains(part)), "{json}");
        assert!(!json.contains("tokens"), "{json}");
        assert_eq!(
            serde_json::from_str::<DatasetManifest>(&json).expect("a manifest"),
            manifest
        );
    }
}
