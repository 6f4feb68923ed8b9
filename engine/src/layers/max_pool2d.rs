//! A max pooling that follows no convolution.

use plan::{Geometry, Stage};

use crate::backend::Backend;
use crate::layers::views::Views;

/// `y = max` over each window of `x`
pub(crate) fn forward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    pool: &Geometry,
    samples: usize,
) {
    let batch = views.batch(stage, samples);
    device.max_pool_forward(pool, samples, batch.x, batch.y, batch.indices);
}

/// `dx` is `dy` at the place of each maximum.
pub(crate) fn backward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    pool: &Geometry,
    samples: usize,
) {
    let batch = views.batch(stage, samples);
    if let (Some(y_gradient), Some(x_gradient), Some(indices)) =
        (batch.y_gradient, batch.x_gradient, batch.indices)
    {
        device.max_pool_backward(pool, samples, y_gradient, indices, x_gradient);
    }
}
