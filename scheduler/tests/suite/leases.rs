//! Workers that fall silent, break, leave and come back.

use scheduler::{Event, Link, RankStatus};
use spec::WorkerId;
use spec::state::JobState;

use crate::yard::*;

fn ready(rank: u32) -> RankStatus {
    RankStatus::Ready {
        address: address(rank),
    }
}

/// A running gang of two ranks, one on worker 1 and one on worker 2.
fn spread() -> Yard {
    let mut yard = Yard::new();
    yard.worker(1, 1);
    yard.worker(2, 1);
    yard.submit(1, 2, 1);
    yard.all_ready(attempt(1, 1));
    yard
}

#[test]
fn a_lost_worker_gives_back_its_devices_and_names_the_cause() {
    let mut yard = spread();
    yard.gone(2);
    yard.pass_while(9_999, |worker| worker == WorkerId(1));
    assert_eq!(yard.state(1), JobState::Running);
    assert_eq!(
        words(&yard.pass_while(1, |worker| worker == WorkerId(1))),
        ["stop job-1#1.0 w1"]
    );
    assert_eq!(
        yard.reason(1),
        "stopping: job-1#1 rank 1 was lost: its worker w2 was silent for 10.0 s"
    );
    assert!(yard.view(2).is_none());
    yard.exits(attempt(1, 1), 0, "signal 15 (SIGTERM)");
    assert_eq!(yard.state(1), JobState::Queued);
    yard.pass(1_000);
    assert_eq!(
        yard.reason(1),
        "the gang has 2 ranks, the workers of one device class have room for 1"
    );
}

#[test]
fn a_lost_worker_names_the_cause_although_a_neighbour_missed_its_rank_first() {
    let mut yard = spread();
    yard.gone(2);
    yard.fails(
        attempt(1, 1),
        0,
        spec::rank::FailureKind::Passing,
        "rank 1 is silent",
    );
    yard.exits(attempt(1, 1), 0, "exit status 1");
    yard.pass_while(10_000, |worker| worker == WorkerId(1));
    assert!(
        yard.reason(1)
            .contains("its worker w2 was silent for 10.0 s"),
        "{}",
        yard.reason(1)
    );
}

#[test]
fn a_worker_that_is_back_within_its_lease_loses_nothing() {
    let mut yard = spread();
    yard.gone(2);
    yard.pass_while(9_000, |worker| worker == WorkerId(1));
    assert!(
        yard.joins(
            2,
            offer(1),
            vec![has(attempt(1, 1), 1, RankStatus::Running)]
        )
        .is_empty()
    );
    yard.pass(60_000);
    assert_eq!(yard.state(1), JobState::Running);
}

#[test]
fn any_word_of_a_rank_keeps_its_worker_alive() {
    let mut yard = spread();
    for _ in 0..3 {
        yard.pass_while(6_000, |worker| worker == WorkerId(1));
        yard.ready(attempt(1, 1), 1);
    }
    assert_eq!(yard.state(1), JobState::Running);
}

#[test]
fn a_worker_that_leaves_is_lost_at_once() {
    let mut yard = spread();
    let sent = yard.step(Event::WorkerLeft {
        worker: WorkerId(2),
    });
    assert_eq!(words(&sent), ["stop job-1#1.0 w1"]);
    assert_eq!(
        yard.reason(1),
        "stopping: job-1#1 rank 1 was lost: its worker w2 was stopped"
    );
}

#[test]
fn a_worker_that_comes_back_without_a_rank_has_lost_it() {
    let mut yard = spread();
    yard.gone(2);
    assert_eq!(
        words(&yard.joins(2, offer(1), Vec::new())),
        ["stop job-1#1.0 w1"]
    );
    assert_eq!(yard.free_threads(2), 1);
    assert_eq!(
        yard.reason(1),
        "stopping: job-1#1 rank 1 was lost: its worker w2 came back without it"
    );
}

#[test]
fn a_worker_that_comes_back_tells_what_happened_meanwhile() {
    let mut yard = Yard::new();
    yard.worker(1, 2);
    yard.submit(1, 2, 1);
    let a = attempt(1, 1);
    yard.gone(1);
    let sent = yard.joins(1, offer(2), vec![has(a, 0, ready(0)), has(a, 1, ready(1))]);
    assert_eq!(words(&sent), ["go job-1#1.0 w1", "go job-1#1.1 w1"]);
    yard.gone(1);
    let done = || RankStatus::Done {
        step: 100,
        state_digest: "d".to_string(),
    };
    let sent = yard.joins(1, offer(2), vec![has(a, 0, done()), has(a, 1, done())]);
    assert_eq!(words(&sent), ["end job-1#1.0 w1", "end job-1#1.1 w1"]);
    yard.gone(1);
    let exited = || RankStatus::Exited(exit("exit status 0"));
    yard.joins(1, offer(2), vec![has(a, 0, exited()), has(a, 1, exited())]);
    assert_eq!(
        (yard.state(1), yard.free_threads(1)),
        (JobState::Succeeded, 2)
    );
}

