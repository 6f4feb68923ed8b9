//! The workspace of a recurrent layer: hidden weights packed once for all steps, what goes from step to step, and blocks
//! for the products over all rows. Directions run one after the other and share it.

use serde::Serialize;

use crate::dense::{GEMM_WORDS, packed_words};
use spec::recurrent::Cell;

use crate::op::{Embedding, Recurrent};
use crate::window::TILE;

/// One recurrent layer as it runs, and what it keeps between its passes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecurrentStage {
    /// Its extents.
    pub layer: Recurrent,
    /// The table in front of it, where there are fewer tokens than rows: then what a token gives to the gates is computed once
    /// a token.
    pub table: Option<Embedding>,
    /// What each direction keeps.
    pub kept: Vec<Kept>,
    /// Its workspace.
    pub work: RecurrentWork,
}

/// What a direction keeps between its passes, as positions among the plan's buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// `(rows, kept)`
    pub gates: usize,
    /// `(rows, hidden)` of an LSTM.
    pub cells: Option<usize>,
}

/// Words of workspace of a recurrent layer, in the order in which they lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RecurrentWork {
    /// The packed hidden weights.
    pub packed: usize,
    /// Both biases added.
    pub bias: usize,
    /// What the hidden states of one step give to the gates: `(N, gates · hidden)` of a GRU.
    pub sums: usize,
    /// The gradients that go from step to step, of hidden states and of cells: `(N, hidden)` each.
    pub carried: usize,
    /// The hidden states before each row, where sequences are not equally long: `(rows, hidden)`.
    pub before: usize,
    /// What each token of a table gives to the gates, or the gradient of that: `(vocabulary, gates · hidden)`.
    pub table: usize,
    /// Blocks of products, for all threads.
    pub blocks: usize,
    /// All that the forward pass takes: packed weights, bias, sums, table and blocks.
    pub forward_words: usize,
    /// All that the backward pass takes: packed weights, both carried, states before, table and blocks.
    pub backward_words: usize,
}

impl RecurrentWork {
    /// The work of `layer` over microbatches of `samples` sequences of up to `steps` steps on `threads`, if it can be counted.
    pub fn new(
        layer: &Recurrent,
        table: Option<&Embedding>,
        [samples, steps]: [usize; 2],
        threads: usize,
    ) -> Option<Self> {
        let (hidden, gates) = (layer.hidden, layer.gates());
        let packed = packed_words(hidden, gates)?.max(packed_words(gates, hidden)?);
        let bias = gates.checked_next_multiple_of(TILE)?;
        let sums = match layer.cell {
            Cell::Gru => words(samples, gates)?,
            _ => 0,
        };
        let carried = words(samples, hidden)?;
        let before = words(samples.checked_mul(steps)?, hidden)?;
        let table = match table {
            Some(table) => words(table.vocabulary, gates)?,
            None => 0,
        };
        let blocks = GEMM_WORDS.checked_mul(threads)?;
        let total = |parts: &[usize]| {
            let total = parts
                .iter()
                .try_fold(0usize, |sum, &part| sum.checked_add(part));
            total.filter(|&words| words <= 1 << 44)
        };
        Some(RecurrentWork {
            packed,
            bias,
            sums,
            carried,
            before,
            table,
            blocks,
            forward_words: total(&[packed, bias, sums, table, blocks])?,
            backward_words: total(&[packed, carried, carried, before, table, blocks])?,
        })
    }
}

fn words(rows: usize, columns: usize) -> Option<usize> {
    rows.checked_mul(columns)?.checked_next_multiple_of(TILE)
}
