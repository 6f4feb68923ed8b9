//! How an attempt fails, what names the cause, and what follows.

use scheduler::{Evidence, RankStatus};
use spec::JobId;
use spec::rank::FailureKind::{Lasting, Passing};
use spec::state::JobState;

use crate::yard::*;

/// A running gang of `ranks` on one worker.
fn running(ranks: u32) -> Yard {
    let mut yard = Yard::new();
    yard.worker(1, ranks);
    yard.submit(1, ranks, 1);
    yard.all_ready(attempt(1, 1));
    yard
}

#[test]
fn a_killed_rank_fails_the_attempt_and_stops_the_others() {
    let mut yard = running(3);
    let a = attempt(1, 1);
    assert_eq!(
        words(&yard.exits(a, 1, "signal 9 (SIGKILL)")),
        ["stop job-1#1.0 w1", "stop job-1#1.2 w1"]
    );
    assert_eq!(yard.free_threads(1), 1);
    yard.exits(a, 0, "signal 15 (SIGTERM)");
    assert_eq!(yard.state(1), JobState::Running);
    yard.exits(a, 2, "signal 9 (SIGKILL)");
    assert_eq!((yard.state(1), yard.free_threads(1)), (JobState::Queued, 3));
    assert_eq!(
        yard.reason(1),
        "trying again 1.0 s after the last failure: job-1#1 rank 1 on w1 ended with signal 9 (SIGKILL); \
         last line: loss 0.5"
    );
}

#[test]
fn the_death_of_a_rank_names_the_cause_although_its_neighbour_missed_it_first() {
    let mut yard = running(3);
    let a = attempt(1, 1);
    assert!(
        yard.fails(a, 0, Passing, "lost rank 2 in the fold")
            .is_empty()
    );
    yard.exits(a, 0, "exit status 1");
    assert_eq!(
        words(&yard.exits(a, 2, "signal 11 (SIGSEGV)")),
        ["stop job-1#1.1 w1"]
    );
    yard.fails(a, 1, Passing, "lost rank 2 in the fold");
    yard.exits(a, 1, "exit status 1");
    assert!(
        yard.reason(1).contains("rank 2 on w1 ended with signal 11"),
        "{}",
        yard.reason(1)
    );
}

#[test]
fn survivors_that_do_not_exit_by_themselves_are_stopped_and_their_signals_name_nothing() {
    let mut yard = running(2);
    let a = attempt(1, 1);
    yard.fails(a, 0, Passing, "the connection to rank 1 broke");
    assert!(yard.pass(499).is_empty());
    assert_eq!(words(&yard.pass(1)), ["stop job-1#1.1 w1"]);
    yard.exits(a, 1, "signal 9 (SIGKILL)");
    // The rank that failed gets its own stop if it does not exit.
    assert_eq!(words(&yard.pass(10_000)), ["stop job-1#1.0 w1"]);
    yard.exits(a, 0, "signal 9 (SIGKILL)");
    assert!(
        yard.reason(1)
            .contains("rank 0 on w1 failed: the connection to rank 1 broke"),
        "{}",
        yard.reason(1)
    );
}

#[test]
fn a_lasting_failure_outweighs_a_passing_one_and_is_not_tried_again() {
    let mut yard = running(2);
    let a = attempt(1, 1);
    yard.fails(a, 0, Passing, "lost rank 1 in the fold");
    yard.fails(a, 1, Lasting, "chunk 3f2a of digits/train is corrupt");
    yard.exits(a, 1, "exit status 1");
    yard.exits(a, 0, "exit status 1");
    assert_eq!(yard.state(1), JobState::Failed);
    assert_eq!(
        yard.reason(1),
        "job-1#1 rank 1 on w1 failed: chunk 3f2a of digits/train is corrupt; its process ended with exit status 1; \
         last line: loss 0.5"
    );
    let job = yard.scheduler.job(JobId(1)).expect("known");
    assert!(
        matches!(&job.last_failure, Some(cause) if matches!(cause.evidence, Evidence::Reported { exit: Some(_), .. }))
    );
    assert!(job.finished_at.is_some());
}

#[test]
fn an_exit_without_a_word_is_a_failure_even_with_status_0() {
    let mut yard = running(1);
    yard.exits(attempt(1, 1), 0, "exit status 0");
    assert_eq!(yard.state(1), JobState::Queued);
    assert!(
        yard.reason(1).contains("ended with exit status 0"),
        "{}",
        yard.reason(1)
    );
}

#[test]
fn a_rank_that_fails_before_all_are_ready_stops_the_others_at_once() {
    let mut yard = Yard::new();
    yard.worker(1, 2);
    yard.submit(1, 2, 1);
    yard.ready(attempt(1, 1), 0);
    assert_eq!(
        words(&yard.fails(attempt(1, 1), 1, Passing, "no coordinator")),
        ["stop job-1#1.0 w1"]
    );
}

#[test]
fn a_gang_that_is_not_ready_in_time_fails() {
    let mut yard = Yard::new();
    yard.worker(1, 2);
    yard.submit(1, 2, 1);
    yard.ready(attempt(1, 1), 0);
    assert!(yard.pass(59_999).is_empty());
    assert_eq!(
        words(&yard.pass(1)),
        ["stop job-1#1.0 w1", "stop job-1#1.1 w1"]
    );
    assert_eq!(
        yard.reason(1),
        "stopping: job-1#1 rank 1 on w1 was not ready within 60.0 s"
    );
}

