//! Why no plan exists. Every arm that a layer causes carries its position, so that a caller can point at its line.

use spec::Shape;

/// Why a model cannot run on a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The list of layers is empty.
    #[error("the model has no layers: end the list with {{ linear = \"classes\" }}")]
    NoLayers,
    /// No layer has parameters, and the plan is to train.
    #[error(
        "no layer has parameters, so there is nothing to train: add {{ linear = \"classes\" }}"
    )]
    NothingToTrain,
    /// Every parameter is frozen, and the plan is to train.
    #[error(
        "every parameter is frozen, so there is nothing to train: leave some out of the training.groups that are frozen"
    )]
    AllFrozen,
    /// A pattern that no parameter is called by.
    #[error("training.groups[{group}]: no parameter is called \"{pattern}\": there are {names}")]
    MatchesNothing {
        /// Position of the group.
        group: usize,
        /// The pattern.
        pattern: String,
        /// The names that there are.
        names: String,
    },
    /// A group whose parameters all belong to groups before it.
    #[error(
        "training.groups[{group}]: groups before it have already taken all that is called \"{patterns}\": put it before them"
    )]
    NothingLeft {
        /// Position of the group.
        group: usize,
        /// Its patterns.
        patterns: String,
    },
    /// A number of the request is 0.
    #[error("{what} is 0: at least 1 is needed")]
    Zero {
        /// Which number.
        what: &'static str,
    },
    /// Two layers go by one name, so that their parameters would too.
    #[error("two layers are called \"{path}\": give one of them another name")]
    DuplicateName {
        /// Position of the second layer.
        layer: usize,
        /// Position of the first layer.
        first: usize,
        /// The name of both.
        path: String,
    },
    /// The branches of a residual cannot be added.
    #[error(
        "layer {path} (residual) adds {output}, which its layers give, to {}, but only equal shapes can be added: {}",
        shortcut(.input, .projected.as_ref()),
        fitting(.input, .output, .projected.as_ref())
    )]
    Branches {
        /// Position of the layer.
        layer: usize,
        /// Name of the layer.
        path: String,
        /// Shape of the samples that reach it.
        input: Shape,
        /// What its layers give.
        output: Shape,
        /// What its projection gives, where it has one.
        projected: Option<Shape>,
    },
    /// A residual would add a value to itself.
    #[error(
        "layer {path} (residual) has no layer that computes anything: put one into its layers, as {{ linear = 64 }}"
    )]
    EmptyResidual {
        /// Position of the layer.
        layer: usize,
        /// Name of the layer.
        path: String,
    },
    /// A window layer was given samples without height and width.
    #[error(
        "layer {path} ({word}) needs samples of C x H x W, but gets {input}: put it before \"flatten\", or import \
         the data with its shape, as in --shape 1x28x28"
    )]
    NeedsImage {
        /// Position of the layer.
        layer: usize,
        /// Name of the layer.
        path: String,
        /// What the layer is called in a job file.
        word: &'static str,
        /// Shape of the samples that reach it.
        input: Shape,
    },
    /// A layer of flat samples was given samples with more than one extent.
    #[error(
        "layer {path} ({word}) needs flat samples, but gets {input}: put \"flatten\" before it"
    )]
    NeedsFlat {
        /// Position of the layer.
        layer: usize,
        /// Name of the layer.
        path: String,
        /// What the layer is called in a job file.
        word: &'static str,
        /// Shape of the samples that reach it.
        input: Shape,
    },
    /// The window does not fit into the padded sample.
    #[error(
        "layer {path} ({word}) has a window of {window} = {extent} on an input of {input}, which is {padded} with its \
         padding: at most {padded} fits"
    )]
    WindowTooLarge {
        /// Position of the layer.
        layer: usize,
        /// Name of the layer.
        path: String,
        /// What the layer is called in a job file.
        word: &'static str,
        /// `height` or `width`.
        window: &'static str,
        /// The window along it.
        extent: usize,
        /// Shape of the samples that reach the layer.
        input: Shape,
        /// The input along it, padding included.
        padded: usize,
    },
    /// A pooling window could lie in the padding alone.
    #[error(
        "layer {path} ({word}) has padding {padding}, more than half of its window of {window}: at most {most} fits"
    )]
    PoolPadding {
        /// Position of the layer.
        layer: usize,
        /// Name of the layer.
        path: String,
        /// What the layer is called in a job file.
        word: &'static str,
        /// The padding.
        padding: usize,
        /// The window along the same axis.
        window: usize,
        /// Half the window.
        most: usize,
    },
    /// The channels do not fall into equal groups.
    #[error(
        "layer {path} (group_norm) has groups = {groups}, but the {channels} channels of its input {input} do not fall into so \
         many equal groups: use a divisor of {channels}"
    )]
    Groups {
        /// Position of the layer.
        layer: usize,
        /// Name of the layer.
        path: String,
        /// Groups asked for.
        groups: usize,
        /// Channels that reach it.
        channels: usize,
        /// Shape of the samples that reach it.
        input: Shape,
    },
    /// Every microbatch would have one value per channel.
    #[error(
        "layer {path} (batch_norm) normalises {input} over the samples of a microbatch, and each has only one, of which \
         nothing would be left: raise training.batch_size, or lower training.microbatches"
    )]
    OneValue {
        /// Position of the layer.
        layer: usize,
        /// Name of the layer.
        path: String,
        /// Shape of the samples that reach it.
        input: Shape,
    },
    /// A number of a layer is 0.
    #[error("layer {path} ({word}) has {key} = 0: at least 1 is needed")]
    ZeroExtent {
        /// Position of the layer.
        layer: usize,
        /// Name of the layer.
        path: String,
        /// What the layer is called in a job file.
        word: &'static str,
        /// Which number.
        key: &'static str,
    },
    /// The output does not fit the loss.
    #[error(
        "layer {path} ({word}) is the last and gives {output}, but {loss} needs {classes} {}: end \
         the list with {{ linear = \"classes\" }}",
        outputs(.loss)
    )]
    NotLogits {
        /// Position of the last layer.
        layer: usize,
        /// Name of the layer.
        path: String,
        /// What the layer is called in a job file.
        word: &'static str,
        /// What the last layer gives.
        output: Shape,
        /// What is minimised.
        loss: &'static str,
        /// Classes of the data.
        classes: usize,
    },
    /// Weights of the loss that are not one for each class or output.
    #[error("{key} has {weights} numbers, but the data has {classes} classes: write one for each")]
    Weights {
        /// The key of the weights.
        key: &'static str,
        /// How many there are.
        weights: usize,
        /// How many there must be.
        classes: usize,
    },
    /// A class to ignore that there is not.
    #[error(
        "training.loss.cross_entropy.ignore_index = {index}, but the data has {classes} classes, 0 to {}: name one of them",
        .classes - 1
    )]
    IgnoreIndex {
        /// The class to ignore.
        index: u32,
        /// Classes of the data.
        classes: usize,
    },
    /// Too many classes to count every pair of class and answer.
    #[error("rows cannot be counted by class and answer with {classes} classes: at most {most}")]
    TooManyPairs {
        /// Classes of the data.
        classes: usize,
        /// The most that are counted.
        most: usize,
    },
    /// A metric that no answer can change.
    #[error("training.metrics: top_{top} is always 1 with {classes} classes: leave it out")]
    AlwaysRight {
        /// How many of the largest outputs are looked at.
        top: u32,
        /// Classes of the data.
        classes: usize,
    },
    /// A layer's output, parameters or work does not fit into any memory.
    #[error(
        "layer {path} ({word}) on an input of {input} is too large to count its bytes: use fewer units, filters or samples"
    )]
    TooLarge {
        /// Position of the layer.
        layer: usize,
        /// Name of the layer.
        path: String,
        /// What the layer is called in a job file.
        word: &'static str,
        /// Shape of the samples that reach it.
        input: Shape,
    },
    /// All buffers together do not fit into any memory.
    #[error(
        "the plan's buffers together are too large to count: use a smaller batch, or more microbatches"
    )]
    ArenaTooLarge,
}

