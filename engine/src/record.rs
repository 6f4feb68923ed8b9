//! Records: a flat gradient sum, sums of statistics, and behind them the tail of sums of other types. Records are added element by
//! element, so that a fold may cut them anywhere between elements.

use plan::Tail;

use crate::float::Float;

/// `into += from` for the bytes of an f32 record that begin at `offset`: f32 up to `tail_offset`, then the words of
/// [`plan::Tail`]: f64, then u64.
/// Both slices are equally long, and begin and end between elements: multiples of 4 before the tail and of 8 in it.
///
/// # Panics
/// If the slices are not equally long, or begin or end inside an element.
pub fn add_record(tail_offset: usize, offset: usize, into: &mut [u8], from: &[u8]) {
    add_elements::<f32>(tail_offset, offset, into, from);
}

/// [`add_record`] for records of `T`.
pub(crate) fn add_elements<T: Float>(
    tail_offset: usize,
    offset: usize,
    into: &mut [u8],
    from: &[u8],
) {
    assert_eq!(into.len(), from.len(), "records are cut alike");
    let gradient = tail_offset.saturating_sub(offset).min(into.len());
    let (into_gradient, into_tail) = into.split_at_mut(gradient);
    let (from_gradient, from_tail) = from.split_at(gradient);
    let size = size_of::<T>();
    assert!(
        offset.is_multiple_of(if gradient > 0 { size } else { 8 }),
        "a cut lies between elements"
    );
    assert!(
        gradient.is_multiple_of(size) && into_tail.len().is_multiple_of(8),
        "a cut lies between elements"
    );
    T::add_bytes(into_gradient, from_gradient);
    let mut at = (offset + gradient).saturating_sub(tail_offset);
    for (a, b) in into_tail.chunks_exact_mut(8).zip(from_tail.chunks_exact(8)) {
        if at < 8 * Tail::FLOATS {
            f64::add_bytes(a, b);
        } else {
            let [a8, b8]: [[u8; 8]; 2] =
                [&*a, b].map(|bytes| bytes.try_into().expect("chunks of 8"));
            a.copy_from_slice(
                &u64::from_le_bytes(a8)
                    .wrapping_add(u64::from_le_bytes(b8))
                    .to_le_bytes(),
            );
        }
        at += 8;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TAIL: usize = 64;

    /// A record whose tail has these f64 and these counts.
    fn record(gradient: &[f32], floats: [f64; Tail::FLOATS], counts: [u64; 6]) -> Vec<u8> {
        let mut bytes = vec![0; TAIL];
        for (place, value) in bytes.chunks_exact_mut(4).zip(gradient) {
            place.copy_from_slice(&value.to_le_bytes());
        }
        let words = floats.map(f64::to_bits).into_iter().chain(counts);
        bytes.extend(words.flat_map(u64::to_le_bytes));
        bytes
    }

    #[test]
    fn gradients_and_losses_are_added_as_numbers_and_counts_as_whole_ones() {
        let mut into = record(&[1.5, -2.0], [0.25, 1.0], [u64::MAX, 3, 3, 0, 0, 7]);
        let from = record(&[0.25, 1.0], [0.5, 0.125], [2, 1 << 40, 0, 0, 0, 1]);
        add_record(TAIL, 0, &mut into, &from);
        let sums = [1, 3 + (1 << 40), 3, 0, 0, 8];
        assert_eq!(into, record(&[1.75, -1.0], [0.75, 1.125], sums));
    }

    proptest! {
        #[test]
        fn a_record_added_in_pieces_is_the_record_added_whole(
            a in prop::collection::vec(-1e3f32..1e3, 16),
            b in prop::collection::vec(-1e3f32..1e3, 16),
            cuts in prop::collection::vec(0usize..=16, 0..5),
        ) {
            let mut whole = record(&a, [0.1, 0.3], [5, 9, 9, 0, 1, 2]);
            let from = record(&b, [0.7, 0.2], [1, 8, 2, 3, 0, 0]);
            let mut pieces = whole.clone();
            add_record(TAIL, 0, &mut whole, &from);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut * 8).chain([0, from.len()]).collect();
            cuts.sort_unstable();
            for cut in cuts.windows(2) {
                add_record(TAIL, cut[0], &mut pieces[cut[0]..cut[1]], &from[cut[0]..cut[1]]);
            }
            prop_assert_eq!(pieces, whole);
        }
    }
}
