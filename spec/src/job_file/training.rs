//! The `[training]` section.

use crate::job::{Length, Loss, Optimizer, Training, Validate};
use crate::job_file::expected::{Bound, Expected, Interval};
use crate::job_file::field::{Field, Section};
use crate::job_file::found::Found;
use crate::job_file::keys;
use crate::job_file::mistake::Wrong;
use crate::job_file::tree::Value;

const MOST_EPOCHS: u32 = 1_000_000;
const MOST_STEPS: u64 = 1_000_000_000_000;
const LARGEST_BATCH: u32 = 1 << 20;
/// The largest number of microbatches, and so of ranks.
pub(super) const MOST_MICROBATCHES: u32 = 4096;

const RATE: Interval = Interval {
    low: Bound::Open(0.0),
    high: Bound::Closed(1e6),
};
const DECAY: Interval = Interval {
    low: Bound::Closed(0.0),
    high: Bound::Open(1.0),
};
const WEIGHT_DECAY: Interval = Interval {
    low: Bound::Closed(0.0),
    high: Bound::Closed(1e6),
};
/// Less than the smallest would vanish in an f32.
const EPS: Interval = Interval {
    low: Bound::Closed(1e-30),
    high: Bound::Closed(1.0),
};

/// Reads the section.
pub(super) fn training(section: &Section<'_>, found: &mut Found) -> Option<Training> {
    let length = length(section, found);
    let batch_size = section.or("batch_size", 64, found, |field, found| {
        field.count(LARGEST_BATCH, found)
    });
    let microbatches = microbatches(section, batch_size, found);
    let seed = section.or("seed", 42, found, |field, found| {
        field.whole(0, i64::MAX as u64, found)
    });
    let drop_last = section.or("drop_last", false, found, Field::flag);
    let loss = section.or("loss", Loss::CrossEntropy, found, |field, found| {
        field.word(keys::LOSSES, found).map(|_| Loss::CrossEntropy)
    });
    let optimizer = match section.get("optimizer") {
        Some(field) => optimizer(&field, found),
        None => adam(
            &Section::absent("training.optimizer.adam".to_string()),
            found,
        ),
    };
    let validate = section
        .section("validate", keys::VALIDATE, found)
        .and_then(|section| {
            let every_epochs = section.or("every_epochs", 1, found, |field, found| {
                field.count(MOST_EPOCHS, found)
            });
            Some(Validate {
                every_epochs: every_epochs?,
            })
        });
    Some(Training {
        length: length?,
        batch_size: batch_size?,
        microbatches: microbatches?,
        seed: seed?,
        drop_last: drop_last?,
        loss: loss?,
        optimizer: optimizer?,
        validate: validate?,
    })
}

fn length(section: &Section<'_>, found: &mut Found) -> Option<Length> {
    let epochs = section
        .get("epochs")
        .map(|field| field.count(MOST_EPOCHS, found).map(Length::Epochs));
    let steps = section
        .get("steps")
        .map(|field| field.whole(1, MOST_STEPS, found).map(Length::Steps));
    match (epochs, steps) {
        (Some(length), None) | (None, Some(length)) => length,
        (None, None) => {
            found.add(section.place(), Wrong::NoLength);
            None
        }
        (Some(_), Some(_)) => {
            let later = section.key_place("epochs").max(section.key_place("steps"));
            let (first, second) = ("training.epochs".to_string(), "training.steps".to_string());
            found.add(
                later.unwrap_or(section.place()),
                Wrong::Exclusive { first, second },
            );
            None
        }
    }
}

fn microbatches(section: &Section<'_>, batch_size: Option<u32>, found: &mut Found) -> Option<u32> {
    let Some(field) = section.get("microbatches") else {
        return batch_size.map(default_microbatches);
    };
    let microbatches = field.count(MOST_MICROBATCHES, found)?;
    let batch_size = batch_size?;
    let nearest = nearest_microbatches(batch_size, microbatches);
    if nearest != microbatches {
        let batch_place = section
            .get("batch_size")
            .map(|field| field.place())
            .filter(|place| place.is_set());
        let place = batch_place
            .filter(|_| !field.place().is_set())
            .unwrap_or(field.place());
        found.add(
            place,
            Wrong::EmptyMicrobatches {
                microbatches,
                batch_size,
                nearest,
            },
        );
        return None;
    }
    Some(microbatches)
}

/// 8, halved while a microbatch has fewer than 8 samples, at least 1.
fn default_microbatches(batch_size: u32) -> u32 {
    [8, 4, 2]
        .into_iter()
        .find(|microbatches| batch_size.div_ceil(*microbatches) >= 8)
        .unwrap_or(1)
}

