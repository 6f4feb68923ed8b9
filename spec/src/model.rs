//! The description of a model: a list of layers, as PyTorch's `nn.Sequential` of the same list would have them.

use serde::{Deserialize, Serialize};

use crate::recurrent::{Embedding, Recurrent};

/// A list of layers, run first to last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The layers in the order of the forward pass.
    pub layers: Vec<Layer>,
}

impl Layer {
    /// The entries of lists that it takes as it is written: itself, then those inside it.
    pub fn entries(&self) -> usize {
        let inside = |layers: &[Layer]| layers.iter().map(Layer::entries).sum::<usize>();
        1 + match &self.kind {
            LayerKind::Residual(residual) => {
                inside(&residual.layers) + inside(&residual.projection)
            }
            LayerKind::Repeat(repeat) => inside(&repeat.layers),
            _ => 0,
        }
    }

    /// The layers that run for it, repeated ones each time; as many as can be counted.
    pub fn unrolled(&self) -> usize {
        let inside = |layers: &[Layer]| {
            layers
                .iter()
                .map(Layer::unrolled)
                .fold(0, usize::saturating_add)
        };
        match &self.kind {
            LayerKind::Residual(residual) => inside(&residual.layers)
                .saturating_add(inside(&residual.projection))
                .saturating_add(1),
            LayerKind::Repeat(repeat) => {
                inside(&repeat.layers).saturating_mul(repeat.times as usize)
            }
            _ => 1,
        }
    }
}

/// One layer and, where given, its own name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// The name that its parameters carry instead of the position in the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the layer computes.
    #[serde(flatten)]
    pub kind: LayerKind,
}

/// What a layer computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerKind {
    /// `y = x Wᵀ + b` over the last extent of a flat sample.
    Linear(Linear),
    /// Cross-correlation over `H` and `W`, as PyTorch's `Conv2d`.
    Conv2d(Conv2d),
    /// The largest value of each window, as PyTorch's `MaxPool2d`.
    MaxPool2d(MaxPool2d),
    /// The mean of each window, zeros of the padding counted, as PyTorch's `AvgPool2d`.
    AvgPool2d(AvgPool2d),
    /// The mean of each channel: `(C, H, W)` to `(C)`.
    GlobalAvgPool,
    /// The largest of each channel: `(C, H, W)` to `(C)`. Over a sequence the largest of each feature over its steps.
    GlobalMaxPool,
    /// Normalisation of each channel over the microbatch, and by running statistics in evaluation, as PyTorch's
    /// `BatchNorm1d` and `BatchNorm2d`.
    BatchNorm(BatchNorm),
    /// Normalisation over each whole sample, as PyTorch's `LayerNorm` of the sample's shape.
    LayerNorm(LayerNorm),
    /// Normalisation over groups of channels of each sample, as PyTorch's `GroupNorm`.
    GroupNorm(GroupNorm),
    /// `max(x, 0)`.
    Relu,
    /// Another function of one value.
    Activation(Activation),
    /// `exp(x) / Σ exp(x)` over a flat sample.
    Softmax,
    /// The logarithm of the softmax.
    LogSoftmax,
    /// `(C, H, W)` to `(C·H·W)`.
    Flatten,
    /// A vector for each token, as PyTorch's `Embedding`.
    Embedding(Embedding),
    /// A recurrent layer over a sequence, or several on each other, as PyTorch's `RNN`, `LSTM` and `GRU` over packed
    /// sequences.
    Recurrent(Recurrent),
    /// Each value 0 or larger in training, by chance; nothing in evaluation.
    Dropout(Dropout),
    /// What its layers give, added to what it takes.
    Residual(Residual),
    /// Its layers several times, each time with parameters of their own.
    Repeat(Repeat),
}

/// A function of one value, as PyTorch computes it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x Φ(x)`, `Φ` being the distribution of the standard normal.
    Gelu(Gelu),
    /// `x sigmoid(x)`, also called swish.
    Silu,
    /// The hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `x` above 0, else `slope · x`.
    LeakyRelu {
        /// At least 0.
        slope: f64,
    },
    /// `x` above 0, else `alpha · (exp(x) - 1)`.
    Elu {
        /// At least 0.
        alpha: f64,
    },
    /// `ln(1 + exp(x))`, and `x` itself above 20.
    Softplus,
    /// `x` cut to [-1, 1].
    Hardtanh,
    /// The logarithm of the sigmoid.
    Logsigmoid,
}

/// How a gelu finds the distribution of the standard normal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gelu {
    /// As it is, by the error function.
    Erf,
    /// Nearly, by a hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// The activation's name in a job file.
    pub fn word(&self) -> &'static str {
        match self {
            Activation::Gelu(_) => "gelu",
            Activation::Silu => "silu",
            Activation::Tanh => "tanh",
            Activation::Sigmoid => "sigmoid",
            Activation::LeakyRelu { .. } => "leaky_relu",
            Activation::Elu { .. } => "elu",
            Activation::Softplus => "softplus",
            Activation::Hardtanh => "hardtanh",
            Activation::Logsigmoid => "logsigmoid",
        }
    }
}

