//! Layers of sequences: tables of vectors, and recurrent layers.

use serde::{Deserialize, Serialize};

/// A table of vectors, one a token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Embedding {
    /// Values of a vector.
    pub size: u32,
    /// The token whose vector starts at 0 and gets no gradient.
    pub padding_index: Option<u32>,
}

/// Recurrent layers on each other, from hidden states of 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recurrent {
    /// What happens at a step.
    pub cell: Cell,
    /// Hidden units of each direction.
    pub hidden: u32,
    /// Layers on each other.
    pub layers: u32,
    /// Whether a second direction runs from each sequence's end; what goes out is then twice as wide.
    pub bidirectional: bool,
    /// The share of values between two layers that is dropped in training, in [0, 1).
    pub dropout: f64,
    /// What goes out.
    pub output: Output,
    /// Whether biases are added, two as in PyTorch.
    pub bias: bool,
}

/// What a recurrent layer does at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// `h' = f(W x + U h + b)` (Elman 1990).
    Rnn(Nonlinearity),
    /// Long short-term memory (Hochreiter and Schmidhuber 1997; with a forget gate, Gers 2000).
    Lstm,
    /// Gated recurrent unit (Cho and others 2014), the reset gate applied to `U h + b` as in PyTorch.
    Gru,
}

/// The function of a plain recurrent layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nonlinearity {
    /// The hyperbolic tangent.
    Tanh,
    /// `max(x, 0)`.
    Relu,
}

/// What goes out of the last of several recurrent layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// The hidden state of every step.
    All,
    /// That of each sequence's last step; of the second direction its own last, at the first step: PyTorch's `h_n`.
    Last,
    /// The mean over the steps of each sequence.
    Mean,
}

impl Cell {
    /// The layer's name in a job file.
    pub fn word(self) -> &'static str {
        match self {
            Cell::Rnn(_) => "rnn",
            Cell::Lstm => "lstm",
            Cell::Gru => "gru",
        }
    }

    /// Rows of its weights for each hidden unit.
    pub fn gates(self) -> usize {
        match self {
            Cell::Rnn(_) => 1,
            Cell::Lstm => 4,
            Cell::Gru => 3,
        }
    }
}
