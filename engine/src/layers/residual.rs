//! A residual: where its two branches begin, and where they are added.

use plan::Stage;

use crate::backend::Backend;
use crate::layers::views::Views;

/// `y = x + shortcut`; over one of the two where the plan says so.
pub(crate) fn add(device: &mut dyn Backend, views: &Views, stage: &Stage, samples: usize) {
    let batch = views.batch(stage, samples);
    let shortcut = batch.shortcut.expect("an add has a shortcut");
    match stage.output {
        output if output == stage.input => device.add(None, shortcut, batch.y),
        output if Some(output) == stage.shortcut_input => device.add(None, batch.x, batch.y),
        _ => device.add(Some(batch.x), shortcut, batch.y),
    }
}

/// `dx = dy` for both branches: the same memory, or a copy for one that would write over it before the other reads it.
pub(crate) fn add_backward(device: &mut dyn Backend, views: &Views, stage: &Stage, samples: usize) {
    let batch = views.batch(stage, samples);
    let branches = [
        (stage.input_gradient, batch.x_gradient),
        (stage.shortcut_gradient, batch.shortcut_gradient),
    ];
    for (buffer, gradient) in branches {
        if let (Some(y_gradient), Some(gradient)) = (batch.y_gradient, gradient)
            && buffer != stage.output_gradient
        {
            device.copy(y_gradient, gradient);
        }
    }
}

/// `dx` is the sum of what came through the layers, where it stays, and of what came through the shortcut.
pub(crate) fn fork_backward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    samples: usize,
) {
    let batch = views.batch(stage, samples);
    if let (Some(gradient), Some(shortcut)) = (batch.y_gradient, batch.shortcut_gradient) {
        device.add(None, shortcut, gradient);
    }
}
