use serde_json::Value;

use super::{Every, LrSchedule, Run, ScheduleKind};

/// PyTorch's rates, from tests/fixtures/gen_schedules.py.
const RATES: &str = include_str!("../../../tests/fixtures/schedules/rates.json");

/// Two libraries' cosines and powers, and sums taken step by step, agree to about this much.
const TOLERANCE: f64 = 1e-12;

#[test]
fn rates_are_those_of_pytorchs_schedulers() {
    let file: Value = serde_json::from_str(RATES).expect("JSON");
    let number = |key: &str| file[key].as_u64().expect("a number");
    let run = Run {
        steps: number("steps"),
        steps_per_epoch: number("steps_per_epoch"),
    };
    let base = file["lr"].as_f64().expect("a rate");
    let one_cycle =
        |max_lr, warmup_fraction, div_factor, final_div_factor| ScheduleKind::OneCycle {
            max_lr,
            warmup_fraction,
            div_factor,
            final_div_factor,
        };
    let step = |every, gamma| ScheduleKind::Step { every, gamma };
    let cases = [
        ("linear", 0, ScheduleKind::Linear { end: 0.1 }),
        ("linear_warm", 10, ScheduleKind::Linear { end: 0.0 }),
        ("constant_warm", 7, ScheduleKind::Constant),
        ("step_steps", 0, step(Every::Steps(7), 0.5)),
        ("step_epochs", 0, step(Every::Epochs(2), 0.1)),
        ("exponential", 0, ScheduleKind::Exponential { gamma: 0.9 }),
        ("cosine", 0, ScheduleKind::Cosine { min_lr: 0.01 }),
        ("cosine_warm", 5, ScheduleKind::Cosine { min_lr: 0.0 }),
        ("one_cycle", 0, one_cycle(0.5, 0.3, 25.0, 1e4)),
        ("one_cycle_short", 0, one_cycle(1.0, 0.11, 10.0, 100.0)),
    ];
    assert_eq!(
        file["rates"].as_object().expect("cases").len(),
        cases.len(),
        "every case is compared"
    );
    for (name, warmup_steps, kind) in cases {
        let schedule = LrSchedule { warmup_steps, kind };
        let expected = file["rates"][name].as_array().expect("rates");
        assert_eq!(expected.len() as u64, run.steps);
        for (step, expected) in (1..).zip(expected) {
            let (lr, expected) = (
                schedule.lr(base, step, run),
                expected.as_f64().expect("a rate"),
            );
            assert!(
                (lr - expected).abs() <= TOLERANCE * base,
                "{name} step {step}: {lr} instead of {expected}"
            );
        }
    }
}

#[test]
fn a_rate_is_a_number_of_at_least_zero_for_runs_of_every_length() {
    let kinds = [
        ScheduleKind::Linear { end: 0.0 },
        ScheduleKind::Cosine { min_lr: 0.0 },
        ScheduleKind::OneCycle {
            max_lr: 1.0,
            warmup_fraction: 0.3,
            div_factor: 25.0,
            final_div_factor: 1e4,
        },
        ScheduleKind::Step {
            every: Every::Steps(2),
            gamma: 0.5,
        },
    ];
    for kind in kinds {
        for steps in 1..=12 {
            let run = Run {
                steps,
                steps_per_epoch: 5,
            };
            for (warmup_steps, step) in (0..steps).flat_map(|w| (1..=steps).map(move |s| (w, s))) {
                let lr = LrSchedule { warmup_steps, kind }.lr(1.0, step, run);
                assert!(
                    (0.0..=1.0).contains(&lr),
                    "{kind:?} {warmup_steps} {step}/{steps}: {lr}"
                );
            }
        }
    }
}

#[test]
fn what_takes_as_long_as_the_run_is_named() {
    let run = Run {
        steps: 100,
        steps_per_epoch: 30,
    };
    let exceeds = |warmup_steps, kind| LrSchedule { warmup_steps, kind }.exceeds(run);
    let constant = ScheduleKind::Constant;
    assert_eq!(exceeds(99, constant), None);
    let long = exceeds(100, constant).expect("too long");
    assert_eq!(
        (long.key.as_str(), long.value, long.unit, long.length),
        (
            "training.lr_schedule.constant.warmup_steps",
            100,
            "steps",
            100
        )
    );
    let step = |every| exceeds(0, ScheduleKind::Step { every, gamma: 0.1 });
    assert_eq!(step(Every::Steps(99)), None);
    assert_eq!(step(Every::Epochs(3)), None);
    let long = step(Every::Epochs(4)).expect("too long");
    assert_eq!(
        (long.key.as_str(), long.value, long.unit, long.length),
        ("training.lr_schedule.step.every_epochs", 4, "epochs", 4)
    );
}
