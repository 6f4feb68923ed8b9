//! What the data of a rank takes of its memory, known from the manifest alone, so that the Plan can count it.

use spec::DatasetManifest;

use crate::batch::{Microbatches, RESIDENT_BATCHES};
use crate::error::Error;
use crate::layout::lay_out;
use crate::order::{cache_limit, window_limit};

/// The most decoded bytes of chunks that the reader of a split keeps: two windows, or the whole split if it is smaller.
///
/// # Errors
/// An unknown split, or a manifest that does not add up. `dataset` is its name, for messages.
pub fn cache_bytes(dataset: &str, manifest: &DatasetManifest, split: &str) -> Result<u64, Error> {
    lay_out(dataset, manifest, split).map(|(_, layout)| cache_limit(&layout))
}

/// The most bytes that the reader of a split and a loader on it keep on the heap, for a share of at most `share`
/// microbatches: cached chunks, labels, chosen rows, one window's order and [`RESIDENT_BATCHES`] batches.
///
/// # Errors
/// An unknown split, or a manifest that does not add up. `dataset` is its name, for messages.
pub fn host_bytes(
    dataset: &str,
    manifest: &DatasetManifest,
    split: &str,
    microbatches: Microbatches,
    share: u32,
) -> Result<u64, Error> {
    let (_, layout) = lay_out(dataset, manifest, split)?;
    let (rows, chunks) = (u64::from(layout.rows()), u64::from(layout.chunks()));
    let labels_and_choice = 2 * 4 * rows;
    // Per chunk: its reference, its start, the starts of its chosen rows, its place in the epoch's order and its window;
    // and what the cache keeps beside its values.
    let tables = chunks * (36 + 4 + 4 + 4 + 8) + chunks * 128;
    let window_rows = (window_limit(&layout) / layout.row_bytes().max(1)).min(rows);
    let samples = share as u64 * microbatches.size as u64;
    let batch = samples * (4 * manifest.shape.elements() as u64 + 4);
    // Vectors that grow may hold twice what they need.
    let numbers = 2 * 4 * (window_rows + samples);
    Ok(cache_limit(&layout) + labels_and_choice + tables + numbers + RESIDENT_BATCHES * batch)
}
