//! What a device can do: one small trait per family of kernels, by how they touch memory. Operands are views of the
//! device's arena, placed by the plan, so that a layer is written once for all devices. Operands of one call do not
//! overlap.

use plan::{AvgPool2d, BatchNorm, Dense, GroupNorm, MaxPool2d, Softmax, Window};
use spec::model::Activation;

/// A stretch of a device's arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    /// Where it begins, in bytes.
    pub offset: usize,
    /// How long it is, in bytes.
    pub bytes: usize,
}

impl View {
    /// Nothing.
    pub const EMPTY: View = View {
        offset: 0,
        bytes: 0,
    };
}

/// All families.
pub(crate) trait Backend:
    Memory + MatMul + Windows + Pointwise + Channel + RowWise + Reduce + Update + Send + Sync
{
}

impl<B: Memory + MatMul + Windows + Pointwise + Channel + RowWise + Reduce + Update + Send + Sync>
    Backend for B
{
}

/// The arena seen from the host.
pub(crate) trait Memory {
    /// The bytes of `view`.
    fn bytes(&self, view: View) -> &[u8];

    /// The bytes of `view`, to write.
    fn bytes_mut(&mut self, view: View) -> &mut [u8];

    /// The bytes of several views that do not overlap, to write.
    fn many_mut(&mut self, views: &[View]) -> Vec<&mut [u8]>;
}

/// Products with a weight matrix.
pub(crate) trait MatMul {
    /// `y = x Wᵀ + b`, then `max(y, 0)` where the stage has a relu.
    fn linear_forward(&mut self, dense: &Dense, samples: usize, at: LinearForward);

    /// The gradients of weight and bias, and of the input where it is asked for. Where the stage has a relu, the gradient
    /// of its output is first set to 0 in place wherever the output is at most 0.
    fn linear_backward(&mut self, dense: &Dense, samples: usize, at: LinearBackward);
}

/// Operands of a linear stage's forward pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinearForward {
    /// `(N, inputs)`
    pub x: View,
    /// `(outputs, inputs)`
    pub weight: View,
    /// `(outputs)`
    pub bias: Option<View>,
    /// `(N, outputs)`
    pub y: View,
}

/// Operands of a linear stage's backward pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinearBackward {
    /// `(N, inputs)`
    pub x: View,
    /// `(outputs, inputs)`
    pub weight: View,
    /// `(N, outputs)`, where the stage has a relu: else its memory may be another's by now.
    pub y: Option<View>,
    /// `(N, outputs)`
    pub y_gradient: View,
    /// `(outputs, inputs)`
    pub weight_gradient: View,
    /// `(outputs)`
    pub bias_gradient: Option<View>,
    /// `(N, inputs)`
    pub x_gradient: Option<View>,
    /// What the plan grants.
    pub work: View,
}

/// Windows that slide over height and width.
pub(crate) trait Windows {
    /// A convolution, and the relu and pooling of its stage.
    fn window_forward(&mut self, window: &Window, samples: usize, at: WindowForward);

    /// The gradients of weight and bias, and of the input where it is asked for. Where the stage has a relu, the gradient
    /// of its output is first set to 0 in place wherever the output is at most 0.
    fn window_backward(&mut self, window: &Window, samples: usize, at: WindowBackward);

    /// The largest value of each window, and where in the window it stood; the first of equals, and NaN before all.
    fn max_pool_forward(
        &mut self,
        pool: &MaxPool2d,
        samples: usize,
        x: View,
        y: View,
        indices: Option<View>,
    );

    /// Each output's gradient goes to the place that it came from.
    fn max_pool_backward(
        &mut self,
        pool: &MaxPool2d,
        samples: usize,
        y_gradient: View,
        indices: View,
        x_gradient: View,
    );

    /// The mean of each window.
    fn average_forward(&mut self, pool: &AvgPool2d, samples: usize, x: View, y: View);

    /// Each output's gradient, in equal parts to all places of its window.
    fn average_backward(
        &mut self,
        pool: &AvgPool2d,
        samples: usize,
        y_gradient: View,
        x_gradient: View,
    );
}

/// Operands of a window stage's forward pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowForward {
    /// `(N, C, H, W)`
    pub x: View,
    /// `(filters, C, kernel h, kernel w)`
    pub weight: View,
    /// `(filters)`
    pub bias: Option<View>,
    /// `(N, filters, H', W')`, pooled where the stage pools.
    pub y: View,
    /// Like `y`, where the stage pools and a backward pass follows.
    pub indices: Option<View>,
    /// What the plan grants.
    pub work: View,
}

