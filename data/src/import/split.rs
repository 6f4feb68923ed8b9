//! Puts the rows of one split into chunks, and counts and sums them on the way.

use std::path::Path;

use spec::dataset::{ChunkRef, Element, Split};

use crate::chunk::{MAX_ROW_BYTES, TARGET_BYTES, encode, encode_labels};
use crate::error::Error;
use crate::folding::Folding;
use crate::layout::MAX_ROWS;
use crate::sink::ChunkSink;
use crate::sums::ChannelSums;

/// Takes the rows of one split in row order.
pub(crate) struct SplitWriter<'a> {
    path: &'a Path,
    sink: &'a mut dyn ChunkSink,
    element: Element,
    channels: usize,
    values: usize,
    /// The rows of the chunk to come.
    content: Vec<u8>,
    chunk_bytes: usize,
    rows: u32,
    chunks: Vec<ChunkRef>,
    folding: Folding,
}

/// What a row led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits for the rest of its chunk.
    Waits,
    /// Its chunk is complete and kept.
    Kept,
}

impl<'a> SplitWriter<'a> {
    /// A writer for rows of `channels` equal planes, `values` values together; `path` is the source, for messages.
    pub(crate) fn new(
        path: &'a Path,
        sink: &'a mut dyn ChunkSink,
        element: Element,
        channels: usize,
        values: usize,
    ) -> Result<Self, Error> {
        let row_bytes = values as u64 * element.bytes() as u64;
        if row_bytes > MAX_ROW_BYTES {
            return Err(Error::RowTooLarge {
                path: path.to_path_buf(),
                bytes: row_bytes,
                limit: MAX_ROW_BYTES,
            });
        }
        let row_bytes = row_bytes as usize;
        let chunk_bytes = (TARGET_BYTES / row_bytes).max(1) * row_bytes;
        let (content, chunks) = (Vec::with_capacity(chunk_bytes), Vec::new());
        Ok(SplitWriter {
            path,
            sink,
            element,
            channels,
            values,
            content,
            chunk_bytes,
            rows: 0,
            chunks,
            folding: Folding::default(),
        })
    }

    /// Takes the bytes of the next row.
    pub(crate) fn push(&mut self, row: &[u8]) -> Result<Pushed, Error> {
        debug_assert_eq!(row.len(), self.values * self.element.bytes());
        if self.rows == MAX_ROWS {
            return Err(Error::TooManyRows {
                path: self.path.to_path_buf(),
                limit: MAX_ROWS,
            });
        }
        self.rows += 1;
        self.content.extend_from_slice(row);
        if self.content.len() < self.chunk_bytes {
            return Ok(Pushed::Waits);
        }
        self.keep()?;
        Ok(Pushed::Kept)
    }

    /// The rows taken so far.
    pub(crate) fn rows(&self) -> u32 {
        self.rows
    }

    /// The split, now that all rows are there: `labels` in row order, each below `classes`.
    pub(crate) fn finish(
        mut self,
        name: &str,
        labels: &[u32],
        classes: usize,
    ) -> Result<Split, Error> {
        if !self.content.is_empty() {
            self.keep()?;
        }
        let mut class_counts = vec![0; classes];
        for &label in labels {
            class_counts[label as usize] += 1;
        }
        let labels = self
            .sink
            .put(encode_labels(labels))
            .map_err(|source| Error::Sink { source })?;
        let sums = self.folding.finish()?;
        let none = || vec![0.0; self.channels];
        Ok(Split {
            name: name.to_string(),
            rows: u64::from(self.rows),
            tokens: None,
            chunks: self.chunks,
            labels: Some(labels),
            class_counts,
            mean: sums.as_ref().map_or_else(none, ChannelSums::mean),
            std: sums.as_ref().map_or_else(none, ChannelSums::std),
        })
    }

    fn keep(&mut self) -> Result<(), Error> {
        let row_bytes = self.values * self.element.bytes();
        let rows = (self.content.len() / row_bytes) as u32;
        self.folding.push(ChannelSums::of(
            self.element,
            self.channels,
            self.content.chunks_exact(row_bytes),
        ))?;
        let bytes = encode(self.element, self.values, &self.content);
        let digest = self
            .sink
            .put(bytes)
            .map_err(|source| Error::Sink { source })?;
        self.chunks.push(ChunkRef { digest, rows });
        self.content.clear();
        Ok(())
    }
}
