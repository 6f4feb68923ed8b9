//! Text to the numbers of its tokens, and back to text for people.

use std::collections::BTreeMap;

use spec::tokenizer::{END_OF_LINE, Tokenizer, Unit};

use crate::splitter::Splitter;

/// A token that the vocabulary does not have, where it has no `<unk>` either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the vocabulary does not have {token:?}, nor <unk>: leave it out of the text")]
pub struct UnknownToken {
    /// The token.
    pub token: String,
}

/// A tokenizer, ready to be used.
#[derive(Debug)]
pub struct Encoder {
    tokenizer: Tokenizer,
    splitter: Splitter,
    numbers: Numbers,
}

#[derive(Debug)]
enum Numbers {
    /// By the character's code; `u32::MAX` where there is none.
    Characters(Vec<u32>),
    Words(BTreeMap<String, u32>),
}

impl Encoder {
    /// What a tokenizer does.
    pub fn new(tokenizer: Tokenizer) -> Self {
        let numbered = (0u32..).zip(&tokenizer.vocabulary);
        let numbers = if tokenizer.unit == Unit::Characters {
            let mut numbers = Vec::new();
            for (number, token) in numbered {
                let mut characters = token.chars();
                if let (Some(character), None) = (characters.next(), characters.next()) {
                    let code = character as usize;
                    numbers.resize(numbers.len().max(code + 1), u32::MAX);
                    numbers[code] = number;
                }
            }
            Numbers::Characters(numbers)
        } else {
            Numbers::Words(
                numbered
                    .map(|(number, token)| (token.clone(), number))
                    .collect(),
            )
        };
        Encoder {
            splitter: Splitter::new(tokenizer.unit, tokenizer.lowercase),
            tokenizer,
            numbers,
        }
    }

    /// Appends the numbers of a text's tokens.
    ///
    /// # Errors
    /// A token that the vocabulary does not have, without `<unk>` in it.
    pub fn encode(&mut self, text: &str, out: &mut Vec<u32>) -> Result<(), UnknownToken> {
        let (numbers, unknown) = (&self.numbers, self.tokenizer.unknown);
        self.splitter.split(text, |token| {
            out.push(numbers.of(token).or(unknown).ok_or_else(|| UnknownToken {
                token: token.to_string(),
            })?);
            Ok(())
        })
    }

    /// Appends the number of one token, whatever it is.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub fn token(&self, token: &str, out: &mut Vec<u32>) -> Result<(), UnknownToken> {
        let number = self.numbers.of(token).or(self.tokenizer.unknown);
        out.push(number.ok_or_else(|| UnknownToken {
            token: token.to_string(),
        })?);
        Ok(())
    }

    /// What a token is.
    pub fn unit(&self) -> Unit {
        self.tokenizer.unit
    }

    /// Text for people: characters as they were, words with a space between them and lines ended at `<eos>`.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let is_spaced = self.tokenizer.unit != Unit::Characters;
        let mut text = String::new();
        for &token in tokens {
            let known = self.tokenizer.vocabulary.get(token as usize);
            let token = known.map_or("", String::as_str);
            if is_spaced && token == END_OF_LINE {
                text.push('\n');
                continue;
            }
            if is_spaced && !text.is_empty() && !text.ends_with('\n') {
                text.push(' ');
            }
            text.push_str(token);
        }
        text
    }
}

impl Numbers {
    fn of(&self, token: &str) -> Option<u32> {
        match self {
            Numbers::Words(numbers) => numbers.get(token).copied(),
            Numbers::Characters(numbers) => {
                let code = token.chars().next()? as usize;
                numbers
                    .get(code)
                    .copied()
                    .filter(|&number| number != u32::MAX)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use spec::tokenizer::UNKNOWN;

    use super::*;

    fn encoder(unit: Unit, vocabulary: &[&str], unknown: Option<u32>) -> Encoder {
        Encoder::new(Tokenizer {
            unit,
            lowercase: true,
            vocabulary: vocabulary.iter().map(|token| token.to_string()).collect(),
            unknown,
        })
    }

    #[test]
    fn words_are_found_and_what_is_not_known_has_its_own_number() {
        let mut words = encoder(Unit::Words, &[UNKNOWN, "the", END_OF_LINE, "."], Some(0));
        let mut numbers = Vec::new();
        words.encode("The end.", &mut numbers).unwrap();
        assert_eq!(numbers, [1, 0, 3]);
        words.token(END_OF_LINE, &mut numbers).unwrap();
        assert_eq!(numbers, [1, 0, 3, 2]);
        assert_eq!(words.decode(&[1, 0, 3, 2, 1]), "the <unk> .\nthe");
    }

    #[test]
    fn a_character_that_is_not_known_is_named() {
        let mut characters = encoder(Unit::Characters, &["a", "ä", "\n"], None);
        let mut numbers = Vec::new();
        characters.encode("aÄ\n", &mut numbers).unwrap();
        assert_eq!(
            (numbers.as_slice(), characters.decode(&numbers)),
            ([0, 1, 2].as_slice(), "aä\n".to_string())
        );
        let refused = characters.encode("ab", &mut numbers).unwrap_err();
        assert_eq!(refused.token, "b");
    }
}
