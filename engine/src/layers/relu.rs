//! A relu that follows neither a linear layer nor a convolution; in place, unless another branch reads what it takes.

use plan::Stage;

use crate::backend::Backend;
use crate::layers::views::Views;

/// `y = max(x, 0)`
pub(crate) fn forward(device: &mut dyn Backend, views: &Views, stage: &Stage, samples: usize) {
    let batch = views.batch(stage, samples);
    device.relu_forward(batch.source(stage), batch.y);
}

/// `dx = dy` where `y > 0`, else 0
pub(crate) fn backward(device: &mut dyn Backend, views: &Views, stage: &Stage, samples: usize) {
    let batch = views.batch(stage, samples);
    if let Some(gradient) = batch.y_gradient {
        device.relu_backward(batch.y, gradient);
    }
}