/// A count that is either written down or known to the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    /// This many.
    Count(u32),
    /// As many as the dataset has classes.
    Classes,
    /// As many as the dataset has tokens.
    Vocabulary,
}

/// A fully connected layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Linear {
    /// Output features.
    pub units: Size,
    /// Whether a bias is added.
    pub bias: bool,
    /// The name of the embedding whose table is its weight too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tied: Option<String>,
}

/// A value for the height and one for the width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// Along the height.
    pub h: u32,
    /// Along the width.
    pub w: u32,
}

impl Pair {
    /// The same value along both.
    pub fn both(value: u32) -> Self {
        Pair { h: value, w: value }
    }
}

/// A two-dimensional convolution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conv2d {
    /// Output channels.
    pub filters: u32,
    /// Extent of the window, at least 1.
    pub kernel: Pair,
    /// Step between windows, at least 1.
    pub stride: Pair,
    /// Zeros added on each side.
    pub padding: Pair,
    /// Step between the places of a window, at least 1.
    #[serde(default = "one_by_one")]
    pub dilation: Pair,
    /// How many groups the channels and the filters fall into, each filter seeing only the channels of its own group.
    #[serde(default = "one")]
    pub groups: u32,
    /// Whether a bias is added per output channel.
    pub bias: bool,
}

fn one_by_one() -> Pair {
    Pair::both(1)
}

fn one() -> u32 {
    1
}

/// A two-dimensional max pooling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaxPool2d {
    /// Extent of the window, at least 1.
    pub kernel: Pair,
    /// Step between windows, at least 1; by default the kernel.
    pub stride: Pair,
    /// Minus infinity added on each side, at most half the kernel.
    pub padding: Pair,
}

/// A two-dimensional average pooling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AvgPool2d {
    /// Extent of the window, at least 1.
    pub kernel: Pair,
    /// Step between windows, at least 1; by default the kernel.
    pub stride: Pair,
    /// Zeros added on each side, at most half the kernel; they count for the mean.
    pub padding: Pair,
}

/// Normalisation of channels over samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchNorm {
    /// Added to the variance.
    pub eps: f64,
    /// How much of the running statistics each step replaces.
    pub momentum: f64,
    /// Whether a step normalises over all of its samples instead of over those of each microbatch.
    #[serde(default)]
    pub sync: bool,
}

/// Normalisation over each sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerNorm {
    /// Added to the variance.
    pub eps: f64,
    /// Whether a weight is multiplied by and a bias added, one of each per value of a sample.
    pub affine: bool,
}

/// Normalisation over groups of channels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupNorm {
    /// How many groups the channels fall into, all equally large.
    pub groups: u32,
    /// Added to the variance.
    pub eps: f64,
    /// Whether a weight is multiplied by and a bias added, one of each per channel.
    pub affine: bool,
}

/// Values set to 0 by chance in training, the others divided by the share that stays, as PyTorch's `Dropout`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Dropout {
    /// The share that is set to 0: at least 0, below 1.
    pub rate: f64,
}

/// A sum of two branches of one value: PyTorch's `nn.Sequential` of the layers, with the projection as its child
/// `projection`, whose forward pass adds the two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Residual {
    /// The branch that computes.
    pub layers: Vec<Layer>,
    /// What the other branch is led through; nothing where it is empty.
    pub projection: Vec<Layer>,
}

/// Layers that are repeated: PyTorch's `nn.Sequential` of so many `nn.Sequential`s.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repeat {
    /// How often, at least 1.
    pub times: u32,
    /// The layers of each time.
    pub layers: Vec<Layer>,
}

impl LayerKind {
    /// The layer's name in a job file.
    pub fn word(&self) -> &'static str {
        match self {
            LayerKind::Linear(_) => "linear",
            LayerKind::Conv2d(_) => "conv2d",
            LayerKind::MaxPool2d(_) => "max_pool2d",
            LayerKind::AvgPool2d(_) => "avg_pool2d",
            LayerKind::GlobalAvgPool => "global_avg_pool",
            LayerKind::GlobalMaxPool => "global_max_pool",
            LayerKind::BatchNorm(_) => "batch_norm",
            LayerKind::LayerNorm(_) => "layer_norm",
            LayerKind::GroupNorm(_) => "group_norm",
            LayerKind::Relu => "relu",
            LayerKind::Activation(activation) => activation.word(),
            LayerKind::Softmax => "softmax",
            LayerKind::LogSoftmax => "log_softmax",
            LayerKind::Flatten => "flatten",
            LayerKind::Embedding(_) => "embedding",
            LayerKind::Recurrent(recurrent) => recurrent.cell.word(),
            LayerKind::Dropout(_) => "dropout",
            LayerKind::Residual(_) => "residual",
            LayerKind::Repeat(_) => "repeat",
        }
    }
}
