//! What a device can do: one small trait per family of kernels, by how they touch memory. Operands are views of the
//! device's arena, placed by the plan, so that a layer is written once for all devices. Operands of one call do not
//! overlap.

use plan::{
    BatchNorm, Dense, Dropout, Embedding, Geometry, GroupNorm, OverTime, RecurrentStage, Softmax,
    Window,
};
use spec::loss::Loss;
use spec::model::Activation;

use crate::packing::{Direction, Packing};

pub(crate) use crate::draw::Draw;
pub(crate) use crate::operands::{
    Adagrad, AdagradOperands, Adam, AdamOperands, BatchNormBackward, BatchNormForward, Gradient,
    GroupNormBackward, GroupNormForward, LinearBackward, LinearForward, LossOperands, RmsProp,
    RmsPropOperands, RowTargets, Sgd, SgdOperands, View, WindowBackward, WindowForward,
    WindowNormBackward, WindowNormForward,
};
pub(crate) use crate::sequence_operands::{
    EmbeddingBackward, RecurrentBackward, RecurrentForward, RecurrentInput, RecurrentInputGradient,
    RecurrentKept, RecurrentWeights,
};

/// All families.
pub(crate) trait Backend:
    Memory
    + MatMul
    + Windows
    + Pointwise
    + Channel
    + SyncNorm
    + RowWise
    + Gather
    + Sequences
    + Reduce
    + Update
    + Send
    + Sync
{
}

impl<
    B: Memory
        + MatMul
        + Windows
        + Pointwise
        + Channel
        + SyncNorm
        + RowWise
        + Gather
        + Sequences
        + Reduce
        + Update
        + Send
        + Sync,
> Backend for B
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

/// Windows that slide over height and width.
pub(crate) trait Windows {
    /// A convolution, and the norm, the relu and the pooling of its stage.
    fn window_forward(&mut self, window: &Window, samples: usize, at: WindowForward);

    /// The gradients of weight and bias, of the norm's where the stage has one, and of the input where it is asked for. Where
    /// the stage has a relu, the gradient of its output is first set to 0 in place wherever the output is at most 0.
    fn window_backward(&mut self, window: &Window, samples: usize, at: WindowBackward);

    /// The largest value of each window, and where in the window it stood; the first of equals, and NaN before all.
    fn max_pool_forward(
        &mut self,
        pool: &Geometry,
        samples: usize,
        x: View,
        y: View,
        indices: Option<View>,
    );

    /// Each output's gradient goes to the place that it came from.
    fn max_pool_backward(
        &mut self,
        pool: &Geometry,
        samples: usize,
        y_gradient: View,
        indices: View,
        x_gradient: View,
    );

    /// The mean of each window.
    fn average_forward(&mut self, pool: &Geometry, samples: usize, x: View, y: View);

    /// Each output's gradient, in equal parts to all places of its window.
    fn average_backward(
        &mut self,
        pool: &Geometry,
        samples: usize,
        y_gradient: View,
        x_gradient: View,
    );
}

/// One value at a time.
pub(crate) trait Pointwise {
    /// `max(x, 0)`, or that of `y` itself in place; NaN stays.
    fn relu_forward(&mut self, x: Option<View>, y: View);

    /// The gradient, set to 0 in place wherever the relu's output is at most 0.
    fn relu_backward(&mut self, y: View, gradient: View);

    /// An activation of `x`, or of `y` itself in place.
    fn activation_forward(&mut self, activation: &Activation, x: Option<View>, y: View);

    /// The gradient, multiplied in place by the derivative at `values`: what came in or what went out, as
    /// [`plan::StageKind::reads_input`] says.
    fn activation_backward(&mut self, activation: &Activation, values: View, gradient: View);

    /// `y = x + addend`, or `y += addend` in place where there is no `x`.
    fn add(&mut self, x: Option<View>, addend: View, y: View);

    /// Values that are 0 or divided by the share that stays, as drawn for their samples; of `y` itself in place where there is
    /// no `x`.
    fn dropout(&mut self, dropout: &Dropout, draw: Draw, x: Option<View>, y: View);

    /// `to = from`
    fn copy(&mut self, from: View, to: View);
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

    /// The sums that running statistics are made of, from the means and variances of a forward pass.
    fn batch_norm_sums(&mut self, norm: &BatchNorm, samples: usize, statistics: View, sums: View);

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

/// The parts of [`Channel`]'s norms between which microbatches meet.
pub(crate) trait SyncNorm {
    /// Mean and biased variance of each channel.
    fn sync_norm_statistics(&mut self, norm: &BatchNorm, samples: usize, x: View, statistics: View);

    /// What a microbatch leaves for running statistics, where mean and variance are those of so many `values` a channel.
    fn sync_norm_sums(
        &mut self,
        norm: &BatchNorm,
        samples: usize,
        values: u64,
        statistics: View,
        sums: View,
    );

    /// The gradients of weight and bias alone.
    fn sync_norm_gradients(&mut self, norm: &BatchNorm, samples: usize, at: BatchNormBackward);

    /// The gradient of the input, in place, from those of weight and bias over all `values` of a channel: `totals` is `(2, C)`.
    fn sync_norm_input(
        &mut self,
        norm: &BatchNorm,
        samples: usize,
        values: u64,
        at: BatchNormBackward,
        totals: View,
    );
}

/// One row at a time.
pub(crate) trait RowWise {
    /// The loss of each row with its target, unsummed, and its gradient where it is asked for.
    fn loss(&mut self, loss: &Loss, targets: RowTargets<'_>, at: LossOperands);

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

/// Rows that are looked up by number.
pub(crate) trait Gather {
    /// A row of the table for each token: `y: (rows, size)`.
    fn embedding_forward(&mut self, embedding: &Embedding, tokens: &[u32], table: View, y: View);

    /// The gradient of the table: for each token the sum of its rows' gradients, in the order of the rows.
    fn embedding_backward(&mut self, embedding: &Embedding, tokens: &[u32], at: EmbeddingBackward);

    /// One value for all steps of each sequence: `x: (rows, features)`, `y: (N, features)`.
    fn over_time_forward(&mut self, over: &OverTime, packing: &Packing, x: View, y: View);

    /// The undo; every row of the gradient is assigned. `x` where a maximum is sought.
    fn over_time_backward(
        &mut self,
        over: &OverTime,
        packing: &Packing,
        x: Option<View>,
        y_gradient: View,
        x_gradient: View,
    );
}

/// Recurrent layers over packed sequences, one direction of one layer at a time, from hidden states of 0.
pub(crate) trait Sequences {
    /// The hidden states of all steps; keeps gates and cells for the backward pass.
    fn recurrent_forward(
        &mut self,
        stage: &RecurrentStage,
        direction: Direction,
        packing: &Packing,
        at: RecurrentForward<'_>,
    );

    /// The gradients of weights and biases, and of the input where it is asked for. What was kept is spoilt.
    fn recurrent_backward(
        &mut self,
        stage: &RecurrentStage,
        direction: Direction,
        packing: &Packing,
        at: RecurrentBackward<'_>,
    );
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

    /// Averages go this much of the way to the parameters, from 0 to 1, as PyTorch's `lerp`.
    fn average(&mut self, way: f64, parameters: View, averages: View);
}
