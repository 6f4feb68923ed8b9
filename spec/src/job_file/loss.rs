//! The loss of the `[training]` section.

use crate::job_file::choice::choice;
use crate::job_file::expected::{Bound, Expected, Interval};
use crate::job_file::field::{Field, Section};
use crate::job_file::found::Found;
use crate::job_file::keys;
use crate::job_file::optimizer::{DECAY, NOT_NEGATIVE, RATE, number};
use crate::job_file::tree::Value;
use crate::loss::{ClassWeights, CrossEntropy, Loss, PosWeight};

/// What positive targets weigh: with 0 they would count for nothing.
const POSITIVE: Interval = Interval {
    low: Bound::Open(0.0),
    high: Bound::Closed(1e6),
};

/// Reads the loss.
pub(super) fn loss(field: &Field<'_>, found: &mut Found) -> Option<Loss> {
    let example = "{ cross_entropy = { label_smoothing = 0.1 } }";
    let (word, values) = choice(field, keys::LOSSES, keys::of_loss, example, found)?;
    match word {
        "cross_entropy" => cross_entropy(&values, found).map(Loss::CrossEntropy),
        "mse" => Some(Loss::Mse),
        "l1" => Some(Loss::L1),
        "huber" => {
            let delta = number(&values, "delta", 1.0, RATE, found)?;
            Some(Loss::Huber { delta })
        }
        _ => {
            let pos_weight = values.or("pos_weight", None, found, |field, found| {
                pos_weight(field, found).map(Some)
            })?;
            Some(Loss::BceWithLogits { pos_weight })
        }
    }
}

fn cross_entropy(section: &Section<'_>, found: &mut Found) -> Option<CrossEntropy> {
    let label_smoothing = number(section, "label_smoothing", 0.0, DECAY, found);
    let ignore_index = section.or("ignore_index", None, found, |field, found| {
        let index = field.whole(0, u64::from(u32::MAX), found)?;
        u32::try_from(index).ok().map(Some)
    });
    let class_weights = section.or("class_weights", None, found, |field, found| {
        class_weights(field, found).map(Some)
    });
    Some(CrossEntropy {
        label_smoothing: label_smoothing?,
        ignore_index: ignore_index?,
        class_weights: class_weights?,
    })
}

fn class_weights(field: &Field<'_>, found: &mut Found) -> Option<ClassWeights> {
    let expected = Expected::ClassWeights(NOT_NEGATIVE);
    match &field.node.value {
        Value::Text(word) if word == "balanced" => Some(ClassWeights::Balanced),
        Value::List(nodes) if !nodes.is_empty() => {
            let weights = numbers(field, NOT_NEGATIVE, found)?;
            if weights.iter().all(|weight| *weight == 0.0) {
                field.out_of_range(expected, found);
                return None;
            }
            Some(ClassWeights::Given(weights))
        }
        _ => {
            field.wrong_type(expected, found);
            None
        }
    }
}

fn pos_weight(field: &Field<'_>, found: &mut Found) -> Option<PosWeight> {
    match &field.node.value {
        Value::List(nodes) if !nodes.is_empty() => {
            numbers(field, POSITIVE, found).map(PosWeight::Each)
        }
        Value::Whole(..) | Value::Number(..) => field.number(POSITIVE, found).map(PosWeight::All),
        _ => {
            field.wrong_type(Expected::Weights(POSITIVE), found);
            None
        }
    }
}

/// The numbers of a list; all that are wrong are noted.
fn numbers(field: &Field<'_>, interval: Interval, found: &mut Found) -> Option<Vec<f64>> {
    let Value::List(nodes) = &field.node.value else {
        return None;
    };
    let numbers: Vec<Option<f64>> = (0..)
        .zip(nodes)
        .map(|(index, node)| field.item(index, node).number(interval, found))
        .collect();
    numbers.into_iter().collect()
}
