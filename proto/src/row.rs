//! Metric rows.

use spec::metric::{Exact, MetricRow, Timing};

use crate::v1;

impl From<MetricRow> for v1::MetricRow {
    fn from(row: MetricRow) -> Self {
        let MetricRow { exact, timing } = row;
        v1::MetricRow {
            epoch: exact.epoch,
            step: exact.step,
            samples: exact.samples,
            tokens: exact.tokens,
            loss: exact.loss,
            accuracy: exact.accuracy,
            learning_rate: exact.learning_rate,
            gradient_norm: exact.gradient_norm,
            parameters_digest: exact.parameters_digest,
            validation_loss: exact.validation_loss,
            validation_accuracy: exact.validation_accuracy,
            samples_per_s: timing.samples_per_s,
            data_ms: timing.data_ms,
            forward_ms: timing.forward_ms,
            backward_ms: timing.backward_ms,
            reduce_ms: timing.reduce_ms,
            update_ms: timing.update_ms,
        }
    }
}

impl From<v1::MetricRow> for MetricRow {
    fn from(row: v1::MetricRow) -> Self {
        MetricRow {
            exact: Exact {
                epoch: row.epoch,
                step: row.step,
                samples: row.samples,
                tokens: row.tokens,
                loss: row.loss,
                accuracy: row.accuracy,
                learning_rate: row.learning_rate,
                gradient_norm: row.gradient_norm,
                parameters_digest: row.parameters_digest,
                validation_loss: row.validation_loss,
                validation_accuracy: row.validation_accuracy,
            },
            timing: Timing {
                samples_per_s: row.samples_per_s,
                data_ms: row.data_ms,
                forward_ms: row.forward_ms,
                backward_ms: row.backward_ms,
                reduce_ms: row.reduce_ms,
                update_ms: row.update_ms,
            },
        }
    }
}
