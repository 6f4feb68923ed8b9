//! How the rows of a split lie in its chunks. Rows and chunks are counted from 0, in `u32`.

use std::ops::Range;

use spec::DatasetManifest;
use spec::dataset::{ChunkRef, Split};

use crate::error::Error;

/// The most rows that a split may have.
pub const MAX_ROWS: u32 = 1 << 28;

/// How the rows of a split lie in its chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    starts: Vec<u32>,
    row_bytes: u64,
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
        Ok(Layout { starts, row_bytes })
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
        self.rows_of(chunk).len() as u64 * self.row_bytes
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
        u64::from(self.rows()) * self.row_bytes
    }

    /// Decoded bytes of a row.
    pub fn row_bytes(&self) -> u64 {
        self.row_bytes
    }
}

/// The split of this name, with its layout.
///
/// # Errors
/// No such split, or chunks that do not add up to its rows.
pub fn lay_out<'a>(
    dataset: &str,
    manifest: &'a DatasetManifest,
    split: &str,
) -> Result<(&'a Split, Layout), Error> {
    let Some(found) = manifest.split(split) else {
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
        return Err(Error::UnknownSplit {
            dataset: dataset.to_string(),
            split: split.to_string(),
            known,
        });
    };
    let row_bytes = manifest.shape.elements() as u64 * manifest.element.bytes() as u64;
    let layout = Layout::new(&found.chunks, found.rows, row_bytes).map_err(|counted| {
        Error::ManifestRows {
            dataset: dataset.to_string(),
            split: split.to_string(),
            rows: found.rows,
            counted,
        }
    })?;
    Ok((found, layout))
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
    }
}