/// Whether a step of `batch_size` samples has all of the `microbatches`.
fn none_empty(batch_size: u32, microbatches: u32) -> bool {
    batch_size.div_ceil(batch_size.div_ceil(microbatches)) == microbatches
}

/// The number of microbatches nearest to the wanted one that leaves none empty.
fn nearest_microbatches(batch_size: u32, wanted: u32) -> u32 {
    (0..wanted)
        .flat_map(|away| [wanted - away, wanted + away])
        .find(|&near| near <= MOST_MICROBATCHES && none_empty(batch_size, near))
        .unwrap_or(1)
}

/// The least number of microbatches, at least `ranks`, that leaves none empty.
pub(super) fn enough_microbatches(batch_size: u32, ranks: u32) -> Option<u32> {
    (ranks..=MOST_MICROBATCHES).find(|&enough| none_empty(batch_size, enough))
}

fn optimizer(field: &Field<'_>, found: &mut Found) -> Option<Optimizer> {
    match &field.node.value {
        Value::Text(_) => match field.word(keys::OPTIMIZERS, found)? {
            "sgd" => sgd(&Section::absent(format!("{}.sgd", field.key)), found),
            _ => adam(&Section::absent(format!("{}.adam", field.key)), found),
        },
        Value::Table(_) => {
            let section = field.section(keys::OPTIMIZERS, found)?;
            let sgd = section
                .get("sgd")
                .map(|field| sgd(&field.section(keys::SGD, found)?, found));
            let adam = section
                .get("adam")
                .map(|field| adam(&field.section(keys::ADAM, found)?, found));
            match (sgd, adam) {
                (Some(optimizer), None) | (None, Some(optimizer)) => optimizer,
                (None, None) => {
                    field.wrong_type(Expected::Optimizer, found);
                    None
                }
                (Some(_), Some(_)) => {
                    let (first, second) =
                        (format!("{}.sgd", field.key), format!("{}.adam", field.key));
                    let later = section.key_place("sgd").max(section.key_place("adam"));
                    found.add(
                        later.unwrap_or(field.place()),
                        Wrong::Exclusive { first, second },
                    );
                    None
                }
            }
        }
        _ => {
            field.wrong_type(Expected::Optimizer, found);
            None
        }
    }
}

fn sgd(section: &Section<'_>, found: &mut Found) -> Option<Optimizer> {
    let lr = section.or("lr", 0.01, found, |field, found| field.number(RATE, found));
    let momentum = section.or("momentum", 0.0, found, |field, found| {
        field.number(DECAY, found)
    });
    let weight_decay = section.or("weight_decay", 0.0, found, |field, found| {
        field.number(WEIGHT_DECAY, found)
    });
    Some(Optimizer::Sgd {
        lr: lr?,
        momentum: momentum?,
        weight_decay: weight_decay?,
    })
}

fn adam(section: &Section<'_>, found: &mut Found) -> Option<Optimizer> {
    let lr = section.or("lr", 1e-3, found, |field, found| field.number(RATE, found));
    let betas = section.or("betas", [0.9, 0.999], found, betas);
    let eps = section.or("eps", 1e-8, found, |field, found| field.number(EPS, found));
    let weight_decay = section.or("weight_decay", 0.0, found, |field, found| {
        field.number(WEIGHT_DECAY, found)
    });
    Some(Optimizer::Adam {
        lr: lr?,
        betas: betas?,
        eps: eps?,
        weight_decay: weight_decay?,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_number_of_microbatches_leaves_none_empty() {
        for batch_size in 1..=10_000 {
            let microbatches = default_microbatches(batch_size);
            assert!(
                none_empty(batch_size, microbatches),
                "{batch_size} in {microbatches}"
            );
        }
        assert_eq!(
            [1, 15, 16, 56, 57, 64, 256].map(default_microbatches),
            [1, 2, 2, 4, 8, 8, 8]
        );
    }

    #[test]
    fn the_nearest_number_of_microbatches_is_as_near_as_can_be() {
        for batch_size in 1..=70 {
            for wanted in 1..=80 {
                let near = nearest_microbatches(batch_size, wanted);
                let least = (1..=80)
                    .filter(|&m| none_empty(batch_size, m))
                    .map(|m| m.abs_diff(wanted))
                    .min();
                assert!(none_empty(batch_size, near), "{batch_size} in {near}");
                assert_eq!(
                    Some(near.abs_diff(wanted)),
                    least,
                    "{batch_size} in {wanted}"
                );
            }
        }
    }
}
