//! A tokenizer: how text is split into tokens, and the number of each. It lies in a chunk of its own, whose digest names it:
//! datasets say what they were split with, and checkpoints what prediction has to split with.

use serde::{Deserialize, Serialize};

/// The token for what the vocabulary does not have.
pub const UNKNOWN: &str = "<unk>";
/// The token at the end of a line, where lines are split into words.
pub const END_OF_LINE: &str = "<eos>";
/// The most tokens that a vocabulary may have.
pub const MAX_VOCABULARY: u32 = 1 << 20;
/// The most bytes that one token may have.
pub const MAX_TOKEN_BYTES: usize = 1024;

/// How text becomes tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokenizer {
    /// What a token is.
    pub unit: Unit,
    /// Whether text is put into lower case first, character by character.
    pub lowercase: bool,
    /// The tokens, by number.
    pub vocabulary: Vec<String>,
    /// The number of [`UNKNOWN`], which stands for what the vocabulary does not have; without it such text is refused.
    pub unknown: Option<u32>,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A character (a Unicode scalar value), white space and line ends included.
    Characters,
    /// A run of letters, digits and `_`, or one character that is neither of these nor white space.
    Words,
    /// A run of anything but white space.
    Whitespace,
}

/// Why bytes are no tokenizer.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerFault {
    /// They do not parse.
    #[error("does not parse: {source}")]
    Json {
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A vocabulary of a size that there cannot be, or a number of `<unk>` beyond it.
    #[error("has {tokens} tokens and <unk> as number {unknown:?}, which cannot be")]
    Vocabulary {
        /// Its tokens.
        tokens: usize,
        /// The number of `<unk>`.
        unknown: Option<u32>,
    },
}

impl Unit {
    /// The word for it, on the command line and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Unit::Characters => "characters",
            Unit::Words => "words",
            Unit::Whitespace => "whitespace",
        }
    }
}

impl Tokenizer {
    /// The bytes of its chunk: equal tokenizers, equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a tokenizer has no map with keys that are not text")
    }

    /// The tokenizer that a chunk holds.
    ///
    /// # Errors
    /// Bytes that are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, TokenizerFault> {
        let read: Tokenizer =
            serde_json::from_slice(bytes).map_err(|source| TokenizerFault::Json { source })?;
        let tokens = read.vocabulary.len();
        let known = |number: u32| (number as usize) < tokens;
        if tokens == 0 || tokens > MAX_VOCABULARY as usize || !read.unknown.is_none_or(known) {
            let unknown = read.unknown;
            return Err(TokenizerFault::Vocabulary { tokens, unknown });
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tokenizer_reads_its_own_bytes_and_no_others() {
        let tokenizer = Tokenizer {
            unit: Unit::Words,
            lowercase: true,
            vocabulary: vec![UNKNOWN.to_string(), "the".to_string()],
            unknown: Some(0),
        };
        let bytes = tokenizer.encode();
        assert_eq!(Tokenizer::decode(&bytes).expect("a tokenizer"), tokenizer);
        assert!(matches!(
            Tokenizer::decode(b"{}"),
            Err(TokenizerFault::Json { .. })
        ));
        for wrong in [
            Tokenizer {
                unknown: Some(2),
                ..tokenizer.clone()
            },
            Tokenizer {
                vocabulary: Vec::new(),
                unknown: None,
                ..tokenizer
            },
        ] {
            let refused = Tokenizer::decode(&wrong.encode());
            assert!(
                matches!(refused, Err(TokenizerFault::Vocabulary { .. })),
                "{wrong:?}"
            );
        }
    }
}
