//! Placement, and the way of an attempt that goes well.

use scheduler::{AttemptState, Event, Send};
use spec::JobId;
use spec::offer::Offer;
use spec::state::JobState;

use crate::yard::*;

#[test]
fn a_job_walks_from_submit_to_success() {
    let mut yard = Yard::new();
    yard.worker(1, 2);
    let a = attempt(1, 1);
    assert_eq!(
        words(&yard.submit(1, 2, 1)),
        ["start job-1#1.0 w1", "start job-1#1.1 w1"]
    );
    assert_eq!(
        (yard.state(1), yard.free_threads(1)),
        (JobState::Starting, 0)
    );
    assert!(yard.ready(a, 1).is_empty());
    let go = yard.ready(a, 0);
    assert_eq!(words(&go), ["go job-1#1.0 w1", "go job-1#1.1 w1"]);
    let Send::Go { go, .. } = &go[0] else {
        panic!("a go")
    };
    assert_eq!(
        (go.generation, go.addresses.clone()),
        (1, vec![address(0), address(1)])
    );
    assert_eq!(
        (yard.state(1), yard.scheduler.running_ranks(JobId(1))),
        (JobState::Running, 2)
    );
    assert!(yard.done(a, 0, "d").is_empty());
    assert_eq!(
        words(&yard.done(a, 1, "d")),
        ["end job-1#1.0 w1", "end job-1#1.1 w1"]
    );
    assert_eq!(yard.state(1), JobState::Running);
    yard.exits(a, 0, "exit status 0");
    assert_eq!(
        (yard.state(1), yard.free_threads(1)),
        (JobState::Running, 1)
    );
    yard.exits(a, 1, "exit status 0");
    assert_eq!(
        (yard.state(1), yard.free_threads(1)),
        (JobState::Succeeded, 2)
    );
    assert_eq!(yard.reason(1), "");
    assert_eq!(yard.store.attempts[&a].state, AttemptState::Succeeded);
    assert!(yard.scheduler.attempts().next().is_none());
    let told: Vec<&str> = yard
        .store
        .history
        .iter()
        .map(|(_, what)| what.as_str())
        .collect();
    assert_eq!(
        told,
        [
            "submitted",
            "job-1#1 placed on w1, w1",
            "job-1#1 started",
            "job-1#1 trained to step 100, state d on every rank",
            "succeeded"
        ]
    );
}

#[test]
fn success_is_durable_before_the_ranks_are_told_to_end() {
    let mut yard = Yard::new();
    yard.worker(1, 1);
    yard.submit(1, 1, 1);
    yard.all_ready(attempt(1, 1));
    // The yard's store refuses an End whose attempt is not saved as ending.
    assert_eq!(
        words(&yard.done(attempt(1, 1), 0, "d")),
        ["end job-1#1.0 w1"]
    );
    assert_eq!(
        yard.store.attempts[&attempt(1, 1)].state,
        AttemptState::Ending
    );
}

#[test]
fn a_rank_that_dies_after_all_were_done_does_not_undo_the_success() {
    let mut yard = Yard::new();
    yard.worker(1, 2);
    yard.submit(1, 2, 1);
    let a = attempt(1, 1);
    yard.all_ready(a);
    yard.done(a, 0, "d");
    yard.done(a, 1, "d");
    yard.exits(a, 0, "signal 9 (SIGKILL)");
    assert!(yard.cancel(1).is_empty());
    yard.exits(a, 1, "exit status 0");
    assert_eq!(yard.state(1), JobState::Succeeded);
}

#[test]
fn a_done_rank_that_goes_before_the_others_are_done_costs_nothing() {
    let mut yard = Yard::new();
    yard.worker(1, 2);
    yard.submit(1, 2, 1);
    let a = attempt(1, 1);
    yard.all_ready(a);
    yard.done(a, 0, "d");
    assert!(yard.exits(a, 0, "signal 9 (SIGKILL)").is_empty());
    assert_eq!(words(&yard.done(a, 1, "d")), ["end job-1#1.1 w1"]);
    yard.exits(a, 1, "exit status 0");
    assert_eq!(yard.state(1), JobState::Succeeded);
}

#[test]
fn a_rank_that_does_not_end_when_told_is_stopped() {
    let mut yard = Yard::new();
    yard.worker(1, 1);
    yard.submit(1, 1, 1);
    yard.all_ready(attempt(1, 1));
    yard.done(attempt(1, 1), 0, "d");
    assert!(yard.pass(9_999).is_empty());
    assert_eq!(words(&yard.pass(1)), ["stop job-1#1.0 w1"]);
    yard.exits(attempt(1, 1), 0, "signal 15 (SIGTERM)");
    assert_eq!(yard.state(1), JobState::Succeeded);
}

