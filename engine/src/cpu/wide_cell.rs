//! The cells of some rows of one step, compiled for the widest instruction set.

use std::ops::Range;

use plan::Recurrent;
use pulp::{Simd, WithSimd};
use spec::recurrent::Cell;

use crate::cpu::functions::Quick;
use crate::cpu::shared::Shared;
use crate::reference::cell;

/// The rows of one step.
pub(crate) struct Step<'a> {
    pub layer: &'a Recurrent,
    /// The hidden states before the first of the rows, `pitch` words apart; the other rows follow on none.
    pub states: &'a [f32],
    pub pitch: usize,
    /// `(rows, kept)`
    pub gates: &'a mut [f32],
}

impl<'a> Step<'a> {
    /// The state before a row; empty if there is none.
    #[inline(always)]
    fn before(&self, row: usize) -> &'a [f32] {
        let (states, first) = (self.states, row * self.pitch);
        states.get(first..first + self.layer.hidden).unwrap_or(&[])
    }
}

/// What a step gives.
pub(crate) struct CellForward<'a> {
    pub step: Step<'a>,
    /// What the hidden states give to the gates of a GRU: `(rows, gates · hidden)`.
    pub sums: &'a [f32],
    /// The cells of an LSTM before the first of the rows, and those to write: `(rows, hidden)`.
    pub cells_before: &'a [f32],
    pub cells: &'a mut [f32],
    /// The hidden states to write, `pitch` words apart.
    pub h: &'a mut [f32],
}

impl WithSimd for CellForward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let (layer, hidden, kept) = (
            self.step.layer,
            self.step.layer.hidden,
            self.step.layer.kept(),
        );
        let rows = self.step.gates.len() / kept;
        for row in 0..rows {
            let before = self.step.before(row);
            let h = &mut self.h[row * self.step.pitch..][..hidden];
            let gates = &mut self.step.gates[row * kept..(row + 1) * kept];
            let units = row * hidden..(row + 1) * hidden;
            match layer.cell {
                Cell::Rnn(function) => cell::rnn::<f32, Quick>(function, gates, h),
                Cell::Lstm => {
                    let cells_before = self.cells_before.get(units.clone()).unwrap_or(&[]);
                    cell::lstm::<f32, Quick>(gates, cells_before, &mut self.cells[units], h);
                }
                Cell::Gru => {
                    let sums = &self.sums[row * layer.gates()..(row + 1) * layer.gates()];
                    cell::gru::<f32, Quick>(gates, sums, before, h);
                }
            }
        }
    }
}

/// The undo: the gradients of the gates' sums take the gates' place.
pub(crate) struct CellBackward<'a> {
    pub step: Step<'a>,
    /// The hidden states, and what reaches them from above, `pitch` words apart.
    pub h: &'a [f32],
    pub dy: &'a [f32],
    /// The cells of an LSTM before the first of the rows, and those of the rows.
    pub cells_before: &'a [f32],
    pub cells: &'a [f32],
    /// What reaches hidden states and cells from the step after: `(rows, hidden)`. Of an LSTM's cells it becomes what goes to
    /// the step before; of a GRU's hidden states what goes there past the gates.
    pub dh: &'a mut [f32],
    pub dc: &'a mut [f32],
}

impl WithSimd for CellBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let (layer, hidden, kept) = (
            self.step.layer,
            self.step.layer.hidden,
            self.step.layer.kept(),
        );
        let rows = self.step.gates.len() / kept;
        for row in 0..rows {
            let before = self.step.before(row);
            let units = row * hidden..(row + 1) * hidden;
            let dh = &mut self.dh[units.clone()];
            let at = row * self.step.pitch..row * self.step.pitch + hidden;
            for (dh, &dy) in dh.iter_mut().zip(&self.dy[at.clone()]) {
                *dh += dy;
            }
            let gates = &mut self.step.gates[row * kept..(row + 1) * kept];
            match layer.cell {
                Cell::Rnn(function) => cell::rnn_backward(function, &self.h[at], dh, gates),
                Cell::Lstm => {
                    let cells_before = self.cells_before.get(units.clone()).unwrap_or(&[]);
                    let cells = &self.cells[units.clone()];
                    let dc = &mut self.dc[units];
                    cell::lstm_backward::<f32, Quick>(gates, cells_before, cells, dh, dc);
                }
                Cell::Gru => cell::gru_backward(gates, before, dh),
            }
        }
    }
}

/// The gradients of some columns, summed over the rows of each token in the order of the rows.
pub(crate) struct SumByToken<'a> {
    /// `(rows, kept)`
    pub gates: &'a [f32],
    pub kept: usize,
    /// One a row.
    pub tokens: &'a [u32],
    /// `(vocabulary, width)`, of which the columns are assigned.
    pub table: Shared<'a, f32>,
    pub width: usize,
    /// Columns that no other thread has.
    pub columns: Range<usize>,
}

impl WithSimd for SumByToken<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let row = |number: usize| {
            let first = number * self.width;
            // SAFETY: this thread has these columns for itself, and one row of them at a time.
            unsafe {
                self.table
                    .part(first + self.columns.start..first + self.columns.end)
            }
        };
        for number in 0..self.table.len() / self.width {
            row(number).fill(0.0);
        }
        for (gates, &token) in self.gates.chunks_exact(self.kept).zip(self.tokens) {
            let sums = row(token as usize).iter_mut();
            for (sum, gradient) in sums.zip(&gates[self.columns.clone()]) {
                *sum += gradient;
            }
        }
    }
}