/// Operands of a window stage's backward pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowBackward {
    /// `(N, C, H, W)`
    pub x: View,
    /// `(filters, C, kernel h, kernel w)`
    pub weight: View,
    /// `(N, filters, H', W')`, where the stage has a relu: else its memory may be another's by now.
    pub y: Option<View>,
    /// `(N, filters, H', W')`
    pub y_gradient: View,
    /// Like `y`, where the stage pools.
    pub indices: Option<View>,
    /// Like `weight`.
    pub weight_gradient: View,
    /// `(filters)`
    pub bias_gradient: Option<View>,
    /// Like `x`.
    pub x_gradient: Option<View>,
    /// What the plan grants.
    pub work: View,
}

/// One value at a time.
pub(crate) trait Pointwise {
    /// `max(x, 0)` in place; NaN stays.
    fn relu_forward(&mut self, x: View);

    /// The gradient, set to 0 in place wherever the relu's output is at most 0.
    fn relu_backward(&mut self, y: View, gradient: View);

    /// An activation of `x`, or of `y` itself in place.
    fn activation_forward(&mut self, activation: &Activation, x: Option<View>, y: View);

    /// The gradient, multiplied in place by the derivative at `values`: what came in or what went out, as
    /// [`plan::StageKind::reads_input`] says.
    fn activation_backward(&mut self, activation: &Activation, values: View, gradient: View);
}

/// One channel at a time, over all samples.
pub(crate) trait Channel {
    /// Each channel without its mean over the microbatch and divided by its deviation, then scaled and moved. Writes mean and
    /// biased variance.
    fn batch_norm_train(&mut self, norm: &BatchNorm, samples: usize, at: BatchNormForward);

    /// The same by the statistics that are there.
    fn batch_norm_evaluate(&mut self, norm: &BatchNorm, samples: usize, at: BatchNormForward);

    /// The gradients of weight and bias, the sums that running statistics are made of, and then the gradient of the input, in
    /// place.
    fn batch_norm_backward(&mut self, norm: &BatchNorm, samples: usize, at: BatchNormBackward);

    /// Moves running statistics towards the means of sums: `[for means, for variances]` what each is divided by; statistics
    /// whose divisor is 0 stay.
    fn batch_norm_update(
        &mut self,
        norm: &BatchNorm,
        divisors: [u64; 2],
        sums: View,
        running: View,
    );
}

/// Operands of a batch norm's forward pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchNormForward {
    /// `(N, C, plane)`, unless it works in place.
    pub x: Option<View>,
    /// `(C)`
    pub weight: View,
    /// `(C)`
    pub bias: View,
    /// `(N, C, plane)`
    pub y: View,
    /// `(2, C)`: means, then variances.
    pub statistics: View,
}

/// Operands of a batch norm's backward pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchNormBackward {
    /// `(N, C, plane)`
    pub x: View,
    /// `(C)`
    pub weight: View,
    /// `(2, C)`: means, then biased variances.
    pub statistics: View,
    /// `(N, C, plane)`: that of the output, and then of the input.
    pub gradient: View,
    /// `(C)`
    pub weight_gradient: View,
    /// `(C)`
    pub bias_gradient: View,
    /// `(2, C)`: means and unbiased variances, each times the values of a channel.
    pub sums: View,
    /// Whether the gradient of the input is needed.
    pub needs_input: bool,
}

/// One row at a time.
pub(crate) trait RowWise {
    /// The cross-entropy of each row with its label, summed, and how many rows have their largest logit (the first of
    /// equals) at their label. Writes the gradient of the sum where it is asked for. Labels are below the row's length.
    fn cross_entropy(&mut self, logits: View, labels: &[u32], gradient: Option<View>)
    -> (f64, u64);

    /// The softmax of each row of `x`, or of `y` itself in place.
    fn softmax_forward(&mut self, softmax: &Softmax, x: Option<View>, y: View);

    /// Each group of each sample without its mean and divided by its deviation, then scaled and moved; in place where there is
    /// no `x`.
    fn group_norm_forward(&mut self, norm: &GroupNorm, samples: usize, at: GroupNormForward);

