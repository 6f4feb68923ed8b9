//! How the samples of a split lie in its chunks: rows of values whole in one chunk, samples of tokens in the one that they
//! begin in, from which they may reach into the next. Samples and chunks are counted from 0, in `u32`.

use std::ops::Range;

use spec::DatasetManifest;
use spec::dataset::{ChunkRef, Split};
use spec::footprint::RESIDENT_WINDOWS;

use crate::cut::Cut;
use crate::error::Error;

/// The most samples that a split may have.
pub const MAX_ROWS: u32 = 1 << 28;

/// How the samples of a split lie in its chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The first sample of each chunk, and their number.
    starts: Vec<u32>,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    /// Rows of so many decoded bytes each.
    Rows(u64),
    /// Tokens.
    Tokens {
        cut: Cut,
        /// The first token of each chunk, and their number.
        starts: Vec<u64>,
        /// Decoded bytes of a token.
        bytes: u64,
    },
}

impl Layout {
    /// The layout of chunks, each of at least one row of `row_bytes` decoded bytes.
    ///
    /// # Errors
    /// The rows that the chunks hold, if that is not `rows`, or a chunk without rows, or more rows than there may be.
    pub fn new(chunks: &[ChunkRef], rows: u64, row_bytes: u64) -> Result<Self, u64> {
        let counted = chunks.iter().map(|chunk| u64::from(chunk.rows)).sum();
        if counted != rows
            || rows > u64::from(MAX_ROWS)
            || chunks.iter().any(|chunk| chunk.rows == 0)
        {
            return Err(counted);
        }
        let mut starts = Vec::with_capacity(chunks.len() + 1);
        let mut start = 0;
        starts.push(0);
        for chunk in chunks {
            start += chunk.rows;
            starts.push(start);
        }
        let content = Content::Rows(row_bytes);
        Ok(Layout { starts, content })
    }

    /// The layout of chunks of tokens, of `bytes` decoded bytes each, that are cut into samples.
    ///
    /// # Errors
    /// The tokens that the chunks hold, if that is not `tokens`, or a chunk without any, or more samples than there may be.
    pub(crate) fn of_tokens(
        chunks: &[ChunkRef],
        tokens: u64,
        bytes: u64,
        cut: Cut,
    ) -> Result<Self, u64> {
        let counted = chunks.iter().map(|chunk| u64::from(chunk.rows)).sum();
        if counted != tokens
            || cut.samples() > u64::from(MAX_ROWS)
            || chunks.iter().any(|chunk| chunk.rows == 0)
        {
            return Err(counted);
        }
        let mut starts = Vec::with_capacity(chunks.len() + 1);
        let mut start = 0;
        starts.push(0);
        for chunk in chunks {
            start += u64::from(chunk.rows);
            starts.push(start);
        }
        let mut first: Vec<u32> = starts
            .iter()
            .map(|&token| cut.first_from(token) as u32)
            .collect();
        if let Some(last) = first.last_mut() {
            *last = cut.samples() as u32;
        }
        let content = Content::Tokens { cut, starts, bytes };
        Ok(Layout {
            starts: first,
            content,
        })
    }

    /// The tokens of a sample that enter the model, counted through all chunks; nothing where samples are values.
    pub fn tokens_of(&self, sample: u32) -> Range<u64> {
        match &self.content {
            Content::Rows(_) => 0..0,
            Content::Tokens { cut, .. } => cut.tokens_of(sample),
        }
    }

    /// The chunk of a token, and the token's number in it.
    pub fn find_token(&self, token: u64) -> (u32, usize) {
        let Content::Tokens { starts, .. } = &self.content else {
            return (0, 0);
        };
        let chunk = starts.partition_point(|&start| start <= token) - 1;
        (chunk as u32, (token - starts[chunk]) as usize)
    }

    /// How many windows of chunks a walk through the samples must have at hand for a batch: two, and where samples reach
    /// into the next chunk twice as many.
    pub fn resident_windows(&self) -> u64 {
        match &self.content {
            Content::Tokens {
                cut: Cut::Windows { .. },
                ..
            } => 2 * RESIDENT_WINDOWS,
            _ => RESIDENT_WINDOWS,
        }
    }

    /// How many rows there are.
    pub fn rows(&self) -> u32 {
        self.starts[self.starts.len() - 1]
    }

    /// How many chunks there are.
    pub fn chunks(&self) -> u32 {
        (self.starts.len() - 1) as u32
    }

    /// The rows of a chunk.
    pub fn rows_of(&self, chunk: u32) -> Range<u32> {
        self.starts[chunk as usize]..self.starts[chunk as usize + 1]
    }

    /// The chunk of a row, and the row's number in it.
    pub fn find(&self, row: u32) -> (u32, u32) {
        let chunk = self.starts.partition_point(|&start| start <= row) - 1;
        (chunk as u32, row - self.starts[chunk])
    }

    /// Decoded bytes of a chunk.
    pub fn bytes_of(&self, chunk: u32) -> u64 {
        match &self.content {
            Content::Rows(row_bytes) => self.rows_of(chunk).len() as u64 * row_bytes,
            Content::Tokens { starts, bytes, .. } => {
                (starts[chunk as usize + 1] - starts[chunk as usize]) * bytes
            }
        }
    }

