//! The metric row of a step. Its exact columns are the same bits whatever failed and however many ranks ran.

use serde::{Deserialize, Serialize};

/// What one step reports. Rows are upserts by (job, step).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricRow {
    /// The columns that do not depend on ranks, failures or time.
    #[serde(flatten)]
    pub exact: Exact,
    /// The columns that do.
    #[serde(flatten)]
    pub timing: Timing,
}

/// The exact columns (DESIGN section 5). A value that is not a number is `None`, `null` in JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exact {
    /// The epoch that the step belongs to, from 1.
    pub epoch: u64,
    /// The step, from 1.
    pub step: u64,
    /// Samples trained on since step 1, this step included.
    pub samples: u64,
    /// Tokens trained on since step 1; 0 where the data has none.
    pub tokens: u64,
    /// Mean loss over the step's samples, before the update.
    pub loss: Option<f64>,
    /// Share of the step's samples that were classified right, before the update.
    pub accuracy: Option<f64>,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Euclidean norm of the reduced gradient.
    pub gradient_norm: Option<f64>,
    /// 32 hex digits over all parameters after the update.
    pub parameters_digest: String,
    /// Mean loss over the validation rows, if they were evaluated after this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_loss: Option<f64>,
    /// Accuracy over the validation rows, if they were evaluated after this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<f64>,
}

/// How long the parts of a step took on rank 0, in milliseconds, and the rate over the last second or so.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Samples of the whole gang per second.
    pub samples_per_s: f64,
    /// Waiting for the batch.
    pub data_ms: f64,
    /// Forward passes.
    pub forward_ms: f64,
    /// Backward passes.
    pub backward_ms: f64,
    /// The fold, waiting included.
    pub reduce_ms: f64,
    /// Division, update and digest.
    pub update_ms: f64,
}
