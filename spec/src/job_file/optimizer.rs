//! The optimiser of the `[training]` section.

use crate::job::Optimizer;
use crate::job_file::choice::choice;
use crate::job_file::expected::{Bound, Expected, Interval};
use crate::job_file::field::{Field, Section};
use crate::job_file::found::Found;
use crate::job_file::keys;
use crate::job_file::mistake::Wrong;
use crate::job_file::tree::Value;

/// Learning rates.
pub(super) const RATE: Interval = Interval {
    low: Bound::Open(0.0),
    high: Bound::Closed(1e6),
};
/// Shares that are kept from one step to the next.
pub(super) const DECAY: Interval = Interval {
    low: Bound::Closed(0.0),
    high: Bound::Open(1.0),
};
/// What is at least 0, as a weight decay is.
pub(super) const NOT_NEGATIVE: Interval = Interval {
    low: Bound::Closed(0.0),
    high: Bound::Closed(1e6),
};
/// Less than the smallest would vanish in an f32.
const EPS: Interval = Interval {
    low: Bound::Closed(1e-30),
    high: Bound::Closed(1.0),
};

/// Reads the optimiser; Adam where none is named.
pub(super) fn optimizer(field: Option<&Field<'_>>, found: &mut Found) -> Option<Optimizer> {
    let (word, values) = match field {
        None => (
            "adam",
            Section::absent("training.optimizer.adam".to_string()),
        ),
        Some(field) => choice(
            field,
            keys::OPTIMIZERS,
            keys::of_optimizer,
            "{ sgd = { lr = 0.1 } }",
            found,
        )?,
    };
    match word {
        "sgd" => sgd(&values, found),
        "adam" => {
            let [lr, eps, weight_decay, first, second] = moments(&values, 0.0, found)?;
            Some(Optimizer::Adam {
                lr,
                betas: [first, second],
                eps,
                weight_decay,
            })
        }
        "adamw" => {
            let [lr, eps, weight_decay, first, second] = moments(&values, 1e-2, found)?;
            Some(Optimizer::AdamW {
                lr,
                betas: [first, second],
                eps,
                weight_decay,
            })
        }
        "rmsprop" => rmsprop(&values, found),
        _ => adagrad(&values, found),
    }
}

fn sgd(section: &Section<'_>, found: &mut Found) -> Option<Optimizer> {
    let lr = number(section, "lr", 0.01, RATE, found);
    let momentum = number(section, "momentum", 0.0, DECAY, found);
    let nesterov = section.or("nesterov", false, found, Field::flag);
    let weight_decay = number(section, "weight_decay", 0.0, NOT_NEGATIVE, found);
    if let (Some(true), Some(0.0)) = (nesterov, momentum) {
        let place = section.get("nesterov").map(|field| field.place());
        found.add(
            place.unwrap_or(section.place()),
            Wrong::NesterovWithoutMomentum,
        );
        return None;
    }
    Some(Optimizer::Sgd {
        lr: lr?,
        momentum: momentum?,
        nesterov: nesterov?,
        weight_decay: weight_decay?,
    })
}

/// lr, eps, weight decay and both betas of Adam and AdamW.
fn moments(section: &Section<'_>, weight_decay: f64, found: &mut Found) -> Option<[f64; 5]> {
    let lr = number(section, "lr", 1e-3, RATE, found);
    let betas = section.or("betas", [0.9, 0.999], found, betas);
    let eps = number(section, "eps", 1e-8, EPS, found);
    let weight_decay = number(section, "weight_decay", weight_decay, NOT_NEGATIVE, found);
    let [first, second] = betas?;
    Some([lr?, eps?, weight_decay?, first, second])
}

fn rmsprop(section: &Section<'_>, found: &mut Found) -> Option<Optimizer> {
    let lr = number(section, "lr", 1e-2, RATE, found);
    let alpha = number(section, "alpha", 0.99, DECAY, found);
    let eps = number(section, "eps", 1e-8, EPS, found);
    let momentum = number(section, "momentum", 0.0, DECAY, found);
    let weight_decay = number(section, "weight_decay", 0.0, NOT_NEGATIVE, found);
    Some(Optimizer::RmsProp {
        lr: lr?,
        alpha: alpha?,
        eps: eps?,
        momentum: momentum?,
        weight_decay: weight_decay?,
    })
}

fn adagrad(section: &Section<'_>, found: &mut Found) -> Option<Optimizer> {
    let lr = number(section, "lr", 1e-2, RATE, found);
    let lr_decay = number(section, "lr_decay", 0.0, NOT_NEGATIVE, found);
    let eps = number(section, "eps", 1e-10, EPS, found);
    let weight_decay = number(section, "weight_decay", 0.0, NOT_NEGATIVE, found);
    Some(Optimizer::Adagrad {
        lr: lr?,
        lr_decay: lr_decay?,
        eps: eps?,
        weight_decay: weight_decay?,
    })
}

/// The number under `key`.
pub(super) fn number(
    section: &Section<'_>,
    key: &str,
    default: f64,
    interval: Interval,
    found: &mut Found,
) -> Option<f64> {
    section.or(key, default, found, |field, found| {
        field.number(interval, found)
    })
}

fn betas(field: &Field<'_>, found: &mut Found) -> Option<[f64; 2]> {
    match &field.node.value {
        Value::List(nodes) if nodes.len() == 2 => {
            let first = field.item(0, &nodes[0]).number(DECAY, found);
            let second = field.item(1, &nodes[1]).number(DECAY, found);
            Some([first?, second?])
        }
        _ => {
            field.wrong_type(Expected::TwoNumbers(DECAY), found);
            None
        }
    }
}
