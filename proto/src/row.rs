//! Metric rows.

use spec::metric::{Exact, Measures, MetricRow, Timing};

use crate::error::Error;
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
            measures: exact
                .measures
                .columns()
                .map(|(column, value)| v1::Measure { column, value })
                .collect(),
        }
    }
}

impl TryFrom<v1::MetricRow> for MetricRow {
    type Error = Error;

    /// Numbers that JSON cannot keep are refused where there must be one, and absent where there may be none.
    fn try_from(row: v1::MetricRow) -> Result<Self, Error> {
        if row.step == 0 {
            return Err(Error::unreadable("row.step", "steps count from 1"));
        }
        let number = |field, value: f64| {
            let finite = value.is_finite().then_some(value);
            finite.ok_or_else(|| Error::unreadable(field, format!("{value} is not a number")))
        };
        let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
        let mut measures = Measures::default();
        for v1::Measure { column, value } in row.measures {
            if !measures.put(&column, finite(value)) {
                let why = format!("{column:?} is not one");
                return Err(Error::unreadable("row.measures.column", why));
            }
        }
        Ok(MetricRow {
            exact: Exact {
                epoch: row.epoch,
                step: row.step,
                samples: row.samples,
                tokens: row.tokens,
                loss: finite(row.loss),
                accuracy: finite(row.accuracy),
                learning_rate: number("row.learning_rate", row.learning_rate)?,
                gradient_norm: finite(row.gradient_norm),
                parameters_digest: row.parameters_digest,
                validation_loss: finite(row.validation_loss),
                validation_accuracy: finite(row.validation_accuracy),
                measures,
            },
            timing: Timing {
                samples_per_s: number("row.samples_per_s", row.samples_per_s)?,
                data_ms: number("row.data_ms", row.data_ms)?,
                forward_ms: number("row.forward_ms", row.forward_ms)?,
                backward_ms: number("row.backward_ms", row.backward_ms)?,
                reduce_ms: number("row.reduce_ms", row.reduce_ms)?,
                update_ms: number("row.update_ms", row.update_ms)?,
            },
        })
    }
}
