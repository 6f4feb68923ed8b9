//! How the tokens of a split fall into samples: windows of one stream, or rows of their own length. Samples and tokens are
//! counted from 0 through the whole split.

use std::ops::Range;

/// How the tokens of a split fall into samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Windows of `length` tokens, the last one shorter, each followed by at least one token: the last token of all is
    /// none's input.
    Windows {
        /// All tokens.
        tokens: u64,
        /// Tokens of a full window, at least 1.
        length: u32,
    },
    /// Rows, of which at most the first `length` tokens are taken.
    Rows {
        /// Where each row begins, and where the last one ends.
        starts: Vec<u64>,
        /// The most tokens of a sample, at least 1.
        length: u32,
    },
}

impl Cut {
    /// Rows of these lengths.
    pub(crate) fn rows(lengths: &[u32], length: u32) -> Self {
        let mut starts = Vec::with_capacity(lengths.len() + 1);
        let mut end = 0;
        starts.push(0);
        for &length in lengths {
            end += u64::from(length);
            starts.push(end);
        }
        Cut::Rows { starts, length }
    }

    /// How many samples there are.
    pub(crate) fn samples(&self) -> u64 {
        match self {
            Cut::Windows { tokens, length } => {
                tokens.saturating_sub(1).div_ceil(u64::from(*length))
            }
            Cut::Rows { starts, .. } => starts.len() as u64 - 1,
        }
    }

    /// The tokens of a sample that enter the model.
    pub(crate) fn tokens_of(&self, sample: u32) -> Range<u64> {
        match self {
            Cut::Windows { tokens, length } => {
                let start = u64::from(sample) * u64::from(*length);
                start..(start + u64::from(*length)).min(tokens.saturating_sub(1))
            }
            Cut::Rows { starts, length } => {
                let (start, end) = (starts[sample as usize], starts[sample as usize + 1]);
                start..end.min(start + u64::from(*length))
            }
        }
    }

    /// The first sample that begins at this token or behind it.
    pub(crate) fn first_from(&self, token: u64) -> u64 {
        match self {
            Cut::Windows { length, .. } => token.div_ceil(u64::from(*length)).min(self.samples()),
            Cut::Rows { starts, .. } => {
                (starts.partition_point(|&start| start < token) as u64).min(self.samples())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn windows_take_every_token_but_the_last_once(tokens in 0u64..200, length in 1u32..20) {
            let cut = Cut::Windows { tokens, length };
            let mut taken = Vec::new();
            for sample in 0..cut.samples() as u32 {
                let range = cut.tokens_of(sample);
                prop_assert!(!range.is_empty() && range.end < tokens, "its last target is there");
                prop_assert!(range.end - range.start <= u64::from(length));
                taken.extend(range);
            }
            prop_assert_eq!(taken, (0..tokens.saturating_sub(1)).collect::<Vec<_>>());
        }

        #[test]
        fn rows_keep_their_beginning(lengths in prop::collection::vec(1u32..20, 1..20), length in 1u32..25) {
            let cut = Cut::rows(&lengths, length);
            prop_assert_eq!(cut.samples(), lengths.len() as u64);
            let mut start = 0;
            for (sample, &whole) in lengths.iter().enumerate() {
                let range = cut.tokens_of(sample as u32);
                prop_assert_eq!(range, start..start + u64::from(whole.min(length)));
                start += u64::from(whole);
            }
        }

        #[test]
        fn the_first_sample_from_a_token_on_is_found(lengths in prop::collection::vec(1u32..9, 1..20), token in 0u64..200, window in 1u32..9) {
            let tokens = lengths.iter().map(|&length| u64::from(length)).sum();
            for cut in [Cut::rows(&lengths, 5), Cut::Windows { tokens, length: window }] {
                let expected = (0..cut.samples()).find(|&sample| cut.tokens_of(sample as u32).start >= token);
                prop_assert_eq!(cut.first_from(token), expected.unwrap_or(cut.samples()));
            }
        }
    }
}
