//! A convolution, and the batch norm, the relu and the pooling behind it.

use plan::{Stage, Window};

use crate::backend::{
    Backend, View, WindowBackward, WindowForward, WindowNormBackward, WindowNormForward,
};
use crate::batch::Pass;
use crate::layers::batch_norm;
use crate::layers::views::Views;

/// `y = pool?(relu?(norm?(x ⋆ W + b)))`
pub(crate) fn forward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    window: &Window,
    samples: usize,
    pass: Pass,
) {
    let (weight, bias) = weight_and_bias(views, stage, window, views.plan.places.parameters);
    let batch = views.batch(stage, samples);
    let norm = window.norm.as_ref().map(|_| {
        let [weight, bias] = views.norm_parameters(stage, views.plan.places.parameters);
        let (statistics, convolved) = match pass {
            Pass::Train(_) => (batch.statistics, batch.convolved),
            Pass::Evaluate => (Some(batch_norm::running(views, stage)), None),
        };
        WindowNormForward {
            weight,
            bias,
            statistics: statistics.expect("a norm that trains keeps statistics"),
            convolved,
        }
    });
    let work = views.buffer(stage.forward_work.expect("a window has workspace"));
    let at = WindowForward {
        x: batch.x,
        weight,
        bias,
        y: batch.y,
        indices: batch.indices,
        norm,
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
    let (weight, _) = weight_and_bias(views, stage, window, views.plan.places.parameters);
    let (weight_gradient, bias_gradient) = weight_and_bias(views, stage, window, slot);
    let batch = views.batch(stage, samples);
    let norm = window.norm.as_ref().map(|_| {
        let [weight, bias] = views.norm_parameters(stage, views.plan.places.parameters);
        let [weight_gradient, bias_gradient] = views.norm_parameters(stage, slot);
        let (statistics, convolved) = batch
            .statistics
            .zip(batch.convolved)
            .expect("a norm that trains keeps statistics and what it was given");
        WindowNormBackward {
            weight,
            bias,
            statistics,
            convolved,
            weight_gradient,
            bias_gradient,
            sums: batch_norm::sums(views, stage, views.buffer(slot)),
        }
    });
    let at = WindowBackward {
        x: batch.x,
        weight,
        y: stage.kind.reads_output().then_some(batch.y),
        y_gradient: batch
            .y_gradient
            .expect("a stage with parameters has a backward pass"),
        indices: batch.indices,
        norm,
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

/// Weight and bias of the convolution itself.
fn weight_and_bias(
    views: &Views,
    stage: &Stage,
    window: &Window,
    buffer: usize,
) -> (View, Option<View>) {
    let (weight, next) = views.weight_and_bias(stage, buffer);
    (weight, next.filter(|_| window.conv.bias))
}
