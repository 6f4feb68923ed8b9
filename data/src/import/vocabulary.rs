//! Counting tokens, and the vocabulary that the counts make.

use std::collections::BTreeMap;

use spec::tokenizer::{MAX_TOKEN_BYTES, MAX_VOCABULARY, Tokenizer, UNKNOWN, Unit};

/// The most different words that are counted.
pub(crate) const MAX_WORDS: usize = 1 << 21;

/// How often each token came.
#[derive(Debug)]
pub(crate) enum Counts {
    /// By the character's code.
    Characters(Vec<u64>),
    Words(BTreeMap<String, u64>),
}

/// Why a token is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Uncounted {
    /// It is longer than a token may be.
    TooLong,
    /// There are more different words than are counted.
    TooMany,
}

impl Counts {
    /// No token so far.
    pub(crate) fn new(unit: Unit) -> Self {
        match unit {
            Unit::Characters => Counts::Characters(Vec::new()),
            Unit::Words | Unit::Whitespace => Counts::Words(BTreeMap::new()),
        }
    }

    /// Counts a token.
    pub(crate) fn add(&mut self, token: &str) -> Result<(), Uncounted> {
        match self {
            Counts::Characters(counts) => {
                let code = token
                    .chars()
                    .next()
                    .map_or(0, |character| character as usize);
                counts.resize(counts.len().max(code + 1), 0);
                counts[code] += 1;
            }
            Counts::Words(counts) => {
                if let Some(count) = counts.get_mut(token) {
                    *count += 1;
                } else if token.len() > MAX_TOKEN_BYTES {
                    return Err(Uncounted::TooLong);
                } else if counts.len() == MAX_WORDS {
                    return Err(Uncounted::TooMany);
                } else {
                    counts.insert(token.to_string(), 1);
                }
            }
        }
        Ok(())
    }

    /// The tokens with their counts, in the order of their bytes.
    fn tokens(&self) -> Vec<(String, u64)> {
        match self {
            Counts::Characters(counts) => (0u32..)
                .zip(counts)
                .filter(|(_, count)| **count > 0)
                .filter_map(|(code, &count)| Some((char::from_u32(code)?.to_string(), count)))
                .collect(),
            Counts::Words(counts) => counts
                .iter()
                .map(|(word, &count)| (word.clone(), count))
                .collect(),
        }
    }

    /// Whether a token came here that did not come in `known`.
    pub(crate) fn has_more_than(&self, known: &Counts) -> bool {
        match (self, known) {
            (Counts::Characters(here), Counts::Characters(known)) => here
                .iter()
                .enumerate()
                .any(|(code, &count)| count > 0 && known.get(code).is_none_or(|&count| count == 0)),
            (Counts::Words(here), Counts::Words(known)) => {
                here.keys().any(|word| !known.contains_key(word))
            }
            _ => true,
        }
    }

    /// The tokenizer whose vocabulary has the `most` most frequent tokens, `<unk>` among them, or all; the more frequent
    /// first, equally frequent ones in the order of their bytes. `<unk>` is number 0: of words always, of characters where
    /// some would else have no number: `some_unknown` says that there are such elsewhere.
    ///
    /// # Errors
    /// How many tokens there are, if that is more than a vocabulary may have.
    pub(crate) fn tokenizer(
        &self,
        unit: Unit,
        lowercase: bool,
        most: Option<u32>,
        some_unknown: bool,
    ) -> Result<Tokenizer, usize> {
        let mut tokens = self.tokens();
        tokens.retain(|(token, _)| unit == Unit::Characters || token != UNKNOWN);
        tokens.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let most = most.map_or(usize::MAX, |most| most as usize);
        let has_unknown = unit != Unit::Characters || some_unknown || tokens.len() > most;
        tokens.truncate(most.saturating_sub(usize::from(has_unknown)));
        let unknown = has_unknown.then(|| UNKNOWN.to_string());
        let vocabulary: Vec<String> = unknown
            .into_iter()
            .chain(tokens.into_iter().map(|(token, _)| token))
            .collect();
        if vocabulary.len() > MAX_VOCABULARY as usize {
            return Err(vocabulary.len());
        }
        Ok(Tokenizer {
            unit,
            lowercase,
            vocabulary,
            unknown: has_unknown.then_some(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(unit: Unit, tokens: &[&str]) -> Counts {
        let mut counts = Counts::new(unit);
        tokens.iter().for_each(|token| counts.add(token).unwrap());
        counts
    }

    #[test]
    fn frequent_words_come_first_and_the_rest_is_unknown() {
        let counts = counts(Unit::Words, &["b", "c", "a", "c", "b", "c", "<unk>"]);
        let all = counts.tokenizer(Unit::Words, false, None, false).unwrap();
        assert_eq!(
            (all.vocabulary, all.unknown),
            (
                ["<unk>", "c", "b", "a"].map(str::to_string).to_vec(),
                Some(0)
            )
        );
        let some = counts
            .tokenizer(Unit::Words, false, Some(3), false)
            .unwrap();
        assert_eq!(some.vocabulary, ["<unk>", "c", "b"]);
    }

    #[test]
    fn characters_have_an_unknown_one_only_where_there_is_one() {
        let counts = counts(Unit::Characters, &["b", "a", "b", "é"]);
        let vocabulary = |most, some_unknown| {
            let tokenizer = counts
                .tokenizer(Unit::Characters, false, most, some_unknown)
                .unwrap();
            (tokenizer.vocabulary.concat(), tokenizer.unknown)
        };
        assert_eq!(vocabulary(None, false), ("baé".to_string(), None));
        assert_eq!(vocabulary(Some(3), false), ("baé".to_string(), None));
        assert_eq!(vocabulary(Some(2), false), ("<unk>b".to_string(), Some(0)));
        assert_eq!(vocabulary(None, true), ("<unk>baé".to_string(), Some(0)));
        let other = super::tests::counts(Unit::Characters, &["a", "ü"]);
        assert!(other.has_more_than(&counts) && !counts.has_more_than(&counts));
    }

    #[test]
    fn a_word_without_an_end_is_not_counted() {
        let mut counts = Counts::new(Unit::Words);
        let long = "x".repeat(MAX_TOKEN_BYTES + 1);
        assert_eq!(counts.add(&long), Err(Uncounted::TooLong));
        assert_eq!(counts.add(&long[1..]), Ok(()));
    }
}
