//! Recurrent layers over packed sequences, one direction of one layer at a time.

use std::ops::Range;

use plan::{Recurrent, RecurrentStage};
use spec::recurrent::Cell;

use crate::backend::{RecurrentBackward, RecurrentForward, Sequences};
use crate::float::Float;
use crate::packing::{Direction, Packing};
use crate::reference::cell;
use crate::reference::device::Reference;
use crate::reference::functions::Plain;

/// Where a direction's hidden states stand in a row of what goes out.
pub(crate) fn column(layer: &Recurrent, direction: Direction) -> usize {
    match direction {
        Direction::Forward => 0,
        Direction::Reverse => layer.hidden,
    }
}

impl<T: Float> Sequences for Reference<T> {
    fn recurrent_forward(
        &mut self,
        stage: &RecurrentStage,
        direction: Direction,
        packing: &Packing,
        at: RecurrentForward<'_>,
    ) {
        let layer = &stage.layer;
        let (hidden, kept, pitch) = (layer.hidden, layer.kept(), layer.outputs());
        let first = column(layer, direction);
        let [input_bias, hidden_bias] = at.weights.biases.map_or([None; 2], |both| both.map(Some));
        let [x, wi, wh, bi, bh, gates, cells, y] = self.numbers([
            Some(at.input.x),
            Some(at.weights.input),
            Some(at.weights.hidden),
            input_bias,
            hidden_bias,
            Some(at.kept.gates),
            at.kept.cells,
            Some(at.y),
        ]);
        let all = 0..packing.samples();
        for step in packing.order(direction) {
            let rows = packing.part(step, &all);
            let before = packing.before(direction, step, &all);
            for (number, row) in rows.enumerate() {
                let before = (number < before.len()).then(|| before.start + number);
                let state = before.map(|row| y[row * pitch + first..][..hidden].to_vec());
                let x = &x[words_of(layer, at.input.tokens, row)];
                let from_input = product(wi, x, bi);
                let from_hidden = match &state {
                    Some(state) => product(wh, state, bh),
                    None if bh.is_empty() => vec![T::ZERO; layer.gates()],
                    None => bh.to_vec(),
                };
                let gates = &mut gates[row * kept..(row + 1) * kept];
                let y = &mut y[row * pitch + first..][..hidden];
                match layer.cell {
                    Cell::Rnn(function) => {
                        sums(gates, &from_input, &from_hidden);
                        cell::rnn::<T, Plain>(function, gates, y);
                    }
                    Cell::Lstm => {
                        sums(gates, &from_input, &from_hidden);
                        let earlier = before.map(|row| cells[row * hidden..][..hidden].to_vec());
                        let cells = &mut cells[row * hidden..];
                        cell::lstm::<T, Plain>(gates, &earlier.unwrap_or_default(), cells, y);
                    }
                    Cell::Gru => {
                        gates[..hidden].copy_from_slice(&from_input[2 * hidden..]);
                        gates[hidden..3 * hidden].copy_from_slice(&from_input[..2 * hidden]);
                        let state = state.unwrap_or_default();
                        cell::gru::<T, Plain>(gates, &from_hidden, &state, y);
                    }
                }
            }
        }
    }

