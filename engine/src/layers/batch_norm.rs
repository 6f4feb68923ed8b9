//! Batch norm: over each microbatch in training, by running statistics in evaluation. The running statistics are
//! committed state: a microbatch leaves its sums in its record, and `apply` moves them on.

use plan::{BatchNorm, Stage};

use crate::backend::{Backend, BatchNormBackward, BatchNormForward, View};
use crate::batch::Pass;
use crate::layers::views::Views;

/// `y = (x - mean) / sqrt(var + eps) · w + b`
pub(crate) fn forward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    norm: &BatchNorm,
    samples: usize,
    pass: Pass,
) {
    let (weight, bias) = views.weight_and_bias(stage, views.plan.places.parameters);
    let bias = bias.expect("a batch norm has a bias");
    let batch = views.batch(stage, samples);
    let (x, y) = (batch.source(stage), batch.y);
    let statistics = match pass {
        Pass::Train(_) => batch
            .statistics
            .expect("a norm that trains keeps statistics"),
        Pass::Evaluate => running(views, stage),
    };
    let at = BatchNormForward {
        x,
        weight,
        bias,
        y,
        statistics,
    };
    match pass {
        Pass::Train(_) => device.batch_norm_train(norm, samples, at),
        Pass::Evaluate => device.batch_norm_evaluate(norm, samples, at),
    }
}

/// The undo: gradients of parameters and sums of statistics go into `slot`.
pub(crate) fn backward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    norm: &BatchNorm,
    samples: usize,
    slot: usize,
) {
    let (weight, _) = views.weight_and_bias(stage, views.plan.places.parameters);
    let (weight_gradient, bias_gradient) = views.weight_and_bias(stage, slot);
    let batch = views.batch(stage, samples);
    let at = BatchNormBackward {
        x: batch.x,
        weight,
        statistics: batch
            .statistics
            .expect("a norm that trains keeps statistics"),
        gradient: batch
            .y_gradient
            .expect("a stage that trains has a gradient"),
        weight_gradient,
        bias_gradient: bias_gradient.expect("a batch norm has a bias"),
        sums: sums(views, stage, views.buffer(slot)),
        needs_input: batch.x_gradient.is_some(),
    };
    device.batch_norm_backward(norm, samples, at);
}

/// The sums of statistics alone, where no gradient is wanted, into `slot`.
pub(crate) fn leave_sums(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    norm: &BatchNorm,
    samples: usize,
    slot: usize,
) {
    let batch = views.batch(stage, samples);
    let statistics = batch.statistics;
    let statistics = statistics.expect("a norm that trains keeps statistics");
    let sums = sums(views, stage, views.buffer(slot));
    device.batch_norm_sums(norm, samples, statistics, sums);
}

/// Moves the running statistics by the sums of a `record` over so many samples, `paired` of them in microbatches of at
/// least two.
pub(crate) fn apply(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    norm: &BatchNorm,
    record: View,
    [samples, paired]: [u64; 2],
) {
    let plane = norm.plane as u64;
    // One value has no variance.
    let varied = match norm.sync {
        true if samples * plane == 1 => 0,
        false if plane == 1 => paired,
        _ => samples,
    };
    let divisors = [samples * plane, varied * plane];
    let sums = sums(views, stage, record);
    device.batch_norm_update(norm, divisors, sums, running(views, stage));
}

/// Its running statistics.
pub(crate) fn running(views: &Views, stage: &Stage) -> View {
    let buffer = views.plan.places.running_statistics;
    let buffer = views.buffer(buffer.expect("a plan with batch norm has running statistics"));
    part(views, stage, buffer, 0)
}

/// Its sums in a `record`.
pub(crate) fn sums(views: &Views, stage: &Stage, record: View) -> View {
    part(views, stage, record, views.plan.trained_count)
}

/// The stage's statistics in a buffer whose statistics begin at word `first`.
fn part(views: &Views, stage: &Stage, buffer: View, first: usize) -> View {
    View {
        offset: buffer.offset + (first + stage.running.start) * views.size,
        bytes: stage.running.len() * views.size,
    }
}
