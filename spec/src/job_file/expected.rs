//! What a key of the job file takes, in words for a person who wrote something else.

use std::fmt;

use crate::job_file::spelling::listed;

/// What a key of the job file takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Expected {
    /// The name of a job.
    Name,
    /// The name of a layer.
    LayerName,
    /// A split of a dataset, its dataset's name alone meaning `train`.
    Training,
    /// A split of a dataset, or a fraction of the rows trained on.
    Validation,
    /// A section or an inline table.
    Table,
    /// A list of layers.
    Layers,
    /// One layer.
    Layer,
    /// A list of layers, or one layer.
    Projection,
    /// A list of layers, or a table that has it.
    Residual,
    /// A layer that takes no values.
    NoValue {
        /// The layer's word.
        layer: &'static str,
    },
    /// A whole number.
    Whole {
        /// The smallest that is taken.
        from: u64,
        /// The largest that is taken.
        to: u64,
    },
    /// A whole number, or one for the height and one for the width.
    Pair {
        /// The smallest that is taken.
        from: u32,
        /// The largest that is taken.
        to: u32,
    },
    /// A whole number, `"classes"` or `"vocabulary"`.
    Units {
        /// The largest number that is taken.
        to: u32,
    },
    /// A number.
    Number(Interval),
    /// A number, or one each in a list.
    Weights(Interval),
    /// A list of numbers, one a class, or `"balanced"`.
    ClassWeights(Interval),
    /// A list of metrics.
    Metrics,
    /// Two numbers.
    TwoNumbers(Interval),
    /// A number, or a table.
    NumberOrTable {
        /// Where the number lies.
        interval: Interval,
        /// How the table could be written.
        example: &'static str,
    },
    /// A list of groups of parameters.
    Groups {
        /// How many there may be.
        most: usize,
    },
    /// A list of initial values of parameters.
    Initials {
        /// How many there may be.
        most: usize,
    },
    /// Patterns of the names of parameters.
    Patterns {
        /// How many there may be.
        most: usize,
    },
    /// `true` or `false`.
    Flag,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// One of a few words, or a table with one of them as its key.
    Choice {
        /// The words.
        words: &'static [&'static str],
        /// How one could be written with its values.
        example: &'static str,
    },
}

/// The numbers between two bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// No number lies below it.
    pub low: Bound,
    /// No number lies above it.
    pub high: Bound,
}

/// One end of an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// The end itself belongs to the interval.
    Closed(f64),
    /// The end itself does not.
    Open(f64),
}

impl Interval {
    /// Whether `value` lies in it; never for a value that is not a number.
    pub fn contains(&self, value: f64) -> bool {
        let above = match self.low {
            Bound::Closed(low) => value >= low,
            Bound::Open(low) => value > low,
        };
        let below = match self.high {
            Bound::Closed(high) => value <= high,
            Bound::Open(high) => value < high,
        };
        above && below
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.low {
            Bound::Closed(low) => write!(f, "of at least {low:?}")?,
            Bound::Open(low) => write!(f, "above {low:?}")?,
        }
        match self.high {
            Bound::Closed(high) => write!(f, " and at most {high:?}"),
            Bound::Open(high) => write!(f, " and below {high:?}"),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Name => f.write_str(
                "a name of lower-case letters, digits, \".\", \"_\" and \"-\" that starts with a letter or a digit, at most 128 long",
            ),
            Expected::LayerName => {
                f.write_str("a name of letters, digits, \"_\" and \"-\" that is not a bare number, at most 128 long")
            }
            Expected::Training => f.write_str("a split as \"dataset/split\" or \"dataset@digest/split\""),
            Expected::Validation => {
                f.write_str("a split as \"dataset/split\", or a fraction of the training rows above 0 and below 1")
            }
            Expected::Table => f.write_str("a table"),
            Expected::Layers => f.write_str("a list of layers, as [\"flatten\", { linear = \"classes\" }]"),
            Expected::Layer => f.write_str("a layer, as \"relu\", { linear = 10 } or { linear = { units = 10, bias = false } }"),
            Expected::Projection => {
                f.write_str("a list of layers, or one layer, as { conv2d = { filters = 64, kernel = 1 } }")
            }
            Expected::Residual => {
                f.write_str("a list of layers, or a table, as { layers = [{ linear = 64 }, \"relu\"] }")
            }
            Expected::NoValue { layer } => write!(f, "\"{layer}\" alone or {{ {layer} = {{}} }}, since it takes no values"),
            Expected::Whole { from, to } => write!(f, "a whole number from {from} to {to}"),
            Expected::Pair { from, to } => {
                write!(f, "a whole number from {from} to {to}, or two of them as [height, width]")
            }
            Expected::Units { to } => write!(f, "a whole number from 1 to {to}, \"classes\" or \"vocabulary\""),
            Expected::Number(interval) => write!(f, "a number {interval}"),
            Expected::Weights(interval) => {
                write!(f, "a number {interval}, or a list of them, one an output")
            }
            Expected::ClassWeights(interval) => {
                write!(f, "a list of numbers {interval}, one a class, not all 0, or \"balanced\"")
            }
            Expected::Metrics => f.write_str("a list of metrics, as [\"accuracy\", \"top_5\"]"),
            Expected::TwoNumbers(interval) => write!(f, "two numbers, each {interval}"),
            Expected::NumberOrTable { interval, example } => {
                write!(f, "a number {interval}, or a table, as {example}")
            }
            Expected::Groups { most } => write!(
                f,
                "a list of at most {most} groups of parameters, as [{{ match = \"*.bias\", weight_decay = 0.0 }}]"
            ),
            Expected::Initials { most } => write!(
                f,
                "a list of at most {most} initial values, as [{{ match = \"*.weight\", values = \"orthogonal\" }}]"
            ),
            Expected::Patterns { most } => write!(
                f,
                "a pattern of the names of parameters, as \"*.bias\", of at most 256 characters, or a list of 1 to {most}"
            ),
            Expected::Flag => f.write_str("true or false"),
            Expected::Word(words) => f.write_str(&listed(words)),
            Expected::Choice { words, example } => {
                words.iter().try_for_each(|word| write!(f, "\"{word}\", "))?;
                write!(f, "or one of them with values, as {example}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_keeps_its_word_about_its_ends_and_holds_nothing_that_is_no_number() {
        let interval = Interval {
            low: Bound::Closed(0.0),
            high: Bound::Open(1.0),
        };
        assert!(interval.contains(0.0));
        assert!(!interval.contains(1.0));
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(!interval.contains(value), "{value}");
        }
        assert_eq!(interval.to_string(), "of at least 0.0 and below 1.0");
    }
}
