//! How text is split into tokens: into characters, into words and the marks between them, or at white space.

use spec::tokenizer::Unit;

/// Splits text into tokens.
#[derive(Debug, Clone)]
pub struct Splitter {
    unit: Unit,
    lowercase: bool,
    token: String,
}

impl Splitter {
    /// A splitter into these units; `lowercase` puts every character into lower case first.
    pub fn new(unit: Unit, lowercase: bool) -> Self {
        Splitter {
            unit,
            lowercase,
            token: String::new(),
        }
    }

    /// What a token is.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Hands on the tokens of a text, one after the other.
    ///
    /// # Errors
    /// The first of `take`.
    pub fn split<E>(
        &mut self,
        text: &str,
        mut take: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        self.token.clear();
        for character in text.chars() {
            let is_word = match self.unit {
                Unit::Characters => false,
                Unit::Words => character.is_alphanumeric() || character == '_',
                Unit::Whitespace => !character.is_whitespace(),
            };
            // Whatever does not go on a word ends the one before it.
            if !is_word && !self.token.is_empty() {
                take(&self.token)?;
                self.token.clear();
            }
            let is_between = self.unit != Unit::Characters && character.is_whitespace();
            if is_between {
                continue;
            }
            if self.lowercase {
                for lower in character.to_lowercase() {
                    self.token.push(lower);
                    // One character may become several, each a token of its own.
                    if self.unit == Unit::Characters {
                        take(&self.token)?;
                        self.token.clear();
                    }
                }
            } else {
                self.token.push(character);
            }
            if !is_word && !self.token.is_empty() {
                take(&self.token)?;
                self.token.clear();
            }
        }
        if !self.token.is_empty() {
            take(&self.token)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn tokens(unit: Unit, lowercase: bool, text: &str) -> Vec<String> {
        let mut tokens = Vec::new();
        let take = |token: &str| {
            tokens.push(token.to_string());
            Ok::<_, Infallible>(())
        };
        Splitter::new(unit, lowercase).split(text, take).unwrap();
        tokens
    }

    #[test]
    fn every_unit_splits_as_it_says() {
        let text = "Don't  stop: naïve_1 <unk>\u{85}ok.\n";
        let words = [
            "Don", "'", "t", "stop", ":", "naïve_1", "<", "unk", ">", "ok", ".",
        ];
        assert_eq!(tokens(Unit::Words, false, text), words);
        let runs = ["Don't", "stop:", "naïve_1", "<unk>", "ok."];
        assert_eq!(tokens(Unit::Whitespace, false, text), runs);
        assert_eq!(
            tokens(Unit::Characters, false, "aÄ \n"),
            ["a", "Ä", " ", "\n"]
        );
    }

    #[test]
    fn lower_case_is_that_of_each_character() {
        assert_eq!(tokens(Unit::Words, true, "FREE Ärger"), ["free", "ärger"]);
        assert_eq!(tokens(Unit::Characters, true, "Aİ"), ["a", "i", "\u{307}"]);
    }

    proptest! {
        #[test]
        fn no_character_but_white_space_is_lost(text in "\\PC{0,40}") {
            let characters: String = tokens(Unit::Characters, false, &text).concat();
            prop_assert_eq!(&characters, &text);
            let dense: String = text.chars().filter(|c| !c.is_whitespace()).collect();
            for unit in [Unit::Words, Unit::Whitespace] {
                let split = tokens(unit, false, &text);
                prop_assert_eq!(split.concat(), dense.clone());
                prop_assert!(split.iter().all(|token| !token.is_empty()));
            }
        }
    }
}
