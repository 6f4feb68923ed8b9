//! How a record is cut: into one slice per rank, each owner's slice into blocks. All cuts are at multiples of 64 bytes, so
//! that no word of any element type is ever split.

use std::ops::Range;

/// What every cut but the record's end is a multiple of, in bytes.
pub(crate) const GRAIN: usize = 64;

/// Bytes of a block: what is folded at once. Small enough that the blocks of all roots stay in the cache, large enough
/// that a system call is cheap beside it.
pub(crate) const BLOCK_BYTES: usize = 128 * 1024;

/// The slice of a record of `record_bytes` that each rank owns, by rank: in order, disjoint, complete, sizes balanced to
/// within 64 bytes; empty for some when the record is shorter than 64 bytes a rank.
pub fn slices(record_bytes: usize, ranks: usize) -> Vec<Range<usize>> {
    let mut slices = vec![0..0; ranks];
    cut(record_bytes, &mut slices);
    slices
}

/// Sets `slices` to those of a record, one for each rank.
pub(crate) fn cut(record_bytes: usize, slices: &mut [Range<usize>]) {
    let ranks = slices.len();
    let grains = record_bytes.div_ceil(GRAIN);
    let at = |rank: usize| {
        let grain = grains as u128 * rank as u128 / ranks as u128;
        (grain as usize * GRAIN).min(record_bytes)
    };
    for (rank, slice) in slices.iter_mut().enumerate() {
        *slice = at(rank)..at(rank + 1);
    }
}

/// Blocks of `block` bytes in a slice.
pub(crate) fn blocks(slice: &Range<usize>, block: usize) -> u32 {
    slice.len().div_ceil(block) as u32
}

/// The bytes of the record that are block `number` of `slice`.
pub(crate) fn block(slice: &Range<usize>, block: usize, number: u32) -> Range<usize> {
    let start = slice.start + number as usize * block;
    start..(start + block).min(slice.end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn slices_and_their_blocks_cover_each_byte_once_at_aligned_cuts(
            record_bytes in 1usize..100_000, ranks in 1usize..=9, grains in 1usize..40,
        ) {
            let slices = slices(record_bytes, ranks);
            prop_assert_eq!(slices.len(), ranks);
            let mut at = 0;
            for slice in &slices {
                prop_assert_eq!(slice.start, at);
                for number in 0..blocks(slice, grains * GRAIN) {
                    let block = block(slice, grains * GRAIN, number);
                    prop_assert_eq!(block.start, at);
                    prop_assert!(!block.is_empty() && block.start.is_multiple_of(GRAIN));
                    at = block.end;
                }
                prop_assert_eq!(slice.end, at);
                prop_assert!(at.is_multiple_of(GRAIN) || at == record_bytes);
            }
            prop_assert_eq!(at, record_bytes);
            let longest = slices.iter().map(Range::len).max();
            let shortest = slices.iter().map(Range::len).min();
            prop_assert!(longest.zip(shortest).is_some_and(|(long, short)| long - short <= 2 * GRAIN));
        }
    }
}
