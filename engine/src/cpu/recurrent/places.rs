//! Where things stand in a recurrent layer: gates among the weights and among what is kept, rows of steps and of groups of
//! samples.

use std::ops::Range;

use plan::Recurrent;
use spec::recurrent::Cell;

use crate::cpu::product::matrix::Matrix;
use crate::packing::{Direction, Packing};

/// Some gates of a layer: rows of the input's weights, and the column at which they stand among those kept.
pub(crate) struct InputPart {
    pub rows: Range<usize>,
    pub column: usize,
}

impl InputPart {
    /// Its weights.
    pub fn weights<'a>(&self, layer: &Recurrent, weights: &'a [f32]) -> Matrix<'a> {
        let words = self.rows.start * layer.inputs..self.rows.end * layer.inputs;
        Matrix::new(&weights[words], self.rows.len(), layer.inputs)
    }
}

/// The gates that the input gives to: of a GRU new stands first, and last in the weights.
pub(crate) fn input_parts(layer: &Recurrent) -> impl Iterator<Item = InputPart> + use<> {
    let (hidden, gates) = (layer.hidden, layer.gates());
    let part = |rows, column| Some(InputPart { rows, column });
    let parts = match layer.cell {
        Cell::Rnn(_) | Cell::Lstm => [part(0..gates, 0), None],
        Cell::Gru => [part(0..2 * hidden, hidden), part(2 * hidden..gates, 0)],
    };
    parts.into_iter().flatten()
}

/// The column among the gates kept at which those begin that the hidden weights give to.
pub(crate) fn hidden_column(layer: &Recurrent) -> usize {
    match layer.cell {
        Cell::Rnn(_) | Cell::Lstm => 0,
        Cell::Gru => layer.hidden,
    }
}

/// Where a direction's hidden states stand in a row of what goes out.
pub(crate) fn column(layer: &Recurrent, direction: Direction) -> usize {
    match direction {
        Direction::Forward => 0,
        Direction::Reverse => layer.hidden,
    }
}

/// The samples of one of `groups` groups with about as many rows each.
pub(crate) fn group_of(packing: &Packing, groups: usize, group: usize) -> Range<usize> {
    let begin = |group: usize| {
        let wanted = packing.rows() * group / groups;
        let (mut sample, mut rows) = (0, 0);
        while sample < packing.samples() && rows < wanted {
            rows += packing.length(sample);
            sample += 1;
        }
        sample
    };
    begin(group)..begin(group + 1)
}

/// The rows that follow on a state, and those states: as they lie where all sequences are equally long, else gathered with
/// zeros for the rows that follow on none.
pub(crate) fn states_before<'a>(
    direction: Direction,
    packing: &Packing,
    y: &'a [f32],
    first: usize,
    pitch: usize,
    hidden: usize,
    gathered: &'a mut [f32],
) -> (Range<usize>, Matrix<'a>) {
    let (rows, samples) = (packing.rows(), packing.samples());
    if packing.is_even() {
        let (followers, states) = match direction {
            Direction::Forward => (samples..rows, 0..rows - samples),
            Direction::Reverse => (0..rows - samples, samples..rows),
        };
        let words = &y[pitched(&states, pitch, first, hidden)];
        return (
            followers,
            Matrix::pitched(words, states.len(), hidden, pitch),
        );
    }
    let all = 0..samples;
    for step in 0..packing.steps() {
        let before = packing.before(direction, step, &all);
        for (number, row) in packing.step(step).enumerate() {
            let to = &mut gathered[row * hidden..(row + 1) * hidden];
            if number < before.len() {
                let from = (before.start + number) * pitch + first;
                to.copy_from_slice(&y[from..from + hidden]);
            } else {
                to.fill(0.0);
            }
        }
    }
    (0..rows, Matrix::new(gathered, rows, hidden))
}

/// The words of `rows` that are `hidden` long and begin at column `first` of rows that are `pitch` long.
pub(crate) fn pitched(
    rows: &Range<usize>,
    pitch: usize,
    first: usize,
    hidden: usize,
) -> Range<usize> {
    if rows.is_empty() {
        return 0..0;
    }
    rows.start * pitch + first..(rows.end - 1) * pitch + first + hidden
}

pub(crate) fn times(rows: &Range<usize>, words: usize) -> Range<usize> {
    rows.start * words..rows.end * words
}

/// A part of what may not be there.
pub(crate) fn some(values: &[f32], range: Range<usize>) -> &[f32] {
    if values.is_empty() {
        values
    } else {
        &values[range]
    }
}

pub(crate) fn parts<const N: usize>(mut words: &mut [f32], sizes: [usize; N]) -> [&mut [f32]; N] {
    sizes.map(|size| {
        let (part, rest) = std::mem::take(&mut words).split_at_mut(size);
        words = rest;
        part
    })
}
