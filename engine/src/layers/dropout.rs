//! A dropout: which values become 0 is drawn anew in the backward pass, so that no mask is kept. The steps of a sequence are
//! drawn for one by one: a value's words are a function of its sample, its step and its place in it.

use plan::{Dropout, Stage};

use crate::backend::{Backend, Draw, View};
use crate::batch::{Moment, Pass};
use crate::layers::views::Views;
use crate::packing::Packing;

/// The rows that a stage runs over.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// How many there are.
    pub samples: usize,
    /// How they lie, where they are steps of sequences.
    pub packing: &'a Packing,
}

/// `y = 0` or `x / (1 - rate)` in training, `y = x` in evaluation
pub(crate) fn forward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    dropout: &Dropout,
    rows: Rows<'_>,
    pass: Pass,
) {
    let batch = views.batch(stage, rows.samples);
    match (pass, batch.source(stage)) {
        (Pass::Train(moment), x) => {
            for (draw, part) in draws(views, stage, rows, moment) {
                device.dropout(dropout, draw, x.map(part), part(batch.y));
            }
        }
        (Pass::Evaluate, Some(x)) => device.copy(x, batch.y),
        (Pass::Evaluate, None) => {}
    }
}

/// `dx = 0` or `dy / (1 - rate)`, as forward; in place
pub(crate) fn backward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    dropout: &Dropout,
    rows: Rows<'_>,
    moment: Moment,
) {
    if let Some(gradient) = views.batch(stage, rows.samples).y_gradient {
        for (draw, part) in draws(views, stage, rows, moment) {
            device.dropout(dropout, draw, None, part(gradient));
        }
    }
}

/// What is drawn for all samples, or for each step those that have it, and the part of a view that it is for.
fn draws<'a>(
    views: &'a Views,
    stage: &'a Stage,
    rows: Rows<'a>,
    moment: Moment,
) -> impl Iterator<Item = (Draw, impl Fn(View) -> View + Copy)> {
    let steps = stage.input_steps.map_or(1, |_| rows.packing.steps());
    (0..steps).map(move |step| {
        let range = match stage.input_steps {
            None => 0..rows.samples,
            Some(_) => rows.packing.step(step),
        };
        let (first, count) = (range.start, range.len());
        let draw = Draw {
            seed: moment.seed,
            layer: stage.layers.start as u32,
            step: moment.step,
            position: moment.position,
            time: step,
        };
        let row = stage.outputs * views.size;
        let part = move |view: View| View {
            offset: view.offset + first * row,
            bytes: count * row,
        };
        (draw, part)
    })
}
