//! Layers of sequences on what reaches them.

use spec::recurrent::{self, Output};

use crate::error::Error;
use crate::extent::At;
use crate::op::{Embedding, Op, OverTime, Recurrent, TimeKind};
use crate::signal::Signal;

impl At<'_> {
    /// A vector for each token.
    ///
    /// # Errors
    /// Values that are no tokens; a padding index beyond the vocabulary.
    pub fn embedding(&self, embedding: &recurrent::Embedding) -> Result<(Op, Signal), Error> {
        let Some(vocabulary) = self.signal.vocabulary else {
            return Err(Error::NeedsTokens {
                layer: self.layer,
                path: self.path.into(),
                input: self.signal.to_string(),
            });
        };
        let padding_index = embedding.padding_index.map(|index| index as usize);
        if let Some(index) = padding_index.filter(|&index| index >= vocabulary) {
            return Err(Error::PaddingIndex {
                layer: self.layer,
                path: self.path.into(),
                index,
                vocabulary,
            });
        }
        let size = embedding.size as usize;
        self.at_least_one("size", size)?;
        let op = Embedding {
            vocabulary,
            size,
            padding_index,
            tied: false,
        };
        Ok((Op::Embedding(op), self.signal.with(self.shape(vec![size])?)))
    }

    /// The first of recurrent layers on each other.
    ///
    /// # Errors
    /// What is no sequence, or has steps of more than one extent.
    pub fn recurrent(&self, recurrent: &recurrent::Recurrent) -> Result<Recurrent, Error> {
        if self.signal.steps.is_none() || self.signal.vocabulary.is_some() {
            return Err(Error::NeedsSequence {
                layer: self.layer,
                path: self.path.into(),
                word: self.word,
                input: self.signal.to_string(),
            });
        }
        let hidden = recurrent.hidden as usize;
        self.at_least_one("hidden", hidden)?;
        Ok(Recurrent {
            cell: recurrent.cell,
            inputs: self.flat()?,
            hidden,
            directions: 1 + usize::from(recurrent.bidirectional),
            bias: recurrent.bias,
            number: 0,
        })
    }

    /// What recurrent layers give at every step.
    ///
    /// # Errors
    /// More than can be counted.
    pub fn states(&self, layer: &Recurrent) -> Result<Signal, Error> {
        Ok(self.signal.with(self.shape(vec![layer.outputs()])?))
    }
}

/// What becomes of the hidden states of all steps, where not all of them go out.
pub(crate) fn over_time(output: Output, layer: &Recurrent) -> Option<OverTime> {
    let kind = match output {
        Output::All => return None,
        Output::Last => TimeKind::Last {
            forward: layer.hidden,
        },
        Output::Mean => TimeKind::Mean,
    };
    Some(OverTime {
        features: layer.outputs(),
        kind,
    })
}
