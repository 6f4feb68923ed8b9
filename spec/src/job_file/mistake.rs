//! What can be wrong with a job file, as facts, and in one sentence each with the remedy.

use std::fmt;

use crate::job_file::expected::Expected;
use crate::job_file::spelling::{listed, quoted, shown};

/// Lists of known keys up to this length are shown.
const SHORT: usize = 24;

/// All mistakes of a job file, in the order of the file, those of `--set` last.
#[derive(Debug, Clone, PartialEq)]
pub struct Mistakes {
    /// The mistakes; at least one.
    pub mistakes: Vec<Mistake>,
    /// How many further ones were found and left out, since nobody reads thousands.
    pub more: usize,
}

/// One mistake: where, and what is wrong there.
#[derive(Debug, Clone, PartialEq)]
pub struct Mistake {
    /// The line it stands on, from 1; absent for what is missing altogether and for a `--set`.
    pub line: Option<usize>,
    /// The character of the line it begins at, from 1.
    pub column: Option<usize>,
    /// The text of the `--set` that caused it.
    pub set: Option<String>,
    /// One sentence: what is wrong and what to write instead.
    pub message: String,
    /// The facts that the sentence is made of.
    pub wrong: Wrong,
}

/// What is wrong. Keys are dotted: `training.epochs`, `model.layers[2].conv2d.kernel`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Wrong {
    /// The text is no TOML.
    #[error("this is not TOML: {}", shown(.detail))]
    Syntax {
        /// What the TOML parser says.
        detail: String,
    },
    /// The text is longer than any job file needs to be.
    #[error("{bytes} bytes are too long for a job file: at most {limit}")]
    TooLong {
        /// The text's length.
        bytes: usize,
        /// The greatest length.
        limit: usize,
    },
    /// A key that no job file holds.
    #[error("unknown key {}{}{}", quoted(.key), inside(.parent), hint(.nearest.as_deref(), .known))]
    UnknownKey {
        /// The table that holds the key; empty for the top of the file.
        parent: String,
        /// The key.
        key: String,
        /// The known key that is spelt most like it.
        nearest: Option<String>,
        /// The keys known there.
        known: Vec<String>,
    },
    /// A word that is none of the few that are taken.
    #[error("{key}: unknown word {}{}", quoted(.word), words_hint(*.nearest, .known))]
    UnknownWord {
        /// The key.
        key: String,
        /// The word.
        word: String,
        /// The known word that is spelt most like it.
        nearest: Option<&'static str>,
        /// The words that are taken.
        known: &'static [&'static str],
    },
    /// A layer that does not exist.
    #[error("{key}: unknown layer {}{}", quoted(.layer), words_hint(*.nearest, .known))]
    UnknownLayer {
        /// The entry of `model.layers`.
        key: String,
        /// The word that stands for no layer.
        layer: String,
        /// The layer that is spelt most like it.
        nearest: Option<&'static str>,
        /// The layers there are.
        known: &'static [&'static str],
    },
    /// A key that must be there and is not.
    #[error("missing key {key}: expected {expected}")]
    Missing {
        /// The key.
        key: String,
        /// What it takes.
        expected: Expected,
    },
    /// A value of the wrong type.
    #[error("{key}: expected {expected}, got {got}")]
    WrongType {
        /// The key.
        key: String,
        /// What it takes.
        expected: Expected,
        /// What is there.
        got: String,
    },
    /// A value of the right type that cannot be.
    #[error("{key}: expected {expected}, got {got}")]
    OutOfRange {
        /// The key.
        key: String,
        /// What it takes.
        expected: Expected,
        /// What is there.
        got: String,
    },
    /// Two keys of which there may be one.
    #[error("{first} and {second} exclude each other: keep one of them")]
    Exclusive {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// Dropout between the layers of a recurrent layer that has but one.
    #[error(
        "{key}: there is only one layer, and so no place between two: set layers, or add {{ dropout = .. }} behind it"
    )]
    DropoutBetweenNothing {
        /// The key.
        key: String,
    },
    /// Neither epochs nor steps.
    #[error("missing key training.epochs or training.steps: say how long to train")]
    NoLength,
    /// A model without layers.
    #[error(
        "{key} is empty: name at least one layer, as [\"flatten\", {{ linear = \"classes\" }}]"
    )]
    NoLayers {
        /// The list.
        key: String,
    },
    /// More layers than any model has.
    #[error("{key} has {count} layers: at most {limit}")]
    TooManyLayers {
        /// The list.
        key: String,
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// More layers than any model has, once those that are repeated are counted each time.
    #[error("model.layers comes to {count} layers with its repeats: at most {limit}, lower times")]
    TooManyRepeated {
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Lists of layers inside each other, deeper than any model has them.
    #[error("{key}: layers lie at most {limit} lists deep inside model.layers: write it flatter")]
    TooDeep {
        /// The list.
        key: String,
        /// How deep it may lie.
        limit: usize,
    },
    /// A layer of a residual that is called as its projection.
    #[error(
        "{key}: \"projection\" is what the residual's projection is called: choose another name"
    )]
    ProjectionName {
        /// The key.
        key: String,
    },
    /// A layer given by name alone that needs values.
    #[error("{key}: \"{layer}\" needs values, as {example}")]
    BareLayer {
        /// The entry of `model.layers`.
        key: String,
        /// The layer.
        layer: &'static str,
        /// How it could be written.
        example: &'static str,
    },
    /// A table that says no layer.
    #[error("{key}: no layer is named here, expected one of {}", listed(.known))]
    NoLayer {
        /// The entry of `model.layers`.
        key: String,
        /// The layers there are.
        known: &'static [&'static str],
    },
    /// A table that says two layers.
    #[error("{key}: {first} and {second} are two layers, write each in its own {{ }}")]
    SeveralLayers {
        /// The entry of `model.layers`.
        key: String,
        /// The layer that is written first.
        first: String,
        /// The one that is written next.
        second: String,
    },
    /// Two layers of one name.
    #[error("{key}: the name \"{name}\" is taken by {list}[{first}]: layer names are unique")]
    DuplicateName {
        /// The key.
        key: String,
        /// The name.
        name: String,
        /// The list that both stand in.
        list: String,
        /// The position of the layer that has it already, from 0.
        first: usize,
    },
    /// Pooling padding that would make windows of padding alone.
    #[error("{key}: padding of {padding} is more than half the kernel of {kernel}: at most {}", .kernel / 2)]
    TooMuchPadding {
        /// The key.
        key: String,
        /// The padding along one extent.
        padding: u32,
        /// The kernel along the same extent.
        kernel: u32,
    },
    /// Nesterov's momentum without momentum.
    #[error("training.optimizer.sgd.nesterov needs momentum above 0: write momentum = 0.9")]
    NesterovWithoutMomentum,
    /// Two keys of which there must be one.
    #[error("missing key {first} or {second}: write one of them")]
    NeitherOf {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// A schedule that ends above where it starts.
    #[error("{key} = {min_lr:?} is above the optimizer's lr = {lr:?}: lower it, or raise lr")]
    AboveRate {
        /// The key of the lowest rate.
        key: String,
        /// The lowest rate.
        min_lr: f64,
        /// The base rate.
        lr: f64,
    },
    /// A metric that is asked for twice.
    #[error("{key}: \"{metric}\" is there already: name each metric once")]
    MetricTwice {
        /// The entry of `training.metrics`.
        key: String,
        /// The metric.
        metric: String,
    },
    /// Perplexity of a loss that is no cross entropy.
    #[error(
        "{key}: perplexity is that of a cross entropy, and training.loss is \"{loss}\": leave it out"
    )]
    NoPerplexity {
        /// The key of the metrics.
        key: String,
        /// The loss.
        loss: &'static str,
    },
    /// What is monitored is not measured.
    #[error("{key}: \"{monitor}\" needs \"{metric}\" in training.metrics: add it there")]
    NotMeasured {
        /// The key of the monitor.
        key: String,
        /// What is monitored.
        monitor: String,
        /// The metric that it is.
        metric: String,
    },
    /// What is decided from validation, without validation.
    #[error(
        "{key} follows the validation rows, and there are none: name them in data.validation, as 0.1 or \"dataset/split\""
    )]
    NoValidation {
        /// What needs them.
        key: String,
    },
    /// Microbatches that no step would ever have.
    #[error(
        "training.microbatches: of {microbatches} microbatches {} would always be empty with training.batch_size = {batch_size}: write {nearest}",
        empty(*.microbatches, *.batch_size)
    )]
    EmptyMicrobatches {
        /// How many there are.
        microbatches: u32,
        /// The samples that they share.
        batch_size: u32,
        /// The nearest number that leaves none empty.
        nearest: u32,
    },
    /// More ranks than microbatches.
    #[error(
        "resources.ranks = {ranks} is more than training.microbatches = {microbatches}: {}, or lower resources.ranks to {microbatches}",
        more_microbatches(*.ranks, *.batch_size, *.enough)
    )]
    TooManyRanks {
        /// The ranks.
        ranks: u32,
        /// The microbatches that they share.
        microbatches: u32,
        /// The samples that the microbatches share.
        batch_size: u32,
        /// The least number of microbatches that is enough and leaves none empty, if the batch has samples for it.
        enough: Option<u32>,
    },
    /// An override that is no `key=value`.
    #[error("expected key=value, as training.epochs=3")]
    NoValueSet,
}

