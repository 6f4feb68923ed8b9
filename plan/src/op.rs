//! What a layer computes once all its extents are known.

use serde::Serialize;
use spec::model::Activation;
use spec::recurrent::Cell;

/// A layer's computation with every extent resolved.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// `y = x Wᵀ + b`; `x: (N, inputs)`, `W: (outputs, inputs)`, `b: (outputs)`, `y: (N, outputs)`.
    Linear(Linear),
    /// Cross-correlation; `W: (filters, channels / groups, kernel h, kernel w)`, `b: (filters)`.
    Conv2d(Conv2d),
    /// The largest value of each window.
    MaxPool2d(Geometry),
    /// The mean of each window.
    AvgPool2d(Geometry),
    /// Normalisation of each channel over the microbatch; weight and bias: `(C)`.
    BatchNorm(BatchNorm),
    /// Normalisation over a whole sample; weight and bias have the sample's extents.
    LayerNorm(GroupNorm),
    /// Normalisation over groups of channels; weight and bias: `(C)`.
    GroupNorm(GroupNorm),
    /// `max(x, 0)`.
    Relu,
    /// Another function of one value.
    Activation(Activation),
    /// The softmax of a flat sample, or its logarithm.
    Softmax(Softmax),
    /// The same values under a shape of one extent.
    Flatten,
    /// Values set to 0 by chance.
    Dropout(Dropout),
    /// A residual begins: its input is read by both of its branches.
    Fork,
    /// The branch that ends here is put aside, and the residual's input is led through what follows.
    Shortcut,
    /// A residual ends: the sum of its branches.
    Add,
    /// A vector for each token; `W: (vocabulary, size)`.
    Embedding(Embedding),
    /// One recurrent layer.
    Recurrent(Recurrent),
    /// One value for all steps of a sequence.
    OverTime(OverTime),
}

/// Extents of a table of vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Embedding {
    /// Tokens there are.
    pub vocabulary: usize,
    /// Values of a vector.
    pub size: usize,
    /// The token whose vector gets no gradient.
    pub padding_index: Option<usize>,
    /// Whether a linear layer has its table as weight.
    pub tied: bool,
}

/// Extents of one recurrent layer. For each direction `W_ih: (gates · hidden, inputs)`, `W_hh: (gates · hidden, hidden)`,
/// `b_ih` and `b_hh: (gates · hidden)`, gates in PyTorch's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Recurrent {
    /// What happens at a step.
    pub cell: Cell,
    /// Features of a step that come in.
    pub inputs: usize,
    /// Hidden units of each direction.
    pub hidden: usize,
    /// 1, or 2: one from the first step on, one from the last back.
    pub directions: usize,
    /// Whether biases are added.
    pub bias: bool,
    /// Which it is of those on each other, from 0.
    pub number: usize,
}

impl Recurrent {
    /// Features of a step that go out: the hidden states of all directions, one after the other.
    pub fn outputs(&self) -> usize {
        self.directions * self.hidden
    }

    /// Rows of the weights.
    pub fn gates(&self) -> usize {
        self.cell.gates() * self.hidden
    }

    /// Words that are kept of each row and direction between the passes: the gates, and of a GRU the hidden part of one.
    pub fn kept(&self) -> usize {
        match self.cell {
            Cell::Gru => 4 * self.hidden,
            Cell::Rnn(_) | Cell::Lstm => self.gates(),
        }
    }

    /// Parameters of each direction.
    pub fn parameters(&self) -> usize {
        if self.bias { 4 } else { 2 }
    }
}

/// One value for all steps of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OverTime {
    /// Features of a step.
    pub features: usize,
    /// Which.
    pub kind: TimeKind,
}

/// Which value stands for all steps of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeKind {
    /// Of the first `forward` features the last step's, of the others the first step's.
    Last {
        /// Features of the direction that ends at the last step.
        forward: usize,
    },
    /// The mean over the steps.
    Mean,
    /// The largest over the steps.
    Max,
}

/// A normalisation of channels over samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BatchNorm {
    /// Channels.
    pub channels: usize,
    /// Values of a channel in one sample.
    pub plane: usize,
    /// Added to the variance.
    pub eps: f64,
    /// How much of the running statistics each step replaces.
    pub momentum: f64,
    /// Whether a step normalises over all of its samples instead of over those of each microbatch.
    pub sync: bool,
}

