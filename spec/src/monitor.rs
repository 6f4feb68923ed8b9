//! What validation phases are judged by, as a job asks for it.

use serde::{Deserialize, Serialize};

/// The value that validation phases are judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Monitor {
    /// The mean loss over the validation rows: lower is better.
    ValidationLoss,
    /// The share of the validation rows that are classified right: higher is better.
    ValidationAccuracy,
}

impl Monitor {
    /// The word that stands for it.
    pub fn word(self) -> &'static str {
        match self {
            Monitor::ValidationLoss => "validation_loss",
            Monitor::ValidationAccuracy => "validation_accuracy",
        }
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
