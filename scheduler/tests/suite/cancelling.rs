//! Cancelling in every state.

use spec::rank::FailureKind::{Lasting, Passing};
use spec::state::JobState;

use crate::yard::*;

#[test]
fn a_queued_job_is_cancelled_at_once() {
    let mut yard = Yard::new();
    yard.submit(1, 1, 1);
    yard.cancel(1);
    assert_eq!(
        (yard.state(1), yard.reason(1).as_str()),
        (JobState::Cancelled, "cancelled")
    );
    assert!(yard.worker(1, 1).is_empty());
}

#[test]
fn a_job_in_back_off_is_cancelled_at_once() {
    let mut yard = Yard::new();
    yard.worker(1, 1);
    yard.submit(1, 1, 1);
    yard.exits(attempt(1, 1), 0, "exit status 1");
    yard.cancel(1);
    assert_eq!(yard.state(1), JobState::Cancelled);
    assert!(yard.pass(5_000).is_empty());
}

#[test]
fn a_starting_job_is_cancelled_when_its_ranks_are_gone() {
    let mut yard = Yard::new();
    yard.worker(1, 2);
    yard.submit(1, 2, 1);
    assert_eq!(
        words(&yard.cancel(1)),
        ["stop job-1#1.0 w1", "stop job-1#1.1 w1"]
    );
    assert_eq!(
        (yard.state(1), yard.reason(1).as_str()),
        (JobState::Starting, "being cancelled")
    );
    // Too late to be ready.
    assert!(yard.all_ready(attempt(1, 1)).is_empty());
    yard.exits(attempt(1, 1), 0, "signal 15 (SIGTERM)");
    yard.exits(attempt(1, 1), 1, "exit status 0");
    assert_eq!(
        (yard.state(1), yard.free_threads(1)),
        (JobState::Cancelled, 2)
    );
}

#[test]
fn a_running_job_is_cancelled_when_its_ranks_are_gone_and_holds_its_devices_until_then() {
    let mut yard = Yard::new();
    yard.worker(1, 1);
    yard.submit(1, 1, 1);
    yard.submit(2, 1, 1);
    yard.all_ready(attempt(1, 1));
    assert_eq!(words(&yard.cancel(1)), ["stop job-1#1.0 w1"]);
    assert!(yard.cancel(1).is_empty());
    assert_eq!(
        words(&yard.pass(25_000)),
        ["stop job-1#1.0 w1", "stop job-1#1.0 w1"]
    );
    assert_eq!(
        (yard.state(1), yard.state(2)),
        (JobState::Running, JobState::Queued)
    );
    assert_eq!(
        words(&yard.exits(attempt(1, 1), 0, "signal 9 (SIGKILL)")),
        ["start job-2#1.0 w1"]
    );
    assert_eq!(yard.state(1), JobState::Cancelled);
}

#[test]
fn a_cancelled_job_whose_worker_is_lost_is_cancelled() {
    let mut yard = Yard::new();
    yard.worker(1, 1);
    yard.submit(1, 1, 1);
    yard.gone(1);
    yard.cancel(1);
    yard.pass_while(10_000, |_| false);
    assert_eq!(yard.state(1), JobState::Cancelled);
}

#[test]
fn a_job_whose_attempt_is_failing_is_cancelled_instead_of_queued_again() {
    let mut yard = Yard::new();
    yard.worker(1, 2);
    yard.submit(1, 2, 1);
    yard.all_ready(attempt(1, 1));
    yard.fails(attempt(1, 1), 0, Passing, "lost rank 1");
    assert_eq!(words(&yard.cancel(1)), ["stop job-1#1.1 w1"]);
    yard.fails(attempt(1, 1), 1, Lasting, "too late to matter");
    yard.exits(attempt(1, 1), 0, "exit status 1");
    yard.exits(attempt(1, 1), 1, "exit status 1");
    assert_eq!(yard.state(1), JobState::Cancelled);
}

#[test]
fn an_ended_job_stays_as_it_ended() {
    let mut yard = Yard::new();
    yard.worker(1, 1);
    yard.submit(1, 1, 1);
    yard.all_ready(attempt(1, 1));
    yard.done(attempt(1, 1), 0, "d");
    yard.exits(attempt(1, 1), 0, "exit status 0");
    yard.cancel(1);
    assert_eq!(yard.state(1), JobState::Succeeded);
}
