//! Packing: samples of different lengths without padding, as PyTorch's `PackedSequence`. Samples are sorted by length, the
//! longest first, equal ones as they came; step `t` holds a token of every sample longer than `t`, and follows step
//! `t - 1`. Of equal lengths that is `(T, N)`. Nothing but the samples decides it.

use std::cmp::Reverse;

/// Samples of tokens, put in one after the other and packed together. Its memory serves one microbatch after the other.
#[derive(Debug, Default)]
pub(crate) struct Packing {
    /// The samples' tokens, one sample behind the other.
    tokens: Vec<u32>,
    samples: Vec<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    start: usize,
    length: u32,
    /// Its number in the order in which the samples came.
    number: u32,
}

impl Packing {
    /// One that takes so many samples of up to so many tokens, and one behind each, without growing.
    pub(crate) fn for_samples(samples: usize, tokens: u32) -> Self {
        Packing {
            tokens: Vec::with_capacity(samples * (tokens as usize + 1)),
            samples: Vec::with_capacity(samples),
        }
    }

    /// Begins anew.
    pub(crate) fn clear(&mut self) {
        self.tokens.clear();
        self.samples.clear();
    }

    /// Puts in a sample of `length` tokens, at least 1, of those that `write` appends; it may append more behind them.
    ///
    /// # Errors
    /// Those of `write`.
    pub(crate) fn push<E>(
        &mut self,
        length: u32,
        write: impl FnOnce(&mut Vec<u32>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (start, number) = (self.tokens.len(), self.samples.len() as u32);
        write(&mut self.tokens)?;
        debug_assert!(length > 0 && self.tokens.len() - start >= length as usize);
        let sample = Sample {
            start,
            length,
            number,
        };
        self.samples.push(sample);
        Ok(())
    }

    /// Sorts the samples by length; writes their lengths, and their tokens packed.
    pub(crate) fn pack(&mut self, lengths: &mut Vec<u32>, packed: &mut Vec<u32>) {
        // The number keeps equal lengths in order, without the memory of a stable sort.
        self.samples
            .sort_unstable_by_key(|sample| (Reverse(sample.length), sample.number));
        lengths.clear();
        lengths.extend(self.samples.iter().map(|sample| sample.length));
        self.steps(0, packed);
    }

    /// Once packed: writes the token behind each of the packed tokens.
    pub(crate) fn following(&self, packed: &mut Vec<u32>) {
        self.steps(1, packed);
    }

    /// Once packed: the samples' numbers, in the order of the lengths.
    pub(crate) fn order(&self) -> impl Iterator<Item = u32> + '_ {
        self.samples.iter().map(|sample| sample.number)
    }

    fn steps(&self, ahead: usize, packed: &mut Vec<u32>) {
        packed.clear();
        let longest = self.samples.first().map_or(0, |sample| sample.length);
        let mut longer = self.samples.len();
        for step in 0..longest {
            while longer > 0 && self.samples[longer - 1].length <= step {
                longer -= 1;
            }
            let at = step as usize + ahead;
            let alive = self.samples[..longer].iter();
            packed.extend(alive.map(|sample| self.tokens[sample.start + at]));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn packed(samples: &[Vec<u32>]) -> (Packing, Vec<u32>, Vec<u32>) {
        let mut packing = Packing::default();
        for sample in samples {
            let write = |tokens: &mut Vec<u32>| {
                // A token more than the sample has.
                tokens.extend(sample.iter().copied().chain([u32::MAX]));
                Ok::<_, Infallible>(())
            };
            packing.push(sample.len() as u32, write).unwrap();
        }
        let (mut lengths, mut tokens) = (vec![9], vec![9]);
        packing.pack(&mut lengths, &mut tokens);
        (packing, lengths, tokens)
    }

    /// The samples, in packed order, from their packed form.
    fn unpacked(lengths: &[u32], packed: &[u32]) -> Vec<Vec<u32>> {
        let mut samples = vec![Vec::new(); lengths.len()];
        let mut packed = packed.iter().copied();
        for step in 0..lengths.first().copied().unwrap_or(0) {
            for (sample, _) in samples
                .iter_mut()
                .zip(lengths)
                .filter(|(_, length)| **length > step)
            {
                sample.extend(packed.next());
            }
        }
        assert_eq!(packed.next(), None, "nothing is left over");
        samples
    }

    #[test]
    fn three_samples_are_packed_as_pytorch_packs_them() {
        // torch.nn.utils.rnn.pack_sequence([[1, 2], [3, 4, 5], [6]], enforce_sorted=False)
        let (packing, lengths, tokens) = packed(&[vec![1, 2], vec![3, 4, 5], vec![6]]);
        assert_eq!(tokens, [3, 1, 6, 4, 2, 5]);
        assert_eq!(lengths, [3, 2, 1]);
        assert_eq!(packing.order().collect::<Vec<_>>(), [1, 0, 2]);
    }

    #[test]
    fn equal_lengths_are_transposed() {
        let (_, _, tokens) = packed(&[vec![1, 2, 3], vec![4, 5, 6]]);
        assert_eq!(tokens, [1, 4, 2, 5, 3, 6]);
    }

    proptest! {
        #[test]
        fn packing_sorts_by_length_and_unpacking_undoes_it(
            samples in prop::collection::vec(prop::collection::vec(0u32..50, 1..12), 0..12),
        ) {
            let (packing, lengths, tokens) = packed(&samples);
            prop_assert!(lengths.is_sorted_by(|a, b| a >= b));
            let order: Vec<u32> = packing.order().collect();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..samples.len() as u32).collect::<Vec<_>>());
            for pair in order.windows(2) {
                let [a, b] = [pair[0], pair[1]].map(|number| samples[number as usize].len());
                prop_assert!(a > b || (a == b && pair[0] < pair[1]), "equal ones stay as they came");
            }
            for (number, sample) in order.iter().zip(unpacked(&lengths, &tokens)) {
                prop_assert_eq!(&sample, &samples[*number as usize]);
            }
            let mut following = Vec::new();
            packing.following(&mut following);
            for (number, sample) in order.iter().zip(unpacked(&lengths, &following)) {
                let expected = [&samples[*number as usize][1..], &[u32::MAX]].concat();
                prop_assert_eq!(sample, expected);
            }
        }
    }
}
