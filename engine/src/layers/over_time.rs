//! One value for all steps of a sequence.

use plan::{OverTime, Stage};

use crate::backend::Backend;
use crate::layers::views::Views;
use crate::packing::Packing;

/// The last step's, the mean or the largest.
pub(crate) fn forward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    over: &OverTime,
    packing: &Packing,
) {
    let x = views.words(stage.input, packing.rows() * stage.inputs);
    let y = views.words(stage.output, packing.samples() * stage.outputs);
    device.over_time_forward(over, packing, x, y);
}

/// The gradient, to the steps that it came from.
pub(crate) fn backward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    over: &OverTime,
    packing: &Packing,
) {
    let (Some(dy), Some(dx)) = (stage.output_gradient, stage.input_gradient) else {
        return;
    };
    // Where it is not read, its memory may be another's by now.
    let reads = stage.kind.reads_input();
    let x = reads.then(|| views.words(stage.input, packing.rows() * stage.inputs));
    let dy = views.words(dy, packing.samples() * stage.outputs);
    let dx = views.words(dx, packing.rows() * stage.inputs);
    device.over_time_backward(over, packing, x, dy, dx);
}
