//! How the rows of packed sequences lie: step after step, in each the samples that are that long, longest first, as in
//! PyTorch's `PackedSequence`. Nothing stands for what is missing of the shorter ones.

use std::ops::Range;

use crate::error::Error;

/// The steps of a microbatch's sequences. Made once and set anew for every microbatch.
#[derive(Debug, Default)]
pub(crate) struct Packing {
    /// Where the rows of each step begin, and where those of the last end.
    starts: Vec<usize>,
    samples: usize,
}

/// The order in which a recurrent layer takes the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the first step on.
    Forward,
    /// From each sequence's last step back.
    Reverse,
}

impl Packing {
    /// For sequences of up to `longest` steps.
    pub fn new(longest: usize) -> Packing {
        Packing {
            starts: Vec::with_capacity(longest + 1),
            samples: 0,
        }
    }

    /// Sequences of these lengths, of which none is longer than `longest`.
    ///
    /// # Errors
    /// A sequence that is empty or too long, or longer than the one before it.
    pub fn set(&mut self, lengths: &[u32], longest: usize) -> Result<(), Error> {
        for (position, &length) in lengths.iter().enumerate() {
            if length == 0 || length as usize > longest {
                return Err(Error::Length {
                    position,
                    length,
                    longest,
                });
            }
            if position > 0 && length > lengths[position - 1] {
                return Err(Error::Unsorted { position });
            }
        }
        self.samples = lengths.len();
        self.starts.clear();
        self.starts.push(0);
        let (mut rows, mut samples) = (0, lengths.len());
        for step in 0..lengths.first().copied().unwrap_or(0) {
            while lengths[samples - 1] <= step {
                samples -= 1;
            }
            rows += samples;
            self.starts.push(rows);
        }
        Ok(())
    }

    /// How many sequences there are.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// How many steps the longest has.
    pub fn steps(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// How many rows all steps have together.
    pub fn rows(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The rows of a step.
    pub fn step(&self, step: usize) -> Range<usize> {
        self.starts[step]..self.starts[step + 1]
    }

    /// The rows at a step of those of `samples` that are that long.
    pub fn part(&self, step: usize, samples: &Range<usize>) -> Range<usize> {
        let rows = self.step(step);
        rows.start + samples.start.min(rows.len())..rows.start + samples.end.min(rows.len())
    }

    /// The rows whose states the rows of `part` at `step` follow on: as many as have one, the first of them.
    pub fn before(
        &self,
        direction: Direction,
        step: usize,
        samples: &Range<usize>,
    ) -> Range<usize> {
        match direction {
            Direction::Forward if step > 0 => {
                let rows = self.part(step, samples);
                let before = self.part(step - 1, samples);
                before.start..before.start + rows.len()
            }
            Direction::Reverse if step + 1 < self.steps() => self.part(step + 1, samples),
            _ => 0..0,
        }
    }

    /// The steps in the order in which a direction takes them.
    pub fn order(&self, direction: Direction) -> impl DoubleEndedIterator<Item = usize> + use<> {
        let steps = self.steps();
        (0..steps).map(move |number| match direction {
            Direction::Forward => number,
            Direction::Reverse => steps - 1 - number,
        })
    }

    /// Whether all sequences are equally long.
    pub fn is_even(&self) -> bool {
        self.rows() == self.steps() * self.samples
    }

    /// How many steps a sample has.
    pub fn length(&self, sample: usize) -> usize {
        // Steps have fewer and fewer rows.
        let ends = &self.starts[1..];
        let (mut low, mut high) = (0, ends.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.step(middle).len() > sample {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The row of a sample at a step that it has.
    pub fn row(&self, step: usize, sample: usize) -> usize {
        self.starts[step] + sample
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(lengths: &[u32]) -> Packing {
        let mut packing = Packing::new(8);
        packing.set(lengths, 8).expect("lengths that fit");
        packing
    }

    #[test]
    fn steps_lie_one_after_the_other_with_the_samples_that_are_that_long() {
        let packing = packed(&[4, 2, 2, 1]);
        let steps: Vec<_> = (0..4).map(|step| packing.step(step)).collect();
        assert_eq!(steps, [0..4, 4..7, 7..8, 8..9]);
        assert_eq!((packing.rows(), packing.samples()), (9, 4));
        assert_eq!(
            [0, 1, 2, 3].map(|sample| packing.length(sample)),
            [4, 2, 2, 1]
        );
        assert_eq!(packing.part(1, &(1..4)), 5..7);
        assert_eq!(packing.before(Direction::Forward, 1, &(1..4)), 1..3);
        assert_eq!(packing.before(Direction::Reverse, 0, &(0..2)), 4..6);
        assert_eq!(packing.before(Direction::Reverse, 3, &(0..4)), 0..0);
        assert!(!packing.is_even() && packed(&[3, 3]).is_even());
        assert_eq!(packed(&[]).rows(), 0);
    }

    #[test]
    fn empty_too_long_and_unsorted_sequences_are_refused() {
        let refused = |lengths: &[u32]| Packing::new(4).set(lengths, 4).unwrap_err();
        assert!(matches!(
            refused(&[2, 0]),
            Error::Length {
                position: 1,
                length: 0,
                longest: 4
            }
        ));
        assert!(matches!(
            refused(&[5]),
            Error::Length {
                position: 0,
                length: 5,
                ..
            }
        ));
        assert!(matches!(
            refused(&[2, 1, 2]),
            Error::Unsorted { position: 2 }
        ));
    }

    proptest! {
        #[test]
        fn every_row_is_one_step_of_one_sample(mut lengths in prop::collection::vec(1u32..=8, 0..12)) {
            lengths.sort_unstable_by(|a, b| b.cmp(a));
            let packing = packed(&lengths);
            let mut seen = vec![0; packing.rows()];
            for (sample, &length) in lengths.iter().enumerate() {
                prop_assert_eq!(packing.length(sample), length as usize);
                for step in 0..length as usize {
                    seen[packing.row(step, sample)] += 1;
                    for direction in [Direction::Forward, Direction::Reverse] {
                        let before = packing.before(direction, step, &(sample..sample + 1));
                        let expected = match direction {
                            Direction::Forward => step.checked_sub(1),
                            Direction::Reverse => Some(step + 1).filter(|&step| step < length as usize),
                        };
                        let expected = expected.map(|step| packing.row(step, sample));
                        prop_assert_eq!((!before.is_empty()).then_some(before.start), expected);
                    }
                }
            }
            prop_assert!(seen.iter().all(|&times| times == 1));
        }
    }
}
