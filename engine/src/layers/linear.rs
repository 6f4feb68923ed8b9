//! A fully connected layer, and the relu behind it.

use plan::{Dense, Stage};

use crate::backend::{Backend, LinearBackward, LinearForward, View};
use crate::layers::views::Views;

/// `y = relu?(x Wᵀ + b)`
pub(crate) fn forward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    dense: &Dense,
    samples: usize,
) {
    let (weight, bias) = weight_and_bias(views, stage, dense, views.plan.places.parameters);
    let batch = views.batch(stage, samples);
    device.linear_forward(
        dense,
        samples,
        LinearForward {
            x: batch.x,
            weight,
            bias,
            y: batch.y,
            work: views.buffer(stage.forward_work.expect("a linear layer has workspace")),
        },
    );
}

/// `dW = dyᵀ x`, `db = Σ dy`, `dx = dy W`; gradients of parameters go into `slot`.
pub(crate) fn backward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    dense: &Dense,
    samples: usize,
    slot: usize,
) {
    let (weight, _) = weight_and_bias(views, stage, dense, views.plan.places.parameters);
    let (weight_gradient, bias_gradient) = weight_and_bias(views, stage, dense, slot);
    let batch = views.batch(stage, samples);
    let at = LinearBackward {
        x: batch.x,
        weight,
        y: dense.relu.then_some(batch.y),
        y_gradient: batch
            .y_gradient
            .expect("a stage with parameters has a backward pass"),
        weight_gradient,
        bias_gradient,
        x_gradient: batch.x_gradient,
        work: views.buffer(
            stage
                .backward_work
                .expect("a layer that trains has workspace"),
        ),
    };
    device.linear_backward(dense, samples, at);
}

/// Weight and bias in a flat buffer; a tied weight is the table of its embedding.
fn weight_and_bias(
    views: &Views,
    stage: &Stage,
    dense: &Dense,
    buffer: usize,
) -> (View, Option<View>) {
    match dense.linear.tied {
        None => views.weight_and_bias(stage, buffer),
        Some(table) => {
            let [bias, _] = views.parameters(stage, buffer);
            (views.parameter(buffer, table), bias)
        }
    }
}
