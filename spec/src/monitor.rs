//! What validation phases are judged by, as a job asks for it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::metric::Metric;

/// The value that validation phases are judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Monitor {
    /// The loss over the validation rows.
    Loss,
    /// A metric over the validation rows.
    Metric(Metric),
}

const PREFIX: &str = "validation_";

impl Monitor {
    /// The monitor that a word stands for, as `validation_f1`.
    pub fn parse(word: &str) -> Option<Monitor> {
        match word.strip_prefix(PREFIX)? {
            "loss" => Some(Monitor::Loss),
            word => Metric::parse(word).map(Monitor::Metric),
        }
    }

    /// Whether the first value is strictly better than the second; one that is no number is not, and nothing is better than it.
    pub fn is_better(self, value: f64, than: f64) -> bool {
        if self.falls() {
            value < than
        } else {
            value > than
        }
    }

    /// Whether lower values are better.
    pub fn falls(self) -> bool {
        matches!(self, Monitor::Loss | Monitor::Metric(Metric::Perplexity))
    }
}

impl fmt::Display for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Monitor::Loss => write!(f, "{PREFIX}loss"),
            Monitor::Metric(metric) => write!(f, "{PREFIX}{metric}"),
        }
    }
}

impl From<Monitor> for String {
    fn from(monitor: Monitor) -> String {
        monitor.to_string()
    }
}

impl TryFrom<String> for Monitor {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        Monitor::parse(&word).ok_or_else(|| format!("nothing to monitor is called {word:?}"))
    }
}

/// When training ends before its last step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EarlyStopping {
    /// Validation phases in a row without betterment after which training ends, at least 1.
    pub patience: u64,
    /// The least betterment that counts.
    pub min_delta: f64,
}