    /// The gradients of weight and bias, and then of the input, in place.
    fn group_norm_backward(&mut self, norm: &GroupNorm, samples: usize, at: GroupNormBackward);

    /// The gradient of each row from that of its softmax `y`, in place.
    fn softmax_backward(&mut self, softmax: &Softmax, y: View, gradient: View);
}

/// Operands of a normalisation's forward pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupNormForward {
    /// `(N, values)`, unless it works in place.
    pub x: Option<View>,
    /// `(weights)`
    pub weight: Option<View>,
    /// `(weights)`
    pub bias: Option<View>,
    /// `(N, values)`
    pub y: View,
    /// `(N, groups, 2)`: mean and inverse deviation, where a backward pass follows.
    pub statistics: Option<View>,
}

/// Operands of a normalisation's backward pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupNormBackward {
    /// `(N, values)`
    pub x: View,
    /// `(weights)`
    pub weight: Option<View>,
    /// `(N, groups, 2)`
    pub statistics: View,
    /// `(N, values)`: that of the output, and then of the input.
    pub gradient: View,
    /// `(weights)`
    pub weight_gradient: Option<View>,
    /// `(weights)`
    pub bias_gradient: Option<View>,
    /// Whether the gradient of the input is needed.
    pub needs_input: bool,
}

/// Sums over flat buffers, in fixed blocks whatever the number of threads.
pub(crate) trait Reduce {
    /// The sum of the squares of `gradient / divisor`.
    fn square_norm(&mut self, gradient: View, divisor: f64) -> f64;

    /// Two sums modulo 2^64 of different mixes of each word with its number, the first being `number`.
    fn digest(&self, words: View, number: u64) -> [u64; 2];
}

/// One pass over all parameters. What a first step finds as state is 0.
pub(crate) trait Update {
    /// PyTorch's SGD (dampening 0).
    fn sgd(&mut self, sgd: &Sgd, at: SgdOperands);

    /// PyTorch's Adam and AdamW.
    fn adam(&mut self, adam: &Adam, at: AdamOperands);

    /// PyTorch's RMSprop, not centred.
    fn rmsprop(&mut self, rmsprop: &RmsProp, at: RmsPropOperands);

    /// PyTorch's Adagrad.
    fn adagrad(&mut self, adagrad: &Adagrad, at: AdagradOperands);
}

/// The gradient of an update: each sum over samples as `g = sum / divisor * factor`, then cut to `[-bound, bound]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gradient {
    /// As long as the parameters.
    pub sums: View,
    pub divisor: f64,
    pub factor: f64,
    pub bound: f64,
}

/// Numbers of one step of SGD.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sgd {
    pub gradient: Gradient,
    pub lr: f64,
    pub momentum: f64,
    pub nesterov: bool,
    pub weight_decay: f64,
}

/// What one step of SGD changes, all of one length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SgdOperands {
    pub parameters: View,
    pub momentum: Option<View>,
}

/// Numbers of one step of Adam or AdamW.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Adam {
    pub gradient: Gradient,
    pub betas: [f64; 2],
    pub eps: f64,
    /// Added to the gradient times the parameter.
    pub weight_decay: f64,
    /// What the parameter is multiplied by before its step: below 1 where weight decay is decoupled.
    pub keep: f64,
    /// `lr / (1 - beta1^step)`
    pub step_size: f64,
    /// `sqrt(1 - beta2^step)`
    pub second_correction: f64,
}

/// What one step of Adam changes, all of one length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdamOperands {
    pub parameters: View,
    pub first_moment: View,
    pub second_moment: View,
}

/// Numbers of one step of RMSprop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RmsProp {
    pub gradient: Gradient,
    pub lr: f64,
    pub alpha: f64,
    pub eps: f64,
    pub momentum: f64,
    pub weight_decay: f64,
}

/// What one step of RMSprop changes, all of one length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RmsPropOperands {
    pub parameters: View,
    pub mean_square: View,
    pub momentum: Option<View>,
}

/// Numbers of one step of Adagrad.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Adagrad {
    pub gradient: Gradient,
    /// `lr / (1 + (step - 1) lr_decay)`
    pub lr: f64,
    pub eps: f64,
    pub weight_decay: f64,
}

/// What one step of Adagrad changes, all of one length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdagradOperands {
    pub parameters: View,
    pub square_sum: View,
}