#[test]
fn a_gang_is_placed_on_as_few_workers_as_possible() {
    let mut yard = Yard::new();
    for (id, threads) in [(1, 1), (2, 4), (3, 3), (4, 3)] {
        yard.worker(id, threads);
    }
    yard.submit(1, 3, 1);
    assert_eq!(yard.where_is(attempt(1, 1)), [3, 3, 3]);
    yard.submit(2, 5, 1);
    assert_eq!(yard.where_is(attempt(2, 1)), [2, 2, 2, 2, 1]);
    yard.submit(3, 1, 3);
    assert_eq!(yard.where_is(attempt(3, 1)), [4]);
}

#[test]
fn memory_is_taken_and_given_back_as_threads_are() {
    let mut yard = Yard::new();
    yard.joins(
        1,
        Offer {
            memory_bytes: 3 * GIB,
            ..offer(8)
        },
        Vec::new(),
    );
    yard.submit(1, 2, 1);
    assert_eq!(yard.view(1).map(|view| view.free_memory_bytes), Some(GIB));
    yard.submit(2, 2, 1);
    assert_eq!(
        yard.reason(2),
        "waiting for 2048 MiB of memory, 1024 MiB is free"
    );
    yard.cancel(1);
    yard.exits(attempt(1, 1), 0, "signal 15 (SIGTERM)");
    assert_eq!(yard.where_is(attempt(2, 1)), [1, 1]);
}

#[test]
fn a_gang_never_mixes_device_classes() {
    let mut yard = Yard::new();
    yard.joins(
        1,
        Offer {
            device_class: "cpu/b".to_string(),
            ..offer(1)
        },
        Vec::new(),
    );
    yard.worker(2, 1);
    yard.submit(1, 2, 1);
    assert_eq!(
        yard.reason(1),
        "the gang has 2 ranks, the workers of one device class have room for 1"
    );
    yard.joins(
        3,
        Offer {
            device_class: "cpu/b".to_string(),
            ..offer(1)
        },
        Vec::new(),
    );
    assert_eq!(yard.where_is(attempt(1, 1)), [1, 3]);
}

#[test]
fn a_gang_takes_the_device_class_that_needs_fewest_workers() {
    let mut yard = Yard::new();
    yard.worker(1, 1);
    yard.worker(2, 1);
    yard.joins(
        3,
        Offer {
            device_class: "cpu/b".to_string(),
            ..offer(2)
        },
        Vec::new(),
    );
    yard.submit(1, 2, 1);
    assert_eq!(yard.where_is(attempt(1, 1)), [3, 3]);
}

#[test]
fn a_job_that_has_trained_keeps_its_device_class() {
    let mut yard = Yard::new();
    yard.joins(
        1,
        Offer {
            device_class: "cpu/b".to_string(),
            ..offer(1)
        },
        Vec::new(),
    );
    yard.submit(1, 1, 1);
    yard.all_ready(attempt(1, 1));
    yard.step(Event::WorkerLeft {
        worker: spec::WorkerId(1),
    });
    yard.worker(2, 8);
    yard.pass(1_000);
    assert_eq!(
        yard.reason(1),
        "waiting for a worker of device class cpu/b, which the job has run on"
    );
    yard.joins(
        3,
        Offer {
            device_class: "cpu/b".to_string(),
            ..offer(1)
        },
        Vec::new(),
    );
    assert_eq!(yard.where_is(attempt(1, 2)), [3]);
}

#[test]
fn a_job_that_never_trained_is_bound_to_no_device_class() {
    let mut yard = Yard::new();
    yard.joins(
        1,
        Offer {
            device_class: "cpu/b".to_string(),
            ..offer(1)
        },
        Vec::new(),
    );
    yard.submit(1, 1, 1);
    yard.step(Event::WorkerLeft {
        worker: spec::WorkerId(1),
    });
    yard.worker(2, 1);
    yard.pass(1_000);
    assert_eq!(yard.where_is(attempt(1, 2)), [2]);
}

#[test]
fn a_gang_without_ranks_is_refused() {
    let mut yard = Yard::new();
    yard.submit(1, 0, 1);
    assert_eq!(
        (yard.state(1), yard.reason(1).as_str()),
        (
            JobState::Failed,
            "the job asks for 0 ranks: at least 1 is needed"
        )
    );
}

#[test]
fn repeated_reports_change_nothing() {
    let mut yard = Yard::new();
    yard.worker(1, 2);
    yard.submit(1, 2, 1);
    assert!(yard.submit(1, 2, 1).is_empty());
    let a = attempt(1, 1);
    yard.ready(a, 0);
    assert!(yard.ready(a, 0).is_empty());
    assert_eq!(yard.ready(a, 1).len(), 2);
    assert!(yard.ready(a, 1).is_empty());
    yard.done(a, 0, "d");
    assert!(yard.done(a, 0, "other").is_empty());
    assert_eq!(yard.done(a, 1, "d").len(), 2);
    assert!(yard.done(a, 1, "d").is_empty());
    yard.exits(a, 0, "exit status 0");
    yard.exits(a, 0, "exit status 0");
    assert_eq!(yard.free_threads(1), 1);
    yard.exits(a, 1, "exit status 0");
    yard.exits(a, 1, "exit status 0");
    assert_eq!(
        (yard.state(1), yard.free_threads(1)),
        (JobState::Succeeded, 2)
    );
}
