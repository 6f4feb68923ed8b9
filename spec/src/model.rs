//! The description of a model: a list of layers, as PyTorch's `nn.Sequential` of the same list would have them.

use serde::{Deserialize, Serialize};

/// A list of layers, run first to last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The layers in the order of the forward pass.
    pub layers: Vec<Layer>,
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
    /// `max(x, 0)`.
    Relu,
    /// `(C, H, W)` to `(C·H·W)`.
    Flatten,
}

/// A count that is either written down or known to the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    /// This many.
    Count(u32),
    /// As many as the dataset has classes.
    Classes,
}

/// A fully connected layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Linear {
    /// Output features.
    pub units: Size,
    /// Whether a bias is added.
    pub bias: bool,
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
    /// Whether a bias is added per output channel.
    pub bias: bool,
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

impl LayerKind {
    /// The layer's name in a job file.
    pub fn word(&self) -> &'static str {
        match self {
            LayerKind::Linear(_) => "linear",
            LayerKind::Conv2d(_) => "conv2d",
            LayerKind::MaxPool2d(_) => "max_pool2d",
            LayerKind::Relu => "relu",
            LayerKind::Flatten => "flatten",
        }
    }
}