    /// Decoded bytes of the largest chunk.
    pub fn largest_chunk_bytes(&self) -> u64 {
        (0..self.chunks())
            .map(|chunk| self.bytes_of(chunk))
            .max()
            .unwrap_or(0)
    }

    /// Decoded bytes of all rows.
    pub fn bytes(&self) -> u64 {
        match &self.content {
            Content::Rows(row_bytes) => u64::from(self.rows()) * row_bytes,
            Content::Tokens { starts, bytes, .. } => starts[starts.len() - 1] * bytes,
        }
    }
}

/// The split of this name.
///
/// # Errors
/// No such split.
pub fn find_split<'a>(
    dataset: &str,
    manifest: &'a DatasetManifest,
    split: &str,
) -> Result<&'a Split, Error> {
    manifest.split(split).ok_or_else(|| {
        let known: Vec<&str> = manifest
            .splits
            .iter()
            .map(|split| split.name.as_str())
            .collect();
        let known = if known.is_empty() {
            "none".to_string()
        } else {
            known.join(", ")
        };
        Error::UnknownSplit {
            dataset: dataset.to_string(),
            split: split.to_string(),
            known,
        }
    })
}

/// The layout of a split; of tokens as they are cut, for which `lengths` holds those of the rows, if there are any.
///
/// # Errors
/// Chunks that do not add up to its rows or tokens, or a stream without a length to cut it at.
pub fn lay_out(
    dataset: &str,
    manifest: &DatasetManifest,
    split: &Split,
    sequence_length: Option<u32>,
    lengths: &[u32],
) -> Result<Layout, Error> {
    let element_bytes = manifest.element.bytes() as u64;
    let (held, layout) = match split.tokens {
        None => {
            let row_bytes = manifest.shape.elements() as u64 * element_bytes;
            let layout = Layout::new(&split.chunks, split.rows, row_bytes);
            (split.rows, layout)
        }
        Some(counts) => {
            let cut = match (counts.lengths, sequence_length) {
                (None, None | Some(0)) => {
                    return Err(Error::NoSequenceLength {
                        dataset: dataset.to_string(),
                    });
                }
                (None, Some(length)) => Cut::Windows {
                    tokens: counts.count,
                    length,
                },
                (Some(known), length) => Cut::rows(lengths, length.unwrap_or(known.longest).max(1)),
            };
            let layout = Layout::of_tokens(&split.chunks, counts.count, element_bytes, cut);
            (counts.count, layout)
        }
    };
    layout.map_err(|counted| Error::ManifestRows {
        dataset: dataset.to_string(),
        split: split.name.clone(),
        rows: held,
        counted,
    })
}

#[cfg(test)]
mod tests {
    use spec::Digest;

    use super::*;

    fn chunks(rows: &[u32]) -> Vec<ChunkRef> {
        rows.iter()
            .map(|&rows| ChunkRef {
                digest: Digest([0; 32]),
                rows,
            })
            .collect()
    }

    #[test]
    fn every_row_is_found_in_its_chunk() {
        let layout = Layout::new(&chunks(&[2, 1, 3]), 6, 10).unwrap();
        let found: Vec<_> = (0..6).map(|row| layout.find(row)).collect();
        assert_eq!(found, [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (2, 2)]);
        assert_eq!(
            (
                layout.rows_of(2),
                layout.bytes_of(2),
                layout.largest_chunk_bytes()
            ),
            (3..6, 30, 30)
        );
    }

    #[test]
    fn chunks_that_do_not_add_up_are_refused() {
        assert_eq!(Layout::new(&chunks(&[2, 2]), 5, 1), Err(4));
        assert_eq!(Layout::new(&chunks(&[2, 0]), 2, 1), Err(2));
        assert!(Layout::new(&chunks(&[u32::MAX, u32::MAX]), u64::from(u32::MAX) * 2, 1).is_err());
        let cut = Cut::rows(&[2, 2], 9);
        assert_eq!(
            Layout::of_tokens(&chunks(&[2, 1]), 4, 2, cut.clone()),
            Err(3)
        );
        assert_eq!(Layout::of_tokens(&chunks(&[4, 0]), 4, 2, cut), Err(4));
    }

    #[test]
    fn a_sample_of_tokens_belongs_to_the_chunk_that_it_begins_in() {
        let windows = Cut::Windows {
            tokens: 12,
            length: 3,
        };
        // Tokens 0 to 3, 4, 5 and 6, 7 to 11; windows from 0, 3, 6 and 9.
        let layout = Layout::of_tokens(&chunks(&[4, 1, 2, 5]), 12, 2, windows).unwrap();
        let rows: Vec<_> = (0..4).map(|chunk| layout.rows_of(chunk)).collect();
        assert_eq!(rows, [0..2, 2..2, 2..3, 3..4]);
        assert_eq!(
            [3, 4, 6, 11].map(|token| layout.find_token(token)),
            [(0, 3), (1, 0), (2, 1), (3, 4)]
        );
        assert_eq!(
            (layout.bytes_of(3), layout.bytes(), layout.find(2)),
            (10, 24, (2, 0))
        );
        let rows = Cut::rows(&[5, 1, 6], 9);
        let layout = Layout::of_tokens(&chunks(&[5, 7]), 12, 2, rows).unwrap();
        assert_eq!((layout.rows_of(0), layout.rows_of(1)), (0..1, 1..3));
    }
}
