//! Records: a flat gradient sum, sums of statistics, and behind them the tail of sums of other types. Records are added element by
//! element, so that a fold may cut them anywhere between elements.

use crate::float::Float;

/// The sums behind a record's gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tail {
    /// Sum of the samples' losses.
    pub loss: f64,
    /// Samples classified right.
    pub correct: u64,
    /// Samples: what the sums are divided by.
    pub samples: u64,
    /// Samples of microbatches of at least two: those whose statistics over samples have a variance.
    pub paired: u64,
}

impl Tail {
    /// Reads the tail of a record.
    pub fn read(tail: &[u8]) -> Tail {
        let word = |index: usize| {
            u64::from_le_bytes(tail[8 * index..8 * index + 8].try_into().expect("8 bytes"))
        };
        Tail {
            loss: f64::from_bits(word(0)),
            correct: word(1),
            samples: word(2),
            paired: word(3),
        }
    }

    /// Writes the tail of a record.
    pub fn write(self, tail: &mut [u8]) {
        for (place, word) in tail.chunks_exact_mut(8).zip([
            self.loss.to_bits(),
            self.correct,
            self.samples,
            self.paired,
        ]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
    }
}

/// `into += from` for the bytes of an f32 record that begin at `offset`: f32 up to `tail_offset`, then one f64, then u64.
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
        if at == 0 {
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

    fn record(gradient: &[f32], tail: Tail) -> Vec<u8> {
        let mut bytes = vec![0; TAIL + 64];
        for (place, value) in bytes.chunks_exact_mut(4).zip(gradient) {
            place.copy_from_slice(&value.to_le_bytes());
        }
        tail.write(&mut bytes[TAIL..]);
        bytes
    }

    #[test]
    fn gradients_and_losses_are_added_as_numbers_and_counts_as_whole_ones() {
        let mut into = record(
            &[1.5, -2.0],
            Tail {
                loss: 0.25,
                correct: u64::MAX,
                samples: 3,
                paired: 3,
            },
        );
        add_record(
            TAIL,
            0,
            &mut into,
            &record(
                &[0.25, 1.0],
                Tail {
                    loss: 0.5,
                    correct: 2,
                    samples: 1 << 40,
                    paired: 0,
                },
            ),
        );
        assert_eq!(
            into[..8],
            [1.75f32.to_le_bytes(), (-1.0f32).to_le_bytes()].concat()
        );
        assert_eq!(
            Tail::read(&into[TAIL..]),
            Tail {
                loss: 0.75,
                correct: 1,
                samples: 3 + (1 << 40),
                paired: 3
            }
        );
    }

    proptest! {
        #[test]
        fn a_record_added_in_pieces_is_the_record_added_whole(
            a in prop::collection::vec(-1e3f32..1e3, 16),
            b in prop::collection::vec(-1e3f32..1e3, 16),
            cuts in prop::collection::vec(0usize..=16, 0..5),
        ) {
            let (tail_a, tail_b) = (Tail { loss: 0.1, correct: 5, samples: 9, paired: 9 }, Tail { loss: 0.7, correct: 1, samples: 8, paired: 2 });
            let (mut whole, from) = (record(&a, tail_a), record(&b, tail_b));
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
