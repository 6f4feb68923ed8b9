//! A softmax of flat samples, or its logarithm.

use plan::{Softmax, Stage};

use crate::backend::Backend;
use crate::layers::views::Views;

/// `y = exp(x) / Σ exp(x)`, or `y = x - ln Σ exp(x)`
pub(crate) fn forward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    softmax: &Softmax,
    samples: usize,
) {
    let batch = views.batch(stage, samples);
    device.softmax_forward(softmax, batch.source(stage), batch.y);
}

/// `dx = y (dy - Σ dy y)`, or `dx = dy - exp(y) Σ dy`; in place
pub(crate) fn backward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    softmax: &Softmax,
    samples: usize,
) {
    let batch = views.batch(stage, samples);
    if let Some(gradient) = batch.y_gradient {
        device.softmax_backward(softmax, batch.y, gradient);
    }
}