/// A normalisation inside each sample, whose values fall into groups one after another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct GroupNorm {
    /// Groups of a sample.
    pub groups: usize,
    /// Values of a group.
    pub group: usize,
    /// Values that share a weight and a bias.
    pub plane: usize,
    /// Added to the variance.
    pub eps: f64,
    /// Whether there are weight and bias.
    pub affine: bool,
}

impl GroupNorm {
    /// Weights of a sample, and as many biases.
    pub fn weights(&self) -> usize {
        self.groups * self.group / self.plane
    }
}

/// A softmax of a flat sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Softmax {
    /// Features of a sample.
    pub features: usize,
    /// What goes out.
    pub scale: Scale,
}

/// Values set to 0 by chance in training, the others divided by the share that stays.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Dropout {
    /// Values of a sample.
    pub values: usize,
    /// The share that is set to 0: at least 0, below 1.
    pub rate: f64,
}

/// Shares of 1, or their logarithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Shares of 1.
    Linear,
    /// Their natural logarithms.
    Logarithmic,
}

/// Extents of a fully connected layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Linear {
    /// Features of a sample that come in.
    pub inputs: usize,
    /// Features of a sample that go out.
    pub outputs: usize,
    /// Whether a bias is added.
    pub bias: bool,
    /// The parameter of an embedding that is its weight too, among the plan's.
    pub tied: Option<usize>,
}

/// Windows that slide over the height and the width of a sample. Pairs are `[height, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Geometry {
    /// Channels that come in; of a pooling as many go out.
    pub channels: usize,
    /// Input height and width.
    pub input: [usize; 2],
    /// Output height and width.
    pub output: [usize; 2],
    /// Extent of the window.
    pub kernel: [usize; 2],
    /// Step between windows.
    pub stride: [usize; 2],
    /// What stands on each side of the input: zeros, or for a largest value minus infinity. Zeros count for a mean.
    pub padding: [usize; 2],
}

impl Geometry {
    /// Values of one input sample.
    pub fn inputs(&self) -> usize {
        self.channels * self.input[0] * self.input[1]
    }

    /// Values of one output sample of a pooling.
    pub fn outputs(&self) -> usize {
        self.channels * self.output[0] * self.output[1]
    }

    /// Places of a channel under one window.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Bytes of the number that says where in a window its largest value stood: 1 for windows of up to 256 values, else 4.
    pub fn index_bytes(&self) -> usize {
        if self.taps() <= 256 { 1 } else { 4 }
    }
}

/// Extent of what lies under windows of `kernel` places that are `dilation` apart.
pub(crate) fn reach(kernel: [usize; 2], dilation: [usize; 2]) -> [usize; 2] {
    [0, 1].map(|axis| (kernel[axis] - 1) * dilation[axis] + 1)
}

/// A two-dimensional convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Conv2d {
    /// Its windows.
    #[serde(flatten)]
    pub geometry: Geometry,
    /// Output channels.
    pub filters: usize,
    /// Step between the places of a window.
    pub dilation: [usize; 2],
    /// Groups of channels and filters: each filter sees only the channels of its own.
    pub groups: usize,
    /// Whether a bias is added per filter.
    pub bias: bool,
}

impl Conv2d {
    /// Channels of a group.
    pub fn group_channels(&self) -> usize {
        self.geometry.channels / self.groups
    }

    /// Filters of a group.
    pub fn group_filters(&self) -> usize {
        self.filters / self.groups
    }

    /// Values under one window: `channels of a group · kernel h · kernel w`.
    pub fn window(&self) -> usize {
        self.group_channels() * self.geometry.taps()
    }

    /// Extent of what lies under a window, gaps included.
    pub fn reach(&self) -> [usize; 2] {
        reach(self.geometry.kernel, self.dilation)
    }

    /// Values of one input sample.
    pub fn inputs(&self) -> usize {
        self.geometry.inputs()
    }

    /// Values of one output sample.
    pub fn outputs(&self) -> usize {
        self.filters * self.geometry.output[0] * self.geometry.output[1]
    }
}
