//! What flows between layers.

use std::fmt;

use serde::Serialize;
use spec::Shape;
use spec::checkpoint::DataFacts;
use spec::dataset::TokenForm;

/// A sample's part of what flows between two layers: one value of some shape, or one a step where the sample is a sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signal {
    /// The shape of the value, or of one step's.
    pub shape: Shape,
    /// The most steps of a sequence, where the sample is one.
    pub steps: Option<usize>,
    /// How many different tokens there can be, where each step is one.
    pub vocabulary: Option<usize>,
}

/// What has a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// Every sample.
    Sample,
    /// Every step of every sample, as the next token.
    Step,
}

impl Signal {
    /// Sequences of up to `steps` tokens.
    pub fn tokens(vocabulary: usize, steps: usize) -> Signal {
        Signal {
            shape: Shape::new(vec![1]).expect("a token is one value"),
            steps: Some(steps),
            vocabulary: Some(vocabulary),
        }
    }

    /// Sequences of up to `steps` values of `shape`.
    pub fn sequence(shape: Shape, steps: usize) -> Signal {
        Signal {
            shape,
            steps: Some(steps),
            vocabulary: None,
        }
    }

    /// The most values of a sample; tokens are none.
    pub fn values(&self) -> usize {
        match self.vocabulary {
            Some(_) => 0,
            None => self.shape.elements() * self.steps.unwrap_or(1),
        }
    }

    /// The same steps, each of another shape.
    pub(crate) fn with(&self, shape: Shape) -> Signal {
        Signal {
            shape,
            steps: self.steps,
            vocabulary: None,
        }
    }
}

impl From<Shape> for Signal {
    fn from(shape: Shape) -> Signal {
        Signal {
            shape,
            steps: None,
            vocabulary: None,
        }
    }
}

impl From<&DataFacts> for Signal {
    fn from(facts: &DataFacts) -> Signal {
        match &facts.tokens {
            None => Signal::from(facts.shape.clone()),
            Some(tokens) => {
                Signal::tokens(tokens.vocabulary as usize, tokens.sequence_length as usize)
            }
        }
    }
}

impl From<&DataFacts> for Per {
    fn from(facts: &DataFacts) -> Per {
        match facts.tokens.map(|tokens| tokens.form) {
            Some(TokenForm::Stream) => Per::Step,
            Some(TokenForm::Sequences) | None => Per::Sample,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.steps, self.vocabulary) {
            (Some(steps), Some(_)) => write!(f, "sequences of up to {steps} tokens"),
            (Some(steps), None) => write!(f, "sequences of up to {steps} steps of {}", self.shape),
            (None, _) => write!(f, "{}", self.shape),
        }
    }
}