#[test]
fn ranks_that_end_with_different_states_fail_the_job_by_name() {
    let mut yard = running(3);
    let a = attempt(1, 1);
    yard.done(a, 0, "aa");
    yard.done(a, 2, "bb");
    assert_eq!(yard.done(a, 1, "aa").len(), 3);
    for rank in 0..3 {
        yard.exits(a, rank, "signal 15 (SIGTERM)");
    }
    assert_eq!(yard.state(1), JobState::Failed);
    assert_eq!(
        yard.reason(1),
        "determinism failure in job-1#1: the ranks ended with different states: rank 0 with aa at step 100, \
         rank 1 with aa at step 100, rank 2 with bb at step 100"
    );
    assert_eq!(
        yard.scheduler
            .job(JobId(1))
            .and_then(|job| job.last_failure.clone())
            .map(|cause| cause.rank),
        Some(2)
    );
}

#[test]
fn a_job_is_given_up_after_its_attempts_and_the_back_off_doubles() {
    let mut yard = Yard::new();
    yard.worker(1, 1);
    yard.submit(1, 1, 1);
    for (number, wait) in [(1, 1_000), (2, 2_000)] {
        yard.exits(attempt(1, number), 0, "exit status 101");
        assert_eq!(yard.state(1), JobState::Queued);
        yard.pass(wait - 1);
        assert_eq!(yard.state(1), JobState::Queued);
        yard.pass(1);
        assert_eq!(yard.state(1), JobState::Starting);
    }
    yard.exits(attempt(1, 3), 0, "exit status 101");
    assert_eq!(yard.state(1), JobState::Failed);
    assert_eq!(
        yard.reason(1),
        "gave up after 3 failures in a row without a newer checkpoint, the last: job-1#3 rank 0 on w1 ended with \
         exit status 101; last line: loss 0.5"
    );
}

#[test]
fn a_newer_checkpoint_starts_the_count_of_failures_again() {
    let mut yard = Yard::new();
    yard.worker(1, 1);
    yard.submit(1, 1, 1);
    for number in 1..=9 {
        let a = attempt(1, number);
        yard.all_ready(a);
        if number % 2 == 0 {
            yard.checkpoint(a, u64::from(number) * 10);
        }
        yard.exits(a, 0, "signal 9 (SIGKILL)");
        assert_eq!(yard.state(1), JobState::Queued, "attempt {number}");
        yard.pass(4_000);
    }
    assert_eq!(
        yard.scheduler.job(JobId(1)).map(|job| job.attempts),
        Some(10)
    );
}

#[test]
fn an_attempt_goes_on_from_the_newest_checkpoint() {
    let mut yard = running(1);
    let a = attempt(1, 1);
    yard.checkpoint(a, 20);
    yard.checkpoint(a, 40);
    yard.checkpoint(a, 40);
    yard.checkpoint(a, 30);
    yard.exits(a, 0, "signal 9 (SIGKILL)");
    assert_eq!(
        words(&yard.pass(1_000)),
        [format!("start job-1#2.0 w1 from {}", digest(40).short())]
    );
    // What an attempt says that is over counts no more.
    yard.checkpoint(a, 60);
    assert_eq!(
        yard.scheduler
            .job(JobId(1))
            .and_then(|job| job.newest_checkpoint)
            .map(|newest| newest.step),
        Some(40)
    );
    let saved = yard
        .store
        .history
        .iter()
        .filter(|(_, what)| what.contains("saved checkpoint"))
        .count();
    assert_eq!(saved, 2);
}

#[test]
fn messages_of_an_older_attempt_are_ignored() {
    let mut yard = running(2);
    let old = attempt(1, 1);
    yard.exits(old, 0, "signal 9 (SIGKILL)");
    yard.exits(old, 1, "signal 15 (SIGTERM)");
    yard.pass(1_000);
    assert_eq!(yard.state(1), JobState::Starting);
    for rank in 0..2 {
        assert!(yard.ready(old, rank).is_empty());
        assert!(yard.done(old, rank, "d").is_empty());
        assert!(yard.fails(old, rank, Lasting, "late").is_empty());
        assert!(yard.exits(old, rank, "exit status 1").is_empty());
    }
    assert_eq!(
        (yard.state(1), yard.free_threads(1)),
        (JobState::Starting, 0)
    );
}

#[test]
fn messages_about_nothing_known_are_ignored() {
    let mut yard = Yard::new();
    let a = attempt(9, 9);
    yard.ready(a, 0);
    yard.done(a, 0, "d");
    yard.checkpoint(a, 1);
    yard.fails(a, 0, Passing, "who");
    yard.exits(a, 0, "exit status 1");
    yard.cancel(9);
    yard.gone(9);
    yard.step(scheduler::Event::WorkerLeft {
        worker: spec::WorkerId(9),
    });
    yard.step(scheduler::Event::WorkerBeat {
        worker: spec::WorkerId(9),
    });
    yard.step(scheduler::Event::Tick);
    assert_eq!(
        yard.scheduler.jobs().count() + yard.scheduler.workers().count(),
        0
    );
    assert_eq!(
        words(&yard.joins(1, offer(1), vec![has(a, 0, RankStatus::Running)])),
        ["stop job-9#9.0 w1"]
    );
}
