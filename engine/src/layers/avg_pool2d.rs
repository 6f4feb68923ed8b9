//! An average pooling, of windows or of whole channels.

use plan::{Geometry, Stage};

use crate::backend::Backend;
use crate::layers::views::Views;

/// `y = mean` over each window of `x`
pub(crate) fn forward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    pool: &Geometry,
    samples: usize,
) {
    let batch = views.batch(stage, samples);
    device.average_forward(pool, samples, batch.x, batch.y);
}

/// `dx` is `dy` in equal parts over its window.
pub(crate) fn backward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    pool: &Geometry,
    samples: usize,
) {
    let batch = views.batch(stage, samples);
    if let (Some(y_gradient), Some(x_gradient)) = (batch.y_gradient, batch.x_gradient) {
        device.average_backward(pool, samples, y_gradient, x_gradient);
    }
}
