//! What a layer costs per sample: floating-point operations, and bytes read and written.

use spec::Shape;

use crate::op::{Conv2d, Linear, Op, Recurrent};

/// Costs per sample, parameters not counted among the bytes.
pub(crate) struct Cost {
    pub flops_forward: u64,
    pub flops_backward: u64,
    pub bytes_forward: u64,
    pub bytes_backward: u64,
}

impl Cost {
    /// The cost of so many steps, if it can be counted.
    pub fn times(self, steps: u64) -> Option<Cost> {
        Some(Cost {
            flops_forward: self.flops_forward.checked_mul(steps)?,
            flops_backward: self.flops_backward.checked_mul(steps)?,
            bytes_forward: self.bytes_forward.checked_mul(steps)?,
            bytes_backward: self.bytes_backward.checked_mul(steps)?,
        })
    }
}

/// The cost of a layer, if it can be counted. A multiply-add counts 2, a function of one value 1.
pub(crate) fn cost(
    op: &Op,
    input: &Shape,
    output: &Shape,
    trains: bool,
    reaches_parameters: bool,
) -> Option<Cost> {
    let (read, written) = (input.elements() as u64, output.elements() as u64);
    let window = match op {
        Op::Linear(linear) => linear.inputs as u64,
        Op::Conv2d(conv) => conv.window() as u64,
        Op::MaxPool2d(pool) | Op::AvgPool2d(pool) => pool.taps() as u64,
        Op::Relu | Op::Activation(_) | Op::Softmax(_) | Op::Dropout(_) | Op::Add => 1,
        // Mean, variance, and the normalised value, scaled and moved.
        Op::BatchNorm(_) | Op::LayerNorm(_) | Op::GroupNorm(_) => 7,
        Op::Flatten | Op::Fork | Op::Shortcut | Op::Embedding(_) => 0,
        Op::OverTime(_) => 1,
        Op::Recurrent(layer) => return recurrent(layer, reaches_parameters),
    };
    let macs = written.checked_mul(window)?.checked_mul(4)? / 4;
    let moved = match op {
        Op::Flatten | Op::Fork | Op::Shortcut => 0,
        Op::Add => 4 * (2 * read + written),
        _ => 4 * (read + written),
    };
    let back = u64::from(reaches_parameters);
    let (flops_forward, flops_backward) = match op {
        Op::Linear(Linear { bias, .. }) | Op::Conv2d(Conv2d { bias, .. }) => {
            let bias = if *bias { written } else { 0 };
            (2 * macs + bias, 2 * macs * (1 + back) + bias)
        }
        // What an add takes back is the sum that its fork makes of two gradients.
        Op::MaxPool2d(_)
        | Op::Relu
        | Op::Activation(_)
        | Op::Softmax(_)
        | Op::Dropout(_)
        | Op::Add
        | Op::OverTime(_) => (macs, written * back),
        Op::Embedding(_) => (0, written),
        Op::Recurrent(_) => unreachable!("has a cost of its own"),
        Op::AvgPool2d(_) => (macs, macs * back),
        Op::BatchNorm(_) | Op::LayerNorm(_) | Op::GroupNorm(_) => (macs, macs * (1 + back)),
        Op::Flatten | Op::Fork | Op::Shortcut => (0, 0),
    };
    let bytes_backward = match op {
        Op::Add => moved * back,
        _ if trains => moved * (1 + back),
        _ => 0,
    };
    Some(Cost {
        flops_forward,
        flops_backward,
        bytes_forward: moved,
        bytes_backward,
    })
}

/// The cost of one step of a recurrent layer: both products of each direction, and about ten operations for each gate.
fn recurrent(layer: &Recurrent, reaches_parameters: bool) -> Option<Cost> {
    let [inputs, hidden, gates, directions] =
        [layer.inputs, layer.hidden, layer.gates(), layer.directions].map(|extent| extent as u64);
    let macs = |columns: u64| Some(gates.checked_mul(columns)?.checked_mul(4 * directions)? / 4);
    let (from_input, from_hidden) = (macs(inputs)?, macs(hidden)?);
    let back = u64::from(reaches_parameters);
    let pointwise = 10 * gates * directions;
    let moved = 4 * (inputs + directions * (2 * gates + 2 * hidden));
    Some(Cost {
        flops_forward: 2 * (from_input + from_hidden) + pointwise,
        flops_backward: 2 * from_input * (1 + back) + 4 * from_hidden + pointwise,
        bytes_forward: moved,
        bytes_backward: moved * (1 + back),
    })
}
