//! What reading a split takes of a rank's memory: pure arithmetic over the manifest, so that the Plan counts what the
//! loader keeps to.

use crate::dataset::{DatasetManifest, Split};

/// The most decoded bytes of a window, the unit in which rows are shuffled, unless a chunk alone is larger.
pub const WINDOW_BYTES: u64 = 8 << 20;

/// The windows whose chunks are kept: two, since a batch may lie in both. Windows of a stream reach into the chunk that
/// follows theirs, which may lie anywhere: of those twice as many are kept.
pub const RESIDENT_WINDOWS: u64 = 2;

/// The batches that exist at once: one in use, one waiting, one being made or waiting to wait.
pub const RESIDENT_BATCHES: u64 = 3;

/// What keeping a chunk takes beside its values: its reference, where it and its chosen rows begin, its place in an
/// epoch's order and its window, and the cache's entry.
const CHUNK_TABLES: u64 = 36 + 4 + 4 + 4 + 8 + 128;

/// Samples that are counted at once when the tokens of an epoch are.
const COUNTED_SAMPLES: u64 = 1 << 12;

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

/// The decoded bytes of chunks that a reader of a split keeps: so many windows ([`RESIDENT_WINDOWS`]), or the whole split if
/// it is smaller.
pub fn cache_bytes(manifest: &DatasetManifest, split: &Split) -> u64 {
    let (held, windows) = match split.tokens {
        None => (split.rows, RESIDENT_WINDOWS),
        Some(tokens) if tokens.lengths.is_some() => (tokens.count, RESIDENT_WINDOWS),
        Some(tokens) => (tokens.count, 2 * RESIDENT_WINDOWS),
    };
    (held * row_bytes(manifest)).min(windows * window_bytes(manifest, split))
}

/// The most bytes that a reader of a split and a loader on it, of `samples` a batch, keep on the heap: cached chunks,
/// labels, chosen rows, one window's order and the batches that exist at once; of tokens, cut at `sequence_length`, where
/// each row begins, and the samples that are packed.
pub fn reader_bytes(
    manifest: &DatasetManifest,
    split: &Split,
    samples: u64,
    sequence_length: Option<u32>,
) -> u64 {
    let of_split = split.samples(sequence_length);
    let longest = u64::from(split.longest(sequence_length));
    let lengths = split.tokens.and_then(|tokens| tokens.lengths);
    let labels_and_choice = 2 * 4 * of_split;
    let tables = split.chunks.len() as u64 * CHUNK_TABLES;
    let (sample_bytes, straddling, batch, more) = match (split.tokens, lengths) {
        (None, _) => {
            let batch = samples * (4 * manifest.shape.elements() as u64 + 4);
            (row_bytes(manifest), 0, batch, 0)
        }
        (Some(_), lengths) => {
            let shortest = lengths.map_or(longest, |lengths| u64::from(lengths.shortest));
            let labels = if lengths.is_some() { 1 } else { longest };
            let batch = samples * 4 * (longest + labels + 1);
            let starts = if lengths.is_some() { 8 * of_split } else { 0 };
            let packing = samples * (4 * (longest + 1) + 16);
            let token_starts = 8 * split.chunks.len() as u64;
            let counted = 2 * 4 * samples.max(COUNTED_SAMPLES);
            let more = starts + packing + token_starts + counted;
            // A window of a stream begins in every chunk of a window of chunks, whole or not.
            let straddling = split.chunks.len() as u64;
            (shortest * row_bytes(manifest), straddling, batch, more)
        }
    };
    let window_rows =
        (window_bytes(manifest, split) / sample_bytes.max(1) + straddling).min(of_split);
    // Vectors that grow may hold twice what they need.
    let numbers = 2 * 4 * (window_rows + samples);
    cache_bytes(manifest, split)
        + labels_and_choice
        + tables
        + numbers
        + RESIDENT_BATCHES * batch
        + more
}

/// Decoded bytes of a row of values, or of a token.
fn row_bytes(manifest: &DatasetManifest) -> u64 {
    (manifest.shape.elements() * manifest.element.bytes()) as u64
}
