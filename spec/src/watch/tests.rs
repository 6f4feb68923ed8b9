use serde_json::Value;

use super::{EarlyStopping, Monitor, Plateau, Stall, Watch};
use crate::metric::Metric;
use crate::schedule::ScheduleKind;

/// PyTorch's rates, from tests/fixtures/gen_schedules.py.
const RATES: &str = include_str!("../../../tests/fixtures/schedules/rates.json");

#[test]
fn plateaus_lower_the_rate_as_pytorchs_scheduler_does() {
    let file: Value = serde_json::from_str(RATES).expect("JSON");
    let base = file["lr"].as_f64().expect("a rate");
    let kind = |factor, patience, threshold, min_lr| ScheduleKind::ReduceOnPlateau {
        factor,
        patience,
        threshold,
        min_lr,
    };
    for (name, monitor, kind) in [
        ("loss", Monitor::Loss, kind(0.1, 2, 1e-4, 1e-3)),
        (
            "accuracy",
            Monitor::Metric(Metric::Accuracy),
            kind(0.5, 0, 1e-2, 0.0),
        ),
    ] {
        let case = &file["plateaus"][name];
        let numbers = |key: &str| -> Vec<f64> {
            let numbers = case[key].as_array().expect("numbers").iter();
            numbers.filter_map(Value::as_f64).collect()
        };
        let mut plateau = Plateau::default();
        for (number, (value, expected)) in
            numbers("values").iter().zip(numbers("rates")).enumerate()
        {
            plateau = plateau.after(kind, monitor, base, Some(*value));
            let lr = plateau.lr.unwrap_or(base);
            assert!(
                (lr - expected).abs() < 1e-15,
                "{name} {number}: {lr} {expected}"
            );
        }
    }
}

#[test]
fn training_stops_after_as_many_phases_in_a_row_without_betterment_as_are_forgiven() {
    let stopping = EarlyStopping {
        patience: 2,
        min_delta: 0.1,
    };
    let waits = |monitor, values: &[f64]| -> Vec<u64> {
        let mut stall = Stall::default();
        let after = |value: &f64| {
            stall = stall.after(&stopping, monitor, Some(*value));
            stall.waited
        };
        values.iter().map(after).collect()
    };
    let loss = [1.0, 0.95, 0.85, 0.8, f64::NAN, 0.7];
    assert_eq!(waits(Monitor::Loss, &loss), [0, 1, 0, 1, 2, 0]);
    let accuracy = [0.5, 0.55, 0.65, 0.4];
    assert_eq!(
        waits(Monitor::Metric(Metric::Accuracy), &accuracy),
        [0, 1, 0, 1]
    );
}

#[test]
fn the_words_of_a_watch_tell_every_part_of_it() {
    let watch = Watch {
        plateau: Plateau {
            best: Some(1.0),
            waited: 1,
            lr: Some(0.5),
        },
        stall: Stall {
            best: Some(0.0),
            waited: 2,
        },
        best: Some(0.0),
    };
    let changed = [
        Watch::default(),
        Watch {
            best: None,
            ..watch
        },
        Watch {
            best: Some(0.5),
            ..watch
        },
        Watch {
            stall: Stall {
                best: None,
                ..watch.stall
            },
            ..watch
        },
        Watch {
            stall: Stall {
                waited: 1,
                ..watch.stall
            },
            ..watch
        },
        Watch {
            plateau: Plateau {
                waited: 2,
                ..watch.plateau
            },
            ..watch
        },
        Watch {
            plateau: Plateau {
                lr: Some(0.25),
                ..watch.plateau
            },
            ..watch
        },
    ];
    for other in changed {
        assert_ne!(other.words(), watch.words(), "{other:?}");
    }
}

#[test]
fn the_best_value_is_kept_in_the_monitors_direction_and_equals_and_infinities_change_nothing() {
    let bests = |monitor: &str| -> Vec<Option<f64>> {
        let set = [format!("training.monitor={monitor}")];
        let job = "name = \"a\"\n[data]\ntrain = \"d/t\"\nvalidation = 0.5\n[model]\nlayers = [{ linear = 2 }]\n[training]\nepochs = 1\n";
        let job = crate::job_file::parse_with(job, &set).expect("a job");
        let mut watch = Watch::default();
        let values = [
            None,
            Some(f64::NAN),
            Some(f64::INFINITY),
            Some(0.5),
            Some(0.25),
            None,
            Some(0.75),
            Some(0.75),
            Some(f64::NEG_INFINITY),
        ];
        let after = |value| {
            watch = watch.after(&job.training, value);
            watch.best
        };
        values.map(after).to_vec()
    };
    let half = Some(0.5);
    let (low, high) = (Some(0.25), Some(0.75));
    assert_eq!(
        bests("validation_loss"),
        [None, None, None, half, low, low, low, low, low]
    );
    assert_eq!(
        bests("validation_accuracy"),
        [None, None, None, half, half, half, high, high, high]
    );
}

#[test]
fn a_watch_without_a_best_value_reads_and_is_digested_as_it_was_before_there_was_one() {
    let text = r#"{"plateau":{"best":null,"waited":0,"lr":null},"stall":{"best":null,"waited":0}}"#;
    let watch: Watch = serde_json::from_str(text).expect("a watch");
    assert_eq!(watch, Watch::default());
    assert_eq!(serde_json::to_string(&watch).expect("JSON"), text);
    assert_eq!(watch.words(), [0; 6]);
}
