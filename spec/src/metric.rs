//! What is measured beside the loss, and the metric row of a step. Its exact columns are the same bits whatever failed and
//! however many ranks ran.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What is measured beside the loss. Each is over the rows that the loss counts: samples, or time steps of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Share of the rows whose largest output stands at their class.
    Accuracy,
    /// Share of the rows whose class is among so many of the largest outputs.
    Top(u32),
    /// Right answers of all answers that name a class, the mean over classes.
    Precision,
    /// Right answers of all rows of a class, the mean over classes.
    Recall,
    /// Harmonic mean of precision and recall of a class, the mean over classes.
    F1,
    /// `exp(loss)`.
    Perplexity,
}

/// The least and the largest k of top-k.
const TOP: std::ops::RangeInclusive<u32> = 2..=1_000_000;

impl Metric {
    /// The metric that a word stands for.
    pub fn parse(word: &str) -> Option<Metric> {
        Some(match word {
            "accuracy" => Metric::Accuracy,
            "precision" => Metric::Precision,
            "recall" => Metric::Recall,
            "f1" => Metric::F1,
            "perplexity" => Metric::Perplexity,
            _ => {
                let digits = word.strip_prefix("top_")?;
                let plain = digits.starts_with(|first: char| ('1'..='9').contains(&first));
                let count = digits.parse().ok().filter(|count| TOP.contains(count))?;
                return plain.then_some(Metric::Top(count));
            }
        })
    }

    /// Whether it needs right and wrong answers by class.
    pub fn by_class(self) -> bool {
        matches!(self, Metric::Precision | Metric::Recall | Metric::F1)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Metric::Accuracy => f.write_str("accuracy"),
            Metric::Top(count) => write!(f, "top_{count}"),
            Metric::Precision => f.write_str("precision"),
            Metric::Recall => f.write_str("recall"),
            Metric::F1 => f.write_str("f1"),
            Metric::Perplexity => f.write_str("perplexity"),
        }
    }
}

impl TryFrom<String> for Metric {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        Metric::parse(&word).ok_or_else(|| format!("no metric is called {word:?}"))
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Metric::try_from(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Which rows a column of metrics is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rows {
    /// Those of the step.
    Step,
    /// Those validated on.
    Validation,
}

const VALIDATION: &str = "validation_";

/// The values of the metrics that a job asks for beside accuracy, by column: `f1`, `validation_f1`. A value that there is
/// not is `None`, `null` in JSON.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measures(pub BTreeMap<(Rows, Metric), Option<f64>>);

impl Measures {
    /// The columns and their values, in order.
    pub fn columns(&self) -> impl Iterator<Item = (String, Option<f64>)> + '_ {
        self.0.iter().map(|(&(rows, metric), &value)| {
            let prefix = match rows {
                Rows::Step => "",
                Rows::Validation => VALIDATION,
            };
            (format!("{prefix}{metric}"), value)
        })
    }

    /// Puts a value under its column; `false`: no column is called so.
    pub fn put(&mut self, column: &str, value: Option<f64>) -> bool {
        let (rows, word) = match column.strip_prefix(VALIDATION) {
            Some(word) => (Rows::Validation, word),
            None => (Rows::Step, column),
        };
        // Accuracy has its own columns.
        match Metric::parse(word).filter(|metric| *metric != Metric::Accuracy) {
            Some(metric) => {
                self.0.insert((rows, metric), value);
                true
            }
            None => false,
        }
    }
}

impl fmt::Display for Measures {
    /// `f1 0.8123, validation_f1 0.7931`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (column, value)) in self.columns().enumerate() {
            let before = if index > 0 { ", " } else { "" };
            match value {
                Some(value) => write!(f, "{before}{column} {value:.4}")?,
                None => write!(f, "{before}{column} -")?,
            }
        }
        Ok(())
    }
}

impl Serialize for Measures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.columns())
    }
}

impl<'de> Deserialize<'de> for Measures {
    /// Takes the columns that it knows out of a map that may hold others, as a row does.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Columns;
        impl<'de> Visitor<'de> for Columns {
            type Value = Measures;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from column to value")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Measures, A::Error> {
                let mut measures = Measures::default();
                while let Some(column) = map.next_key::<String>()? {
                    if measures.put(&column, None) {
                        let value = map.next_value()?;
                        measures.put(&column, value);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(measures)
            }
        }
        deserializer.deserialize_map(Columns)
    }
}

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
    /// The step's loss, before the update; absent where its normaliser is 0.
    pub loss: Option<f64>,
    /// Share of the step's rows that were classified right, before the update.
    pub accuracy: Option<f64>,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Euclidean norm of the reduced gradient.
    pub gradient_norm: Option<f64>,
    /// 32 hex digits over all parameters after the update.
    pub parameters_digest: String,
    /// The loss over the validation rows, if they were evaluated after this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_loss: Option<f64>,
    /// Accuracy over the validation rows, if they were evaluated after this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<f64>,
    /// What else the job measures, of the step and, if they were evaluated after it, of the validation rows.
    #[serde(flatten)]
    pub measures: Measures,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_read_by_the_word_that_it_is_shown_as() {
        let metrics = [
            Metric::Accuracy,
            Metric::Top(2),
            Metric::Top(1_000_000),
            Metric::Precision,
            Metric::Recall,
            Metric::F1,
            Metric::Perplexity,
        ];
        for metric in metrics {
            assert_eq!(Metric::parse(&metric.to_string()), Some(metric));
        }
        for word in [
            "top_1",
            "top_05",
            "top_+5",
            "top_",
            "top_1000001",
            "loss",
            "",
        ] {
            assert_eq!(Metric::parse(word), None, "{word}");
        }
    }

    #[test]
    fn a_row_keeps_the_columns_of_its_metrics_through_json() {
        let mut measures = Measures::default();
        for (column, value) in [
            ("f1", Some(0.1)),
            ("top_5", None),
            ("validation_f1", Some(1.0 / 3.0)),
        ] {
            assert!(measures.put(column, value), "{column}");
        }
        for column in ["accuracy", "validation_accuracy", "data_ms", "validation_"] {
            assert!(!measures.put(column, None), "{column}");
        }
        let exact = Exact {
            epoch: 1,
            step: 2,
            samples: 3,
            tokens: 0,
            loss: Some(0.5),
            accuracy: None,
            learning_rate: 0.1,
            gradient_norm: None,
            parameters_digest: "d".to_string(),
            validation_loss: None,
            validation_accuracy: None,
            measures,
        };
        let timing = Timing {
            update_ms: 0.25,
            ..Timing::default()
        };
        let row = MetricRow { exact, timing };
        let json = serde_json::to_string(&row).expect("JSON");
        assert!(
            json.contains(r#""top_5":null,"f1":0.1,"validation_f1":0.3333333333333333"#),
            "{json}"
        );
        assert_eq!(
            serde_json::from_str::<MetricRow>(&json).expect("a row"),
            row
        );
    }
}