impl Error {
    /// The entry of the model's lists that causes it, counted as they are written, if one does.
    pub fn layer(&self) -> Option<usize> {
        match *self {
            Error::NoLayers
            | Error::NothingToTrain
            | Error::AllFrozen
            | Error::MatchesNothing { .. }
            | Error::NothingLeft { .. }
            | Error::Zero { .. }
            | Error::Weights { .. }
            | Error::IgnoreIndex { .. }
            | Error::AlwaysRight { .. }
            | Error::TooManyPairs { .. }
            | Error::ArenaTooLarge => None,
            Error::DuplicateName { layer, .. }
            | Error::Branches { layer, .. }
            | Error::EmptyResidual { layer, .. }
            | Error::NeedsImage { layer, .. }
            | Error::NeedsFlat { layer, .. }
            | Error::WindowTooLarge { layer, .. }
            | Error::PoolPadding { layer, .. }
            | Error::Groups { layer, .. }
            | Error::OneValue { layer, .. }
            | Error::ZeroExtent { layer, .. }
            | Error::NotLogits { layer, .. }
            | Error::TooLarge { layer, .. } => Some(layer),
        }
    }

    /// The position in the list of the group of parameters that causes it, if one does.
    pub fn group(&self) -> Option<usize> {
        match *self {
            Error::MatchesNothing { group, .. } | Error::NothingLeft { group, .. } => Some(group),
            _ => None,
        }
    }
}

fn shortcut(input: &Shape, projected: Option<&Shape>) -> String {
    match projected {
        Some(projected) => format!("{projected}, which its projection gives"),
        None => format!("its input of {input}"),
    }
}

/// The projection that makes `output` of `input`, if there is a plain one.
fn fitting(input: &Shape, output: &Shape, projected: Option<&Shape>) -> String {
    let stride = |from: usize, to: usize| {
        let stride = from.div_ceil(to);
        (from.div_ceil(stride) == to).then_some(stride)
    };
    let layer = match (input.extents(), output.extents()) {
        (&[_], &[units]) => Some(format!("{{ linear = {units} }}")),
        (&[_, height, width], &[filters, out_height, out_width]) => {
            let strides = (stride(height, out_height), stride(width, out_width));
            let stride = match strides {
                (Some(1), Some(1)) => Some(String::new()),
                (Some(high), Some(wide)) if high == wide => Some(format!(", stride = {high}")),
                (Some(high), Some(wide)) => Some(format!(", stride = [{high}, {wide}]")),
                _ => None,
            };
            stride.map(|stride| {
                format!("{{ conv2d = {{ filters = {filters}, kernel = 1{stride} }} }}")
            })
        }
        _ => None,
    };
    match layer {
        Some(layer) => format!("write projection = {layer}"),
        None => format!("make its layers give {}", projected.unwrap_or(input)),
    }
}

/// What a loss takes from the last layer.
fn outputs(loss: &str) -> &'static str {
    match loss {
        "cross_entropy" | "bce_with_logits" => "logits per sample",
        _ => "values per sample, one for each class",
    }
}
