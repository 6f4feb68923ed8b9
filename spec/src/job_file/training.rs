//! The `[training]` section.

use crate::job::{Clip, Length, Training, Validate};
use crate::job_file::ema::ema;
use crate::job_file::field::{Field, Section};
use crate::job_file::found::Found;
use crate::job_file::group::groups;
use crate::job_file::init::init;
use crate::job_file::keys;
use crate::job_file::loss::loss;
use crate::job_file::metric::{metrics, monitor};
use crate::job_file::mistake::Wrong;
use crate::job_file::optimizer::{RATE, optimizer};
use crate::job_file::schedule::{early_stopping, lr_schedule};
use crate::loss::Loss;
use crate::metric::Metric;
use crate::monitor::Monitor;
use crate::schedule::LrSchedule;

const MOST_EPOCHS: u32 = 1_000_000;
const MOST_STEPS: u64 = 1_000_000_000_000;
const LARGEST_BATCH: u32 = 1 << 20;
/// The largest number of microbatches, and so of ranks.
pub(super) const MOST_MICROBATCHES: u32 = 4096;

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
    let init = section.or("init", Vec::new(), found, init);
    let drop_last = section.or("drop_last", false, found, Field::flag);
    let loss = section.or("loss", Loss::CROSS_ENTROPY, found, loss);
    let metrics = section.or("metrics", vec![Metric::Accuracy], found, |field, found| {
        metrics(field, loss.as_ref(), found)
    });
    let optimizer = optimizer(section.get("optimizer").as_ref(), found);
    let groups = section.or("groups", Vec::new(), found, groups);
    let ema = section.or("ema", None, found, |field, found| {
        ema(field, found).map(Some)
    });
    let lr = optimizer.map(|optimizer| optimizer.lr());
    let lr_schedule = section.or(
        "lr_schedule",
        LrSchedule::CONSTANT,
        found,
        |field, found| lr_schedule(field, lr, found),
    );
    let clip = clip(section, found);
    let monitor = section.or("monitor", Monitor::Loss, found, |field, found| {
        monitor(field, metrics.as_deref(), found)
    });
    let early_stopping = section.or("early_stopping", None, found, |field, found| {
        early_stopping(field, found).map(Some)
    });
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
        init: init?,
        drop_last: drop_last?,
        loss: loss?,
        metrics: metrics?,
        optimizer: optimizer?,
        groups: groups?,
        ema: ema?,
        lr_schedule: lr_schedule?,
        clip: clip?,
        monitor: monitor?,
        early_stopping: early_stopping?,
        validate: validate?,
    })
}

/// Clipping by norm or by value, not both.
fn clip(section: &Section<'_>, found: &mut Found) -> Option<Option<Clip>> {
    let (first, second) = ("clip_norm", "clip_value");
    let [norm, value] = [first, second].map(|key| {
        let field = section.get(key)?;
        Some(field.number(RATE, found))
    });
    match (norm, value) {
        (None, None) => Some(None),
        (Some(norm), None) => norm.map(|norm| Some(Clip::Norm(norm))),
        (None, Some(value)) => value.map(|value| Some(Clip::Value(value))),
        (Some(_), Some(_)) => {
            let later = section.key_place(first).max(section.key_place(second));
            let [first, second] = [first, second].map(|key| format!("training.{key}"));
            found.add(
                later.unwrap_or(section.place()),
                Wrong::Exclusive { first, second },
            );
            None
        }
    }
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

/// The microbatches of a job file that does not say how many: 8, halved while a microbatch has fewer than 8 samples, at
/// least 1.
pub fn default_microbatches(batch_size: u32) -> u32 {
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
