//! A convolution, and the relu and pooling behind it.

use plan::{Stage, Window};

use crate::backend::{Backend, WindowBackward, WindowForward};
use crate::layers::views::Views;

/// `y = pool?(relu?(x ⋆ W + b))`
pub(crate) fn forward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    window: &Window,
    samples: usize,
) {
    let (weight, bias) = views.weight_and_bias(stage, views.plan.places.parameters);
    let batch = views.batch(stage, samples);
    let work = views.buffer(stage.forward_work.expect("a window has workspace"));
    let at = WindowForward {
        x: batch.x,
        weight,
        bias,
        y: batch.y,
        indices: batch.indices,
        work,
    };
    device.window_forward(window, samples, at);
}

/// The undo: gradients of parameters go into `slot`.
pub(crate) fn backward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    window: &Window,
    samples: usize,
    slot: usize,
) {
    let (weight, _) = views.weight_and_bias(stage, views.plan.places.parameters);
    let (weight_gradient, bias_gradient) = views.weight_and_bias(stage, slot);
    let batch = views.batch(stage, samples);
    let at = WindowBackward {
        x: batch.x,
        weight,
        y: window.relu.then_some(batch.y),
        y_gradient: batch
            .y_gradient
            .expect("a stage with parameters has a backward pass"),
        indices: batch.indices,
        weight_gradient,
        bias_gradient,
        x_gradient: batch.x_gradient,
        work: views.buffer(
            stage
                .backward_work
                .expect("a window that trains has workspace"),
        ),
    };
    device.window_backward(window, samples, at);
}
