//! What kernels are given: views of the arena, and the numbers of a step.

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
    /// What the plan grants.
    pub work: View,
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

/// Operands of a window stage's forward pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowForward {
    /// `(N, C, H, W)`
    pub x: View,
    /// `(filters, C / groups, kernel h, kernel w)`
    pub weight: View,
    /// `(filters)`
    pub bias: Option<View>,
    /// `(N, filters, H', W')`, pooled where the stage pools.
    pub y: View,
    /// Like `y`, where the stage pools and a backward pass follows.
    pub indices: Option<View>,
    /// The norm behind the convolution, where the stage has one.
    pub norm: Option<WindowNormForward>,
    /// What the plan grants.
    pub work: View,
}

/// Operands of the norm behind a convolution, forward.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowNormForward {
    /// `(filters)`
    pub weight: View,
    /// `(filters)`
    pub bias: View,
    /// `(2, filters)`: means, then biased variances; found and written where the norm is over the microbatch, else read.
    pub statistics: View,
    /// What the convolution gives, `(N, filters, H', W')`, where the norm is over the microbatch; else it is not kept.
    pub convolved: Option<View>,
}

/// Operands of the norm behind a convolution, backward.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowNormBackward {
    /// `(filters)`
    pub weight: View,
    /// `(filters)`
    pub bias: View,
    /// `(2, filters)`: means, then biased variances.
    pub statistics: View,
    /// `(N, filters, H', W')`
    pub convolved: View,
    /// `(filters)`
    pub weight_gradient: View,
    /// `(filters)`
    pub bias_gradient: View,
    /// `(2, filters)`: means and unbiased variances, each times the values of a channel.
    pub sums: View,
}

impl WindowNormForward {
    /// Weight, bias, statistics, and what the convolution gives if it is kept.
    pub fn views(&self) -> [View; 4] {
        let convolved = self.convolved.unwrap_or(View::EMPTY);
        [self.weight, self.bias, self.statistics, convolved]
    }
}

impl WindowNormBackward {
    /// In the order of the fields.
    pub fn views(&self) -> [View; 7] {
        [
            self.weight,
            self.bias,
            self.statistics,
            self.convolved,
            self.weight_gradient,
            self.bias_gradient,
            self.sums,
        ]
    }
}

/// Operands of a window stage's backward pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowBackward {
    /// `(N, C, H, W)`
    pub x: View,
    /// `(filters, C / groups, kernel h, kernel w)`
    pub weight: View,
    /// `(N, filters, H', W')`, where the stage has a relu and no norm: else its memory may be another's by now.
    pub y: Option<View>,
    /// `(N, filters, H', W')`
    pub y_gradient: View,
    /// Like `y`, where the stage pools.
    pub indices: Option<View>,
    /// The norm behind the convolution, where the stage has one.
    pub norm: Option<WindowNormBackward>,
    /// Like `weight`.
    pub weight_gradient: View,
    /// `(filters)`
    pub bias_gradient: Option<View>,
    /// Like `x`.
    pub x_gradient: Option<View>,
    /// What the plan grants.
    pub work: View,
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

/// The targets of the rows of a loss.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RowTargets<'a> {
    /// A class each, below the row's length.
    Classes(&'a [u32]),
    /// A number for each output, as bytes.
    Values(&'a [u8]),
}

/// Operands of a loss.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LossOperands {
    /// `(rows, features)`
    pub outputs: View,
    /// Outputs of a row.
    pub features: usize,
    /// `(features)`: what each class or output weighs; none: 1.
    pub weights: Option<View>,
    /// Like `outputs`, where it is asked for; it may be their own place.
    pub gradient: Option<View>,
    /// `(rows)`: what is said of each, as `reference::loss::Row`.
    pub rows: View,
    /// Whether the rank of each row's class is asked for.
    pub ranks: bool,
}

impl LossOperands {
    /// Where the gradient goes, if that is not the place of the outputs.
    pub fn apart(&self) -> Option<View> {
        self.gradient.filter(|gradient| *gradient != self.outputs)
    }
}

/// The gradient of an update: each sum over samples as `g = sum * (factor / divisor)`, then cut to `[-bound, bound]`.
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
