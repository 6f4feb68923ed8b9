use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{Candidate, best, surplus};
use crate::job::Checkpointing;
use crate::metric::Metric;
use crate::monitor::Monitor;

const RISES: Monitor = Monitor::Metric(Metric::Accuracy);

fn candidates(values: &[Option<f64>]) -> Vec<Candidate> {
    (1..)
        .zip(values)
        .map(|(step, &monitored)| Candidate { step, monitored })
        .collect()
}

/// What is left when checkpoints come in this order.
fn left(keeping: Checkpointing, monitor: Monitor, coming: &[Candidate]) -> Vec<Candidate> {
    let mut held: Vec<Candidate> = Vec::new();
    for &newcomer in coming {
        for place in surplus(keeping, monitor, &held, newcomer).into_iter().rev() {
            held.remove(place);
        }
        held.push(newcomer);
    }
    held
}

fn keeping(keep_last: u32, keep_best: u32) -> Checkpointing {
    Checkpointing {
        every_steps: None,
        keep_last,
        keep_best,
    }
}

#[test]
fn the_best_is_the_first_of_the_best_value_in_the_monitors_direction() {
    let nan = Some(f64::NAN);
    let values = [nan, Some(0.5), None, Some(0.25), Some(0.5), Some(0.25), nan];
    let all = candidates(&values);
    let best = |monitor| best(monitor, &all).map(|place| all[place].step);
    assert_eq!((best(Monitor::Loss), best(RISES)), (Some(4), Some(2)));
    assert_eq!(super::best(RISES, &candidates(&[None, nan])), None);
}

#[test]
fn the_newest_and_the_best_stay_together() {
    let values = [0.5, 0.125, 0.25, 0.375, 0.5].map(Some);
    let steps = |keep_last, keep_best, monitor| -> Vec<u64> {
        let left = left(keeping(keep_last, keep_best), monitor, &candidates(&values));
        left.iter().map(|one| one.step).collect()
    };
    assert_eq!(steps(1, 0, Monitor::Loss), [5]);
    assert_eq!(steps(1, 1, Monitor::Loss), [2, 5]);
    assert_eq!(steps(2, 2, Monitor::Loss), [2, 3, 4, 5]);
    assert_eq!(steps(1, 1, RISES), [1, 5], "of equals the earlier one");
}

#[test]
fn one_that_comes_after_later_ones_stays() {
    let held = candidates(&[None, None, Some(1.0), Some(2.0)]);
    let newcomer = Candidate {
        step: 0,
        monitored: None,
    };
    assert_eq!(
        surplus(keeping(1, 1), Monitor::Loss, &held, newcomer),
        [0, 1, 3]
    );
    assert_eq!(
        surplus(keeping(2, 0), Monitor::Loss, &held, newcomer),
        [0, 1, 2]
    );
}

proptest! {
    /// Against the words of the rule, taken over all that ever came.
    #[test]
    fn what_is_left_is_the_union_of_the_newest_and_the_best(
        values in prop::collection::vec(
            prop::sample::select(vec![None, Some(f64::NAN), Some(-0.0), Some(0.0), Some(1.0), Some(2.0), Some(f64::INFINITY)]),
            1..24,
        ),
        keep_last in 1u32..5,
        keep_best in 0u32..4,
        falls: bool,
    ) {
        let monitor = if falls { Monitor::Loss } else { RISES };
        let coming = candidates(&values);
        let left: BTreeSet<u64> = left(keeping(keep_last, keep_best), monitor, &coming)
            .iter()
            .map(|one| one.step)
            .collect();
        let newest = coming.iter().rev().take(keep_last as usize);
        let mut expected: BTreeSet<u64> = newest.map(|one| one.step).collect();
        let mut rest: Vec<Candidate> = coming
            .iter()
            .copied()
            .filter(|one| one.monitored.is_some_and(|value| !value.is_nan()))
            .collect();
        for _ in 0..keep_best.min(rest.len() as u32) {
            let mut first = 0;
            for place in 1..rest.len() {
                let (value, champion) = (rest[place].monitored, rest[first].monitored);
                if if falls { value < champion } else { value > champion } {
                    first = place;
                }
            }
            expected.insert(rest.remove(first).step);
        }
        prop_assert!(left.contains(&(coming.len() as u64)), "the newest stays");
        prop_assert_eq!(left, expected);
    }
}

#[test]
fn a_job_from_before_there_was_keep_best_keeps_none_and_is_written_as_it_was() {
    let text = "name = \"a\"\n[data]\ntrain = \"d/t\"\n[model]\nlayers = [{ linear = 2 }]\n[training]\nepochs = 1\n";
    let job = crate::job_file::parse(text).expect("a job");
    let mut old = serde_json::to_value(&job).expect("JSON");
    let removed = old["checkpoint"]
        .as_object_mut()
        .expect("a table")
        .remove("keep_best");
    assert_eq!(removed, Some(1.into()), "the default");
    let read: crate::Job = serde_json::from_value(old.clone()).expect("a job");
    assert_eq!(read.checkpoint, keeping(3, 0));
    assert_eq!(serde_json::to_value(&read).expect("JSON"), old);
}