    fn recurrent_backward(
        &mut self,
        stage: &RecurrentStage,
        direction: Direction,
        packing: &Packing,
        at: RecurrentBackward<'_>,
    ) {
        let layer = &stage.layer;
        let (hidden, kept, pitch) = (layer.hidden, layer.kept(), layer.outputs());
        let first = column(layer, direction);
        let [dbi, dbh] = at.gradients.biases.map_or([None; 2], |both| both.map(Some));
        let [x, wi, wh, gates, cells, y, dy, dwi, dwh, dbi, dbh, dx] = self.numbers([
            Some(at.input.x),
            Some(at.weights.input),
            Some(at.weights.hidden),
            Some(at.kept.gates),
            at.kept.cells,
            Some(at.y),
            Some(at.y_gradient),
            Some(at.gradients.input),
            Some(at.gradients.hidden),
            dbi,
            dbh,
            at.input_gradient.map(|gradient| gradient.x),
        ]);
        for gradient in [&mut *dwi, &mut *dwh, &mut *dbi, &mut *dbh] {
            gradient.fill(T::ZERO);
        }
        let adds = at.input_gradient.is_some_and(|gradient| gradient.adds);
        if direction == Direction::Forward && !adds {
            dx.fill(T::ZERO);
        }
        let padding = at
            .input_gradient
            .and_then(|gradient| gradient.padding_index);
        let all = 0..packing.samples();
        let mut dh = vec![T::ZERO; packing.samples() * hidden];
        let mut dc = vec![T::ZERO; packing.samples() * hidden];
        for step in packing.order(direction).rev() {
            let rows = packing.part(step, &all);
            let before = packing.before(direction, step, &all);
            for (sample, row) in rows.enumerate() {
                let before = (sample < before.len()).then(|| before.start + sample);
                let state = before.map_or(&[][..], |row| &y[row * pitch + first..][..hidden]);
                let units = sample * hidden..(sample + 1) * hidden;
                let dh = &mut dh[units.clone()];
                for (dh, &dy) in dh.iter_mut().zip(&dy[row * pitch + first..]) {
                    *dh += dy;
                }
                let gates = &mut gates[row * kept..(row + 1) * kept];
                let h = &y[row * pitch + first..][..hidden];
                match layer.cell {
                    Cell::Rnn(function) => {
                        cell::rnn_backward(function, h, dh, gates);
                        dh.fill(T::ZERO);
                    }
                    Cell::Lstm => {
                        let read = before.map_or(&[][..], |row| &cells[row * hidden..]);
                        let cells = &cells[row * hidden..];
                        cell::lstm_backward::<T, Plain>(gates, read, cells, dh, &mut dc[units]);
                        dh.fill(T::ZERO);
                    }
                    Cell::Gru => cell::gru_backward(gates, state, dh),
                }
                let (to_input, to_hidden) = by_weights(layer, gates);
                let x_row = words_of(layer, at.input.tokens, row);
                let token = at.input.tokens.map(|tokens| tokens[row] as usize);
                outer(dwi, &to_input, &x[x_row.clone()]);
                outer(dwh, &to_hidden, state);
                for (bias, gradients) in [(&mut *dbi, &to_input), (&mut *dbh, &to_hidden)] {
                    bias.iter_mut()
                        .zip(gradients)
                        .for_each(|(bias, &gradient)| *bias += gradient);
                }
                if !dx.is_empty() && (token.is_none() || token != padding) {
                    back(&mut dx[x_row], &to_input, wi);
                }
                back(dh, &to_hidden, wh);
            }
        }
    }
}

/// Where what a row takes stands: the row, or its token's row of the table.
fn words_of(layer: &Recurrent, tokens: Option<&[u32]>, row: usize) -> Range<usize> {
    let row = tokens.map_or(row, |tokens| tokens[row] as usize);
    row * layer.inputs..(row + 1) * layer.inputs
}

/// `W v + b`; the bias may be empty.
fn product<T: Float>(weight: &[T], values: &[T], bias: &[T]) -> Vec<T> {
    let rows = weight.chunks_exact(values.len()).enumerate();
    rows.map(|(row, weight)| {
        let start = bias.get(row).copied().unwrap_or(T::ZERO);
        let both = weight.iter().zip(values);
        both.fold(start, |sum, (&weight, &value)| sum + weight * value)
    })
    .collect()
}

fn sums<T: Float>(into: &mut [T], left: &[T], right: &[T]) {
    for (into, (&left, &right)) in into.iter_mut().zip(left.iter().zip(right)) {
        *into = left + right;
    }
}

/// The gradients of the gates of a row in the order of the input's weights, and of the hidden state's.
fn by_weights<T: Float>(layer: &Recurrent, gates: &[T]) -> (Vec<T>, Vec<T>) {
    let hidden = layer.hidden;
    match layer.cell {
        Cell::Rnn(_) | Cell::Lstm => (gates.to_vec(), gates.to_vec()),
        Cell::Gru => (
            [&gates[hidden..3 * hidden], &gates[..hidden]].concat(),
            gates[hidden..].to_vec(),
        ),
    }
}

/// `W += g vᵀ`; no `v` is 0.
fn outer<T: Float>(into: &mut [T], gradients: &[T], values: &[T]) {
    if values.is_empty() {
        return;
    }
    for (row, &gradient) in into.chunks_exact_mut(values.len()).zip(gradients) {
        for (into, &value) in row.iter_mut().zip(values) {
            *into += gradient * value;
        }
    }
}

/// `v += g W`
fn back<T: Float>(into: &mut [T], gradients: &[T], weight: &[T]) {
    for (weight, &gradient) in weight.chunks_exact(into.len()).zip(gradients) {
        for (into, &weight) in into.iter_mut().zip(weight) {
            *into += gradient * weight;
        }
    }
}
