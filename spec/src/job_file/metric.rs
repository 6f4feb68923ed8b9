//! The metrics of the `[training]` section, and which of them validation phases are judged by.

use crate::job_file::expected::Expected;
use crate::job_file::field::Field;
use crate::job_file::found::Found;
use crate::job_file::keys;
use crate::job_file::mistake::Wrong;
use crate::job_file::tree::Value;
use crate::loss::Loss;
use crate::metric::Metric;
use crate::monitor::Monitor;

/// Reads the list of metrics, which must be those of the loss; none if that could not be read.
pub(super) fn metrics(
    field: &Field<'_>,
    loss: Option<&Loss>,
    found: &mut Found,
) -> Option<Vec<Metric>> {
    let Value::List(nodes) = &field.node.value else {
        field.wrong_type(Expected::Metrics, found);
        return None;
    };
    let mut metrics = Vec::new();
    let mut whole = true;
    for (index, node) in nodes.iter().enumerate() {
        let field = field.item(index, node);
        match named(&field, keys::METRICS, Metric::parse, found) {
            None => whole = false,
            Some(metric) if metrics.contains(&metric) => {
                let (key, metric) = (field.key.clone(), metric.to_string());
                found.add(field.place(), Wrong::MetricTwice { key, metric });
                whole = false;
            }
            Some(Metric::Perplexity) if loss.is_some_and(has_no_perplexity) => {
                let (key, loss) = (field.key.clone(), loss.map_or("", Loss::word));
                found.add(field.place(), Wrong::NoPerplexity { key, loss });
                whole = false;
            }
            Some(metric) => metrics.push(metric),
        }
    }
    whole.then_some(metrics)
}

fn has_no_perplexity(loss: &Loss) -> bool {
    !matches!(loss, Loss::CrossEntropy(_))
}

/// Reads what validation phases are judged by, which must be measured. `metrics`: none if they could not be read.
pub(super) fn monitor(
    field: &Field<'_>,
    metrics: Option<&[Metric]>,
    found: &mut Found,
) -> Option<Monitor> {
    let monitor = named(field, keys::MONITORS, Monitor::parse, found)?;
    if let (Monitor::Metric(metric), Some(metrics)) = (monitor, metrics)
        && metric != Metric::Accuracy
        && !metrics.contains(&metric)
    {
        let (monitor, metric) = (monitor.to_string(), metric.to_string());
        let key = field.key.clone();
        found.add(
            field.place(),
            Wrong::NotMeasured {
                key,
                monitor,
                metric,
            },
        );
        return None;
    }
    Some(monitor)
}

/// What a word stands for; the known words are examples, since there are more.
fn named<T>(
    field: &Field<'_>,
    known: &'static [&'static str],
    parse: fn(&str) -> Option<T>,
    found: &mut Found,
) -> Option<T> {
    let text = field.text(Expected::Word(known), found)?;
    match parse(text) {
        Some(named) => Some(named),
        None => field.word(known, found).and_then(parse),
    }
}
