//! The learning rate schedule of the `[training]` section, and what is decided from validation.

use crate::job_file::choice::choice;
use crate::job_file::expected::{Bound, Expected, Interval};
use crate::job_file::field::{Field, Section};
use crate::job_file::found::Found;
use crate::job_file::keys;
use crate::job_file::mistake::Wrong;
use crate::job_file::optimizer::{NOT_NEGATIVE, RATE, number};
use crate::monitor::EarlyStopping;
use crate::schedule::{Every, LrSchedule, ScheduleKind};

const MOST_STEPS: u64 = 1_000_000_000_000;
const MOST_PHASES: u64 = 1_000_000;

const UP_TO_ONE: Interval = Interval {
    low: Bound::Open(0.0),
    high: Bound::Closed(1.0),
};
const BELOW_ONE: Interval = Interval {
    low: Bound::Open(0.0),
    high: Bound::Open(1.0),
};
const END: Interval = Interval {
    low: Bound::Closed(0.0),
    high: Bound::Closed(1.0),
};
const DIVISOR: Interval = Interval {
    low: Bound::Closed(1.0),
    high: Bound::Closed(1e12),
};

/// Reads the schedule for an optimiser of this learning rate.
pub(super) fn lr_schedule(
    field: &Field<'_>,
    lr: Option<f64>,
    found: &mut Found,
) -> Option<LrSchedule> {
    let example = "{ cosine = { warmup_steps = 100 } }";
    let (word, values) = choice(field, keys::SCHEDULES, keys::of_schedule, example, found)?;
    let section = &values;
    let kind = match word {
        "constant" => Some(ScheduleKind::Constant),
        "linear" => number(section, "end", 0.0, END, found).map(|end| ScheduleKind::Linear { end }),
        "step" => step(section, field, found),
        "exponential" => gamma(section, found).map(|gamma| ScheduleKind::Exponential { gamma }),
        "cosine" => min_lr(section, lr, found).map(|min_lr| ScheduleKind::Cosine { min_lr }),
        "one_cycle" => one_cycle(section, lr, found),
        _ => reduce_on_plateau(section, lr, found),
    };
    let warmup_steps = section.or("warmup_steps", 0, found, |field, found| {
        field.whole(0, MOST_STEPS, found)
    });
    Some(LrSchedule {
        warmup_steps: warmup_steps?,
        kind: kind?,
    })
}

fn step(section: &Section<'_>, field: &Field<'_>, found: &mut Found) -> Option<ScheduleKind> {
    let steps = section
        .get("every_steps")
        .map(|field| field.whole(1, MOST_STEPS, found).map(Every::Steps));
    let epochs = section
        .get("every_epochs")
        .map(|field| field.count(1_000_000, found).map(Every::Epochs));
    let gamma = number(section, "gamma", 0.1, UP_TO_ONE, found);
    let (first, second) = ("every_steps", "every_epochs");
    let [one, other] = [first, second].map(|key| format!("{}.step.{key}", field.key));
    let every = match (steps, epochs) {
        (Some(every), None) | (None, Some(every)) => every,
        (None, None) => {
            let (first, second) = (one, other);
            found.add(field.place(), Wrong::NeitherOf { first, second });
            None
        }
        (Some(_), Some(_)) => {
            let later = section.key_place(first).max(section.key_place(second));
            let (first, second) = (one, other);
            found.add(
                later.unwrap_or(section.place()),
                Wrong::Exclusive { first, second },
            );
            None
        }
    };
    Some(ScheduleKind::Step {
        every: every?,
        gamma: gamma?,
    })
}

fn gamma(section: &Section<'_>, found: &mut Found) -> Option<f64> {
    let field = section.required("gamma", Expected::Number(UP_TO_ONE), found)?;
    field.number(UP_TO_ONE, found)
}

/// The lowest rate, at most the base rate.
fn min_lr(section: &Section<'_>, lr: Option<f64>, found: &mut Found) -> Option<f64> {
    let Some(field) = section.get("min_lr") else {
        return Some(0.0);
    };
    let min_lr = field.number(NOT_NEGATIVE, found)?;
    if let Some(lr) = lr.filter(|lr| *lr < min_lr) {
        let key = field.key.clone();
        found.add(field.place(), Wrong::AboveRate { key, min_lr, lr });
        return None;
    }
    Some(min_lr)
}

fn one_cycle(section: &Section<'_>, lr: Option<f64>, found: &mut Found) -> Option<ScheduleKind> {
    let max_lr = match section.get("max_lr") {
        Some(field) => field.number(RATE, found),
        None => lr,
    };
    let warmup_fraction = number(section, "warmup_fraction", 0.3, BELOW_ONE, found);
    let div_factor = number(section, "div_factor", 25.0, DIVISOR, found);
    let final_div_factor = number(section, "final_div_factor", 1e4, DIVISOR, found);
    Some(ScheduleKind::OneCycle {
        max_lr: max_lr?,
        warmup_fraction: warmup_fraction?,
        div_factor: div_factor?,
        final_div_factor: final_div_factor?,
    })
}

fn reduce_on_plateau(
    section: &Section<'_>,
    lr: Option<f64>,
    found: &mut Found,
) -> Option<ScheduleKind> {
    let factor = number(section, "factor", 0.1, BELOW_ONE, found);
    let patience = section.or("patience", 10, found, |field, found| {
        field.whole(0, MOST_PHASES, found)
    });
    let threshold = number(section, "threshold", 1e-4, END, found);
    let min_lr = min_lr(section, lr, found);
    Some(ScheduleKind::ReduceOnPlateau {
        factor: factor?,
        patience: patience?,
        threshold: threshold?,
        min_lr: min_lr?,
    })
}

/// Reads when training ends early.
pub(super) fn early_stopping(field: &Field<'_>, found: &mut Found) -> Option<EarlyStopping> {
    let section = field.section(keys::EARLY_STOPPING, found)?;
    let patience = section.or("patience", 3, found, |field, found| {
        field.whole(1, MOST_PHASES, found)
    });
    let min_delta = number(&section, "min_delta", 0.0, NOT_NEGATIVE, found);
    Some(EarlyStopping {
        patience: patience?,
        min_delta: min_delta?,
    })
}
