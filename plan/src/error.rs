//! Why no plan exists. Every arm that a layer causes carries its position, so that a caller can point at its line.

mod remedies;

use spec::Shape;

use crate::error::remedies::{fitting, outputs, shortcut, tables, wanted};
use crate::signal::Per;

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
    #[error("{list}[{number}]: no parameter is called \"{pattern}\": there are {names}")]
    MatchesNothing {
        /// `training.groups` or `training.init`.
        list: &'static str,
        /// Position in it.
        number: usize,
        /// The pattern.
        pattern: String,
        /// The names that there are.
        names: String,
    },
    /// An entry of a list whose parameters all belong to those before it.
    #[error(
        "{list}[{number}]: those before it have already taken all that is called \"{patterns}\": put it before them"
    )]
    NothingLeft {
        /// `training.groups` or `training.init`.
        list: &'static str,
        /// Position in it.
        number: usize,
        /// Its patterns.
        patterns: String,
    },
    /// Initial values that need the fans of a parameter with one extent.
    #[error(
        "training.init[{number}]: {word} needs parameters of two extents or more, but {name} has one: leave it out of the pattern, \
         as in \"*.weight\""
    )]
    OneExtent {
        /// Position of the rule.
        number: usize,
        /// What the values are called.
        word: &'static str,
        /// The parameter's name.
        name: String,
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
        /// The window along it, the gaps of a dilation included.
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
        "layer {path} ({word}) has groups = {groups}, but the {channels} channels of its input {input} do not fall into so \
         many equal groups: use a divisor of {channels}"
    )]
    Groups {
        /// Position of the layer.
        layer: usize,
        /// Name of the layer.
        path: String,
        /// What the layer is called in a job file.
        word: &'static str,
        /// Groups asked for.
        groups: usize,
        /// Channels that reach it.
        channels: usize,
        /// Shape of the samples that reach it.
        input: Shape,
    },
    /// The filters do not fall into equal groups.
    #[error(
        "layer {path} (conv2d) on {input} has groups = {groups}, but its {filters} filters do not fall into so many equal groups: \
         use a multiple of {groups}, as filters = {}",
        .filters.next_multiple_of(*.groups)
    )]
    FilterGroups {
        /// Position of the layer.
        layer: usize,
        /// Name of the layer.
        path: String,
        /// Groups asked for.
        groups: usize,
        /// Filters asked for.
        filters: usize,
        /// Shape of the samples that reach it.
        input: Shape,
    },
    /// A layer of values was given tokens.
    #[error(
        "layer {path} ({word}) gets tokens, which are numbers of words and no values: put {{ embedding = 64 }} before it"
    )]
    TokensAsValues {
        /// Position of the layer.
        layer: usize,
        /// Name of the layer.
        path: String,
        /// What the layer is called in a job file.
        word: &'static str,
    },
    /// An embedding was given values.
    #[error(
        "layer {path} (embedding) needs tokens, but gets {input}: make it the first layer, on a dataset of text"
    )]
    NeedsTokens {
        /// Position of the layer.
        layer: usize,
        /// Name of the layer.
        path: String,
        /// What reaches it.
        input: String,
    },
    /// A recurrent layer was given what has no steps.
    #[error(
        "layer {path} ({word}) needs a sequence of values, but gets {input}: put {{ embedding = 64 }} before it, on a dataset of \
         text"
    )]
    NeedsSequence {
        /// Position of the layer.
        layer: usize,
        /// Name of the layer.
        path: String,
        /// What the layer is called in a job file.
        word: &'static str,
        /// What reaches it.
        input: String,
    },
    /// A layer of whole samples was given a sequence.
    #[error(
        "layer {path} ({word}) takes no sequence, but gets {input}: put a layer before it that gives one value for all steps, as \
         \"global_avg_pool\" or {{ lstm = {{ hidden = 128, output = \"last\" }} }}"
    )]
    TakesNoSequence {
        /// Position of the layer.
        layer: usize,
        /// Name of the layer.
        path: String,
        /// What the layer is called in a job file.
        word: &'static str,
        /// What reaches it.
        input: String,
    },
    /// The size of a vocabulary that the data does not have.
    #[error(
        "layer {path} ({word}) is as large as the vocabulary, but the data has no tokens: write a number, or train on a \
         dataset of text"
    )]
    NoVocabulary {
        /// Position of the layer.
        layer: usize,
        /// Name of the layer.
        path: String,
        /// What the layer is called in a job file.
        word: &'static str,
    },
    /// A padding token that the vocabulary does not have.
    #[error(
        "layer {path} (embedding) has padding_index = {index}, but the vocabulary has {vocabulary} tokens: at most {} fits",
        .vocabulary - 1
    )]
    PaddingIndex {
        /// Position of the layer.
        layer: usize,
        /// Name of the layer.
        path: String,
        /// The padding token.
        index: usize,
        /// Tokens there are.
        vocabulary: usize,
    },
    /// A weight that is shared with a table that is not there.
    #[error("layer {path} (linear) is tied to \"{table}\", but no embedding before it is called so{}", tables(.known))]
    NoTable {
        /// Position of the layer.
        layer: usize,
        /// Name of the layer.
        path: String,
        /// The table asked for.
        table: String,
        /// The embeddings before it.
        known: Vec<String>,
    },
    /// A weight that is shared with a table of another shape.
    #[error(
        "layer {path} (linear) is tied to {table}, whose table is {}x{}, but its own weight is {}x{}: give it units = \
         \"vocabulary\", and as many values before it as the embedding's size",
        .has[0], .has[1], .needs[0], .needs[1]
    )]
    TiedShape {
        /// Position of the layer.
        layer: usize,
        /// Name of the layer.
        path: String,
        /// The embedding.
        table: String,
        /// The extents of its table.
        has: [usize; 2],
        /// The extents of the weight.
        needs: [usize; 2],
    },
    /// One output where every step has a target, or one a step where every sample has.
    #[error("layer {path} ({word}) is the last and gives {output}, but the data has {}", wanted(*.per))]
    NotPerTarget {
        /// Position of the last layer.
        layer: usize,
        /// Name of the layer.
        path: String,
        /// What the layer is called in a job file.
        word: &'static str,
        /// What the last layer gives.
        output: String,
        /// What has a target.
        per: Per,
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
            | Error::OneExtent { .. }
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
            | Error::FilterGroups { layer, .. }
            | Error::TokensAsValues { layer, .. }
            | Error::NeedsTokens { layer, .. }
            | Error::NeedsSequence { layer, .. }
            | Error::TakesNoSequence { layer, .. }
            | Error::NoVocabulary { layer, .. }
            | Error::PaddingIndex { layer, .. }
            | Error::NoTable { layer, .. }
            | Error::TiedShape { layer, .. }
            | Error::NotPerTarget { layer, .. }
            | Error::OneValue { layer, .. }
            | Error::ZeroExtent { layer, .. }
            | Error::NotLogits { layer, .. }
            | Error::TooLarge { layer, .. } => Some(layer),
        }
    }

    /// The list of rules for parameters, `training.groups` or `training.init`, and the position in it of the one that causes it.
    pub fn rule(&self) -> Option<(&'static str, usize)> {
        match *self {
            Error::MatchesNothing { list, number, .. }
            | Error::NothingLeft { list, number, .. } => Some((list, number)),
            Error::OneExtent { number, .. } => Some(("training.init", number)),
            _ => None,
        }
    }
}
