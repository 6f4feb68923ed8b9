//! Samples of tokens: read from the chunks that they lie in, and packed.

use std::ops::Range;
use std::sync::PoisonError;

use spec::dataset::TokenForm;

use super::{Inner, Rows};
use crate::cache::Cache;
use crate::chunk::token_words;
use crate::error::Error;
use crate::packing::Packing;

impl Rows {
    /// The most tokens of a sample that enter the model; 0 where samples are values.
    pub fn longest(&self) -> u32 {
        self.0.longest
    }

    /// How many tokens of a sample enter the model; 0 where samples are values.
    pub fn length(&self, row: u32) -> u32 {
        let tokens = self.0.chosen.layout().tokens_of(row);
        (tokens.end - tokens.start) as u32
    }

    /// The tokens of a sample that enter the model; none where samples are values.
    ///
    /// # Errors
    /// A chunk that cannot be read.
    ///
    /// # Panics
    /// If the split has no such sample.
    pub fn sample(&self, row: u32) -> Result<Vec<u32>, Error> {
        let mut tokens = Vec::new();
        let mut cache = self.0.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let range = self.0.chosen.layout().tokens_of(row);
        self.0.read_tokens(&mut cache, range, &mut tokens)?;
        Ok(tokens)
    }

    /// Fills `tokens` with these samples of tokens, packed ([`crate::Microbatch`]), `lengths` with their lengths, and
    /// `labels` with their classes in the same order, or of a stream with the token that follows each of `tokens`; all are
    /// cleared first.
    ///
    /// # Errors
    /// A chunk that cannot be read.
    ///
    /// # Panics
    /// If the split has no such sample.
    pub(crate) fn gather_tokens(
        &self,
        rows: &[u32],
        packing: &mut Packing,
        tokens: &mut Vec<u32>,
        lengths: &mut Vec<u32>,
        labels: &mut Vec<u32>,
    ) -> Result<(), Error> {
        let inner = &*self.0;
        let is_stream = inner
            .tokens
            .is_some_and(|tokens| tokens.form == TokenForm::Stream);
        packing.clear();
        let mut cache = inner.cache.lock().unwrap_or_else(PoisonError::into_inner);
        for &row in rows {
            let taken = inner.chosen.layout().tokens_of(row);
            let end = taken.end + u64::from(is_stream);
            packing.push((taken.end - taken.start) as u32, |out| {
                inner.read_tokens(&mut cache, taken.start..end, out)
            })?;
        }
        drop(cache);
        packing.pack(lengths, tokens);
        if is_stream {
            packing.following(labels);
        } else {
            labels.clear();
            labels.extend(
                packing
                    .order()
                    .map(|number| inner.labels[rows[number as usize] as usize]),
            );
        }
        Ok(())
    }
}

impl Inner {
    /// Appends the tokens of this range, which may lie in several chunks.
    fn read_tokens(
        &self,
        cache: &mut Cache,
        range: Range<u64>,
        out: &mut Vec<u32>,
    ) -> Result<(), Error> {
        let size = self.element.bytes();
        let mut wanted = (range.end - range.start) as usize;
        let (mut number, mut at) = self.chosen.layout().find_token(range.start);
        while wanted > 0 {
            let content = self.chunk(cache, number)?.content();
            let rest = &content[(at * size).min(content.len())..];
            let rest = &rest[..rest.len().min(wanted * size)];
            wanted -= rest.len() / size;
            out.extend(token_words(self.element, rest));
            (number, at) = (number + 1, 0);
        }
        Ok(())
    }
}
