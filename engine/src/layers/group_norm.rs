//! A normalisation inside each sample: layer norm and group norm.

use plan::{GroupNorm, Stage};

use crate::backend::{Backend, GroupNormBackward, GroupNormForward};
use crate::layers::views::Views;

/// `y = (x - mean) / sqrt(var + eps) · w + b`
pub(crate) fn forward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    norm: &GroupNorm,
    samples: usize,
) {
    let [weight, bias] = views.parameters(stage, views.plan.places.parameters);
    let batch = views.batch(stage, samples);
    let at = GroupNormForward {
        x: batch.source(stage),
        weight,
        bias,
        y: batch.y,
        statistics: batch.statistics,
    };
    device.group_norm_forward(norm, samples, at);
}

/// The undo: gradients of parameters go into `slot`.
pub(crate) fn backward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    norm: &GroupNorm,
    samples: usize,
    slot: usize,
) {
    let [weight, _] = views.parameters(stage, views.plan.places.parameters);
    let [weight_gradient, bias_gradient] = views.parameters(stage, slot);
    let batch = views.batch(stage, samples);
    let at = GroupNormBackward {
        x: batch.x,
        weight,
        statistics: batch
            .statistics
            .expect("a norm that trains keeps statistics"),
        gradient: batch
            .y_gradient
            .expect("a stage that trains has a gradient"),
        weight_gradient,
        bias_gradient,
        needs_input: batch.x_gradient.is_some(),
    };
    device.group_norm_backward(norm, samples, at);
}