#[test]
fn what_a_worker_missed_is_sent_again_when_it_is_back() {
    let mut yard = Yard::new();
    yard.worker(1, 1);
    yard.worker(2, 1);
    yard.submit(1, 2, 1);
    let a = attempt(1, 1);
    yard.ready(a, 1);
    yard.gone(2);
    yard.ready(a, 0);
    assert_eq!(
        words(&yard.joins(2, offer(1), vec![has(a, 1, ready(1))])),
        ["go job-1#1.1 w2"]
    );
    yard.gone(2);
    yard.done(a, 0, "d");
    yard.done(a, 1, "d");
    let done = RankStatus::Done {
        step: 100,
        state_digest: "d".to_string(),
    };
    assert_eq!(
        words(&yard.joins(2, offer(1), vec![has(a, 1, done)])),
        ["end job-1#1.1 w2"]
    );
}

#[test]
fn a_stop_that_a_worker_missed_is_sent_again() {
    let mut yard = spread();
    yard.gone(2);
    yard.cancel(1);
    let sent = yard.joins(
        2,
        offer(1),
        vec![has(attempt(1, 1), 1, RankStatus::Running)],
    );
    assert_eq!(words(&sent), ["stop job-1#1.1 w2"]);
}

#[test]
fn a_rank_that_forgot_its_start_fails_the_attempt() {
    let mut yard = spread();
    yard.gone(2);
    let sent = yard.joins(
        2,
        offer(1),
        vec![has(attempt(1, 1), 1, RankStatus::Starting)],
    );
    assert_eq!(words(&sent), ["stop job-1#1.0 w1", "stop job-1#1.1 w2"]);
    assert_eq!(yard.free_threads(2), 0);
}

#[test]
fn a_worker_with_ranks_that_nobody_wants_is_given_nothing_until_they_are_gone() {
    let mut yard = Yard::new();
    let sent = yard.joins(
        1,
        offer(8),
        vec![has(attempt(7, 3), 0, RankStatus::Running)],
    );
    assert_eq!(words(&sent), ["stop job-7#3.0 w1"]);
    assert!(yard.submit(1, 1, 1).is_empty());
    assert_eq!(
        words(&yard.exits(attempt(7, 3), 0, "signal 15 (SIGTERM)")),
        ["start job-1#1.0 w1"]
    );
}

#[test]
fn ranks_that_nobody_wants_are_told_to_stop_until_they_do() {
    let mut yard = Yard::new();
    yard.joins(
        1,
        offer(8),
        vec![has(attempt(7, 3), 0, RankStatus::Running)],
    );
    assert!(yard.pass(9_999).is_empty());
    assert_eq!(
        words(&yard.pass(10_001)),
        ["stop job-7#3.0 w1", "stop job-7#3.0 w1"]
    );
    yard.exits(attempt(7, 3), 0, "signal 9 (SIGKILL)");
    assert!(yard.pass(30_000).is_empty());
}

#[test]
fn a_worker_that_was_silent_and_speaks_again_is_used_again_once_its_old_ranks_are_gone() {
    let mut yard = Yard::new();
    yard.worker(1, 1);
    yard.submit(1, 1, 1);
    yard.all_ready(attempt(1, 1));
    yard.pass_while(10_000, |_| false);
    assert_eq!(yard.view(1).map(|view| view.link), Some(Link::Silent));
    assert_eq!(yard.state(1), JobState::Queued);
    assert_eq!(
        words(&yard.step(Event::WorkerBeat {
            worker: WorkerId(1)
        })),
        ["stop job-1#1.0 w1"]
    );
    assert!(yard.pass(2_000).is_empty());
    assert_eq!(
        words(&yard.exits(attempt(1, 1), 0, "signal 15 (SIGTERM)")),
        ["start job-1#2.0 w1"]
    );
}

#[test]
fn a_silent_worker_whose_stream_breaks_is_forgotten() {
    let mut yard = Yard::new();
    yard.worker(1, 1);
    yard.pass_while(10_000, |_| false);
    yard.gone(1);
    assert!(yard.view(1).is_none());
    assert_eq!(yard.scheduler.next_deadline(), None);
}

#[test]
fn a_word_heals_a_worker_whose_old_stream_was_reported_broken_after_its_new_one_opened() {
    let mut yard = Yard::new();
    yard.worker(1, 1);
    yard.worker(1, 1);
    yard.gone(1);
    yard.submit(1, 1, 1);
    assert_eq!(
        words(&yard.step(Event::WorkerBeat {
            worker: WorkerId(1)
        })),
        ["start job-1#1.0 w1"]
    );
}

#[test]
fn a_worker_that_comes_back_with_another_offer_is_known_by_the_new_one() {
    let mut yard = Yard::new();
    yard.worker(1, 4);
    yard.submit(1, 2, 2);
    let a = attempt(1, 1);
    let ranks = vec![
        has(a, 0, RankStatus::Starting),
        has(a, 1, RankStatus::Starting),
    ];
    yard.joins(1, offer(3), ranks);
    assert_eq!(yard.free_threads(1), 0);
    yard.submit(2, 1, 1);
    assert_eq!(yard.state(2), JobState::Queued);
    yard.cancel(1);
    yard.exits(a, 0, "signal 15 (SIGTERM)");
    assert_eq!(
        (yard.free_threads(1), yard.state(2)),
        (0, JobState::Starting)
    );
    yard.exits(a, 1, "signal 15 (SIGTERM)");
    assert_eq!(yard.free_threads(1), 2);
}
