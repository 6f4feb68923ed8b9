//! What kernels of sequences are given.

use crate::operands::View;

/// Operands of an embedding's backward pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EmbeddingBackward {
    /// `(rows, size)`
    pub y_gradient: View,
    /// `(vocabulary, size)`
    pub table_gradient: View,
    /// Whether the table's gradient is added to, since a layer tied to it has been there; else it is assigned.
    pub adds: bool,
}

/// Weights and biases of one direction of a recurrent layer, or their gradients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecurrentWeights {
    /// `(gates · hidden, inputs)`
    pub input: View,
    /// `(gates · hidden, hidden)`
    pub hidden: View,
    /// `(gates · hidden)` for the input and for the hidden state.
    pub biases: Option<[View; 2]>,
}

/// What a recurrent layer keeps of one direction between its passes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecurrentKept {
    /// `(rows, kept)`
    pub gates: View,
    /// `(rows, hidden)` of an LSTM.
    pub cells: Option<View>,
}

/// What a recurrent layer takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecurrentInput<'a> {
    /// `(rows, inputs)`, or the table whose rows the tokens name: `(vocabulary, inputs)`.
    pub x: View,
    /// For each row its row of the table.
    pub tokens: Option<&'a [u32]>,
}

/// Where the gradient of what a recurrent layer takes goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecurrentInputGradient {
    /// Like what it takes.
    pub x: View,
    /// Whether it is added to; else the first direction assigns it.
    pub adds: bool,
    /// A row of the table that gets none.
    pub padding_index: Option<usize>,
}

/// Operands of the forward pass of one direction of a recurrent layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecurrentForward<'a> {
    /// What it takes.
    pub input: RecurrentInput<'a>,
    /// Its weights.
    pub weights: RecurrentWeights,
    /// What it keeps.
    pub kept: RecurrentKept,
    /// `(rows, directions · hidden)`, of which it writes its own columns.
    pub y: View,
    /// What the plan grants.
    pub work: View,
}

/// Operands of the backward pass of one direction of a recurrent layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecurrentBackward<'a> {
    /// What it has taken.
    pub input: RecurrentInput<'a>,
    /// Its weights.
    pub weights: RecurrentWeights,
    /// What it has kept.
    pub kept: RecurrentKept,
    /// `(rows, directions · hidden)`
    pub y: View,
    /// `(rows, directions · hidden)`
    pub y_gradient: View,
    /// Those of its weights.
    pub gradients: RecurrentWeights,
    /// Where its input's goes.
    pub input_gradient: Option<RecurrentInputGradient>,
    /// What the plan grants.
    pub work: View,
}
