//! Puts the tokens of one split into chunks.

use std::path::Path;

use spec::dataset::{ChunkRef, Element, Lengths, Split, TokenCounts};

use crate::chunk::{MAX_ROW_BYTES, TARGET_BYTES, encode, encode_labels, encode_lengths};
use crate::error::Error;
use crate::layout::MAX_ROWS;
use crate::sink::ChunkSink;

/// Takes the tokens of one split in their order.
pub(crate) struct TokenWriter {
    element: Element,
    /// The tokens of the chunk to come.
    content: Vec<u8>,
    chunks: Vec<ChunkRef>,
    count: u64,
    lengths: Vec<u32>,
    labels: Vec<u32>,
}

impl TokenWriter {
    /// A writer of tokens below `vocabulary`.
    pub(crate) fn new(vocabulary: u32) -> Self {
        TokenWriter {
            element: Element::of_tokens(vocabulary),
            content: Vec::with_capacity(TARGET_BYTES),
            chunks: Vec::new(),
            count: 0,
            lengths: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// The tokens taken so far.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Takes the next tokens of a stream.
    pub(crate) fn stream(&mut self, tokens: &[u32], sink: &mut dyn ChunkSink) -> Result<(), Error> {
        for &token in tokens {
            self.token(token);
            if self.content.len() >= TARGET_BYTES {
                self.keep(sink)?;
            }
        }
        Ok(())
    }

    /// Takes the next row, of at least one token, with its label; a row lies in one chunk. `path` is the source, for
    /// messages.
    pub(crate) fn row(
        &mut self,
        tokens: &[u32],
        label: u32,
        path: &Path,
        sink: &mut dyn ChunkSink,
    ) -> Result<(), Error> {
        let bytes = tokens.len() * self.element.bytes();
        if bytes as u64 > MAX_ROW_BYTES {
            return Err(Error::RowTooLarge {
                path: path.to_path_buf(),
                bytes: bytes as u64,
                limit: MAX_ROW_BYTES,
            });
        }
        if self.lengths.len() == MAX_ROWS as usize {
            return Err(Error::TooManyRows {
                path: path.to_path_buf(),
                limit: MAX_ROWS,
            });
        }
        if !self.content.is_empty() && self.content.len() + bytes > TARGET_BYTES {
            self.keep(sink)?;
        }
        tokens.iter().for_each(|&token| self.token(token));
        self.lengths.push(tokens.len() as u32);
        self.labels.push(label);
        Ok(())
    }

    /// The split, now that all of a stream is there.
    pub(crate) fn finish_stream(
        mut self,
        name: &str,
        sink: &mut dyn ChunkSink,
    ) -> Result<Split, Error> {
        self.finish_chunks(sink)?;
        let counts = TokenCounts {
            count: self.count,
            lengths: None,
        };
        Ok(self.split(name, self.count, counts, None, Vec::new()))
    }

    /// The split, now that all rows are there, in so many classes.
    pub(crate) fn finish_rows(
        mut self,
        name: &str,
        classes: usize,
        sink: &mut dyn ChunkSink,
    ) -> Result<Split, Error> {
        self.finish_chunks(sink)?;
        let mut put = |bytes| sink.put(bytes).map_err(|source| Error::Sink { source });
        let chunk = put(encode_lengths(&self.lengths))?;
        let labels = put(encode_labels(&self.labels))?;
        let mut class_counts = vec![0; classes];
        for &label in &self.labels {
            class_counts[label as usize] += 1;
        }
        let rows = self.lengths.len();
        self.lengths.sort_unstable();
        // The least length that so many of a hundred rows have at most.
        let at = |percent: usize| {
            self.lengths
                .get((rows * percent).div_ceil(100).saturating_sub(1))
                .copied()
        };
        let lengths = Lengths {
            chunk,
            shortest: at(0).unwrap_or(0),
            median: at(50).unwrap_or(0),
            p95: at(95).unwrap_or(0),
            longest: at(100).unwrap_or(0),
        };
        let counts = TokenCounts {
            count: self.count,
            lengths: Some(lengths),
        };
        Ok(self.split(name, rows as u64, counts, Some(labels), class_counts))
    }

    fn split(
        &self,
        name: &str,
        rows: u64,
        tokens: TokenCounts,
        labels: Option<spec::Digest>,
        class_counts: Vec<u64>,
    ) -> Split {
        Split {
            name: name.to_string(),
            rows,
            tokens: Some(tokens),
            chunks: self.chunks.clone(),
            labels,
            class_counts,
            mean: Vec::new(),
            std: Vec::new(),
        }
    }

    fn token(&mut self, token: u32) {
        self.count += 1;
        let bytes = token.to_le_bytes();
        self.content
            .extend_from_slice(&bytes[..self.element.bytes()]);
    }

    fn finish_chunks(&mut self, sink: &mut dyn ChunkSink) -> Result<(), Error> {
        if self.content.is_empty() {
            return Ok(());
        }
        self.keep(sink)
    }

    fn keep(&mut self, sink: &mut dyn ChunkSink) -> Result<(), Error> {
        let rows = (self.content.len() / self.element.bytes()) as u32;
        let bytes = encode(self.element, 1, &self.content);
        let digest = sink.put(bytes).map_err(|source| Error::Sink { source })?;
        self.chunks.push(ChunkRef { digest, rows });
        self.content.clear();
        Ok(())
    }
}
