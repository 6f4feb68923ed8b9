//! A function of one value.

use plan::Stage;
use spec::model::Activation;

use crate::backend::Backend;
use crate::layers::views::Views;

/// `y = f(x)`
pub(crate) fn forward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    activation: &Activation,
    samples: usize,
) {
    let batch = views.batch(stage, samples);
    device.activation_forward(activation, batch.source(stage), batch.y);
}

/// `dx = dy f'(x)`, in place; a rising function's derivative is found in its output.
pub(crate) fn backward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    activation: &Activation,
    samples: usize,
) {
    let batch = views.batch(stage, samples);
    let values = if stage.kind.reads_input() {
        batch.x
    } else {
        batch.y
    };
    if let Some(gradient) = batch.y_gradient {
        device.activation_backward(activation, values, gradient);
    }
}
