//! A recurrent layer: its directions one after the other, each with its own columns of what goes out.

use plan::{RecurrentStage, Stage};

use crate::backend::{
    Backend, RecurrentBackward, RecurrentForward, RecurrentInput, RecurrentInputGradient,
    RecurrentKept, RecurrentWeights,
};
use crate::layers::views::Views;
use crate::packing::{Direction, Packing};

const DIRECTIONS: [Direction; 2] = [Direction::Forward, Direction::Reverse];

/// The hidden states of all steps.
pub(crate) fn forward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    recurrent: &RecurrentStage,
    packing: &Packing,
    tokens: &[u32],
) {
    let work = stage.forward_work.expect("a recurrent layer has workspace");
    let batch = views.batch(stage, packing.rows());
    for (number, direction) in DIRECTIONS
        .into_iter()
        .take(recurrent.layer.directions)
        .enumerate()
    {
        let at = RecurrentForward {
            input: input(views, stage, recurrent, packing, tokens),
            weights: weights(
                views,
                stage,
                recurrent,
                number,
                views.plan.places.parameters,
            ),
            kept: kept(views, recurrent, number, packing),
            y: batch.y,
            work: views.buffer(work),
        };
        device.recurrent_forward(recurrent, direction, packing, at);
    }
}

/// The undo: gradients of parameters go into `slot`.
pub(crate) fn backward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    recurrent: &RecurrentStage,
    packing: &Packing,
    tokens: &[u32],
    slot: usize,
) {
    let work = stage
        .backward_work
        .expect("a layer that trains has workspace");
    let batch = views.batch(stage, packing.rows());
    for (number, direction) in DIRECTIONS
        .into_iter()
        .take(recurrent.layer.directions)
        .enumerate()
    {
        let at = RecurrentBackward {
            input: input(views, stage, recurrent, packing, tokens),
            weights: weights(
                views,
                stage,
                recurrent,
                number,
                views.plan.places.parameters,
            ),
            kept: kept(views, recurrent, number, packing),
            y: batch.y,
            y_gradient: batch
                .y_gradient
                .expect("a stage with parameters has a backward pass"),
            gradients: weights(views, stage, recurrent, number, slot),
            input_gradient: input_gradient(views, stage, recurrent, packing, slot),
            work: views.buffer(work),
        };
        device.recurrent_backward(recurrent, direction, packing, at);
    }
}

/// What the layer takes: rows, or the table before its weights.
fn input<'a>(
    views: &Views,
    stage: &Stage,
    recurrent: &RecurrentStage,
    packing: &Packing,
    tokens: &'a [u32],
) -> RecurrentInput<'a> {
    match recurrent.table {
        None => RecurrentInput {
            x: views.words(stage.input, packing.rows() * stage.inputs),
            tokens: None,
        },
        Some(_) => RecurrentInput {
            x: views.parameter(views.plan.places.parameters, stage.parameters.start),
            tokens: Some(tokens),
        },
    }
}

/// Where its gradient goes.
fn input_gradient(
    views: &Views,
    stage: &Stage,
    recurrent: &RecurrentStage,
    packing: &Packing,
    slot: usize,
) -> Option<RecurrentInputGradient> {
    match &recurrent.table {
        None => stage.input_gradient.map(|buffer| RecurrentInputGradient {
            x: views.words(buffer, packing.rows() * stage.inputs),
            adds: false,
            padding_index: None,
        }),
        Some(table) => Some(RecurrentInputGradient {
            x: views.parameter(slot, stage.parameters.start),
            adds: table.tied,
            padding_index: table.padding_index,
        }),
    }
}

/// The weights of a direction in a flat buffer.
fn weights(
    views: &Views,
    stage: &Stage,
    recurrent: &RecurrentStage,
    direction: usize,
    buffer: usize,
) -> RecurrentWeights {
    let table = usize::from(recurrent.table.is_some());
    let first = stage.parameters.start + table + direction * recurrent.layer.parameters();
    let view = |number: usize| views.parameter(buffer, first + number);
    RecurrentWeights {
        input: view(0),
        hidden: view(1),
        biases: recurrent.layer.bias.then(|| [view(2), view(3)]),
    }
}

/// What is kept of a direction between the passes.
fn kept(
    views: &Views,
    recurrent: &RecurrentStage,
    direction: usize,
    packing: &Packing,
) -> RecurrentKept {
    let (layer, kept) = (&recurrent.layer, &recurrent.kept[direction]);
    RecurrentKept {
        gates: views.words(kept.gates, packing.rows() * layer.kept()),
        cells: kept
            .cells
            .map(|cells| views.words(cells, packing.rows() * layer.hidden)),
    }
}