fn inside(parent: &str) -> String {
    if parent.is_empty() {
        String::new()
    } else {
        format!(" in {}", shown(parent))
    }
}

fn hint(nearest: Option<&str>, known: &[String]) -> String {
    let mut hint = nearest.map_or_else(String::new, |nearest| {
        format!(", did you mean \"{nearest}\"?")
    });
    if known.is_empty() {
        hint.push_str(" (no key is known here)");
    } else if known.len() <= SHORT {
        hint.push_str(&format!(" (known: {})", known.join(", ")));
    }
    hint
}

fn words_hint(nearest: Option<&str>, known: &[&str]) -> String {
    match nearest {
        Some(nearest) => format!(
            ", did you mean \"{nearest}\"? (known: {})",
            known.join(", ")
        ),
        None => format!(", expected {}", listed(known)),
    }
}

fn empty(microbatches: u32, batch_size: u32) -> u32 {
    let samples = batch_size.div_ceil(microbatches.max(1)).max(1);
    microbatches.saturating_sub(batch_size.div_ceil(samples))
}

fn more_microbatches(ranks: u32, batch_size: u32, enough: Option<u32>) -> String {
    match enough {
        Some(enough) => format!("raise training.microbatches to {enough}"),
        None => format!(
            "raise training.batch_size from {batch_size} and training.microbatches, both to {ranks} or more"
        ),
    }
}

impl Mistakes {
    /// One line per mistake, each beginning with `file:line:column:`, with `file:` alone where there is no place, or with
    /// the `--set` that caused it.
    pub fn display_for(&self, file: &str) -> String {
        let lines = self
            .mistakes
            .iter()
            .map(|mistake| match (mistake.line, mistake.column) {
                (Some(line), Some(column)) => {
                    format!("{file}:{line}:{column}: {}", mistake.message)
                }
                _ if mistake.set.is_some() => mistake.to_string(),
                _ => format!("{file}: {}", mistake.message),
            });
        self.joined(lines)
    }

    fn joined(&self, lines: impl Iterator<Item = String>) -> String {
        let more = (self.more > 0).then(|| format!("and {} more mistakes", self.more));
        lines.chain(more).collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.joined(self.mistakes.iter().map(Mistake::to_string)))
    }
}

impl std::error::Error for Mistakes {}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.set, self.line, self.column) {
            (Some(set), ..) => write!(f, "--set {}: ", shown(set))?,
            (None, Some(line), Some(column)) => write!(f, "line {line}, column {column}: ")?,
            _ => {}
        }
        f.write_str(&self.message)
    }
}
