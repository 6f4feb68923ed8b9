//! What reading a split takes of a rank's memory: pure arithmetic over the manifest, so that the Plan counts what the
//! loader keeps to.

use crate::dataset::{DatasetManifest, Split};

/// The most decoded bytes of a window, the unit in which rows are shuffled, unless a chunk alone is larger.
pub const WINDOW_BYTES: u64 = 8 << 20;

/// The batches that exist at once: one in use, one waiting, one being made or waiting to wait.
pub const RESIDENT_BATCHES: u64 = 3;

/// What keeping a chunk takes beside its values: its reference, where it and its chosen rows begin, its place in an
/// epoch's order and its window, and the cache's entry.
const CHUNK_TABLES: u64 = 36 + 4 + 4 + 4 + 8 + 128;

/// The most decoded bytes of a window of a split.
pub fn window_bytes(manifest: &DatasetManifest, split: &Split) -> u64 {
    let largest = split
        .chunks
        .iter()
        .map(|chunk| u64::from(chunk.rows))
        .max()
        .unwrap_or(0);
    WINDOW_BYTES.max(largest * row_bytes(manifest))
}

/// The decoded bytes of chunks that a reader of a split keeps: two windows, since a batch may lie in both, or the whole
/// split if it is smaller.
pub fn cache_bytes(manifest: &DatasetManifest, split: &Split) -> u64 {
    (split.rows * row_bytes(manifest)).min(2 * window_bytes(manifest, split))
}

/// The most bytes that a reader of a split and a loader on it, of `samples` a batch, keep on the heap: cached chunks,
/// labels, chosen rows, one window's order and the batches that exist at once.
pub fn reader_bytes(manifest: &DatasetManifest, split: &Split, samples: u64) -> u64 {
    let labels_and_choice = 2 * 4 * split.rows;
    let tables = split.chunks.len() as u64 * CHUNK_TABLES;
    let window_rows = (window_bytes(manifest, split) / row_bytes(manifest).max(1)).min(split.rows);
    let batch = samples * (4 * manifest.shape.elements() as u64 + 4);
    // Vectors that grow may hold twice what they need.
    let numbers = 2 * 4 * (window_rows + samples);
    cache_bytes(manifest, split) + labels_and_choice + tables + numbers + RESIDENT_BATCHES * batch
}

fn row_bytes(manifest: &DatasetManifest) -> u64 {
    (manifest.shape.elements() * manifest.element.bytes()) as u64
}
