//! A scheduler that goes on from saved records.

use scheduler::{Link, RankStatus, Scheduler};
use spec::state::JobState;

use crate::yard::*;

fn ready(rank: u32) -> RankStatus {
    RankStatus::Ready {
        address: address(rank),
    }
}

#[test]
fn queued_jobs_stay_queued_in_their_order() {
    let mut yard = Yard::new();
    yard.submit(1, 2, 1);
    yard.submit(2, 1, 1);
    let decision = yard.restart();
    assert!(decision.save.is_empty() && decision.send.is_empty());
    assert_eq!(
        words(&yard.worker(1, 2)),
        ["start job-1#1.0 w1", "start job-1#1.1 w1"]
    );
    assert_eq!(yard.reason(2), "waiting for 1 thread slots, 0 are free");
}

#[test]
fn a_running_attempt_goes_on_when_its_workers_are_back() {
    let mut yard = Yard::new();
    yard.worker(1, 1);
    yard.worker(2, 2);
    yard.submit(1, 3, 1);
    let a = attempt(1, 1);
    yard.all_ready(a);
    assert_eq!(yard.where_is(a), [2, 2, 1]);
    yard.restart();
    assert_eq!(yard.view(1).map(|view| view.link), Some(Link::Expected));
    assert!(
        yard.joins(
            2,
            offer(2),
            vec![
                has(a, 0, RankStatus::Running),
                has(a, 1, RankStatus::Running)
            ]
        )
        .is_empty()
    );
    // A go that was durable but perhaps never sent is sent again.
    assert_eq!(
        words(&yard.joins(1, offer(1), vec![has(a, 2, ready(2))])),
        ["go job-1#1.2 w1"]
    );
    yard.pass(30_000);
    assert_eq!(
        (yard.state(1), yard.scheduler.running_ranks(spec::JobId(1))),
        (JobState::Running, 3)
    );
}

#[test]
fn a_starting_attempt_learns_from_its_workers_who_is_ready() {
    let mut yard = Yard::new();
    yard.worker(1, 1);
    yard.worker(2, 1);
    yard.submit(1, 2, 1);
    let a = attempt(1, 1);
    yard.ready(a, 0);
    yard.restart();
    yard.joins(2, offer(1), vec![has(a, 1, ready(1))]);
    assert_eq!(yard.state(1), JobState::Starting);
    assert_eq!(
        words(&yard.joins(1, offer(1), vec![has(a, 0, ready(0))])),
        ["go job-1#1.0 w1", "go job-1#1.1 w2"]
    );
}

#[test]
fn a_worker_that_is_not_back_within_the_lease_is_lost() {
    let mut yard = Yard::new();
    yard.worker(1, 1);
    yard.submit(1, 1, 1);
    yard.all_ready(attempt(1, 1));
    yard.checkpoint(attempt(1, 1), 10);
    yard.restart();
    yard.pass_while(10_000, |_| false);
    assert_eq!(yard.state(1), JobState::Queued);
    assert!(
        yard.reason(1)
            .contains("its worker w1 was silent for 10.0 s"),
        "{}",
        yard.reason(1)
    );
    yard.pass(1_000);
    let sent = yard.joins(
        1,
        offer(1),
        vec![has(attempt(1, 1), 0, RankStatus::Running)],
    );
    assert_eq!(words(&sent), ["stop job-1#1.0 w1"]);
    let sent = yard.exits(attempt(1, 1), 0, "signal 15 (SIGTERM)");
    assert_eq!(
        words(&sent),
        [format!("start job-1#2.0 w1 from {}", digest(10).short())]
    );
}

#[test]
fn a_success_that_was_durable_survives_a_restart() {
    let mut yard = Yard::new();
    yard.worker(1, 1);
    yard.submit(1, 1, 1);
    yard.all_ready(attempt(1, 1));
    yard.done(attempt(1, 1), 0, "d");
    yard.restart();
    let done = RankStatus::Done {
        step: 100,
        state_digest: "d".to_string(),
    };
    assert_eq!(
        words(&yard.joins(1, offer(1), vec![has(attempt(1, 1), 0, done)])),
        ["end job-1#1.0 w1"]
    );
    yard.exits(attempt(1, 1), 0, "exit status 0");
    assert_eq!(yard.state(1), JobState::Succeeded);
}

#[test]
fn a_cancel_and_a_back_off_survive_a_restart() {
    let mut yard = Yard::new();
    yard.worker(1, 2);
    yard.submit(1, 1, 1);
    yard.submit(2, 1, 1);
    yard.exits(attempt(1, 1), 0, "exit status 1");
    yard.cancel(2);
    yard.restart();
    let sent = yard.joins(
        1,
        offer(2),
        vec![has(attempt(2, 1), 0, RankStatus::Starting)],
    );
    assert_eq!(words(&sent), ["stop job-2#1.0 w1"]);
    yard.exits(attempt(2, 1), 0, "signal 15 (SIGTERM)");
    assert_eq!(
        (yard.state(1), yard.state(2)),
        (JobState::Queued, JobState::Cancelled)
    );
    assert_eq!(words(&yard.pass(1_000)), ["start job-1#2.0 w1"]);
}

#[test]
fn records_that_contradict_each_other_cost_an_attempt_and_no_job() {
    let mut yard = Yard::new();
    yard.worker(1, 2);
    yard.submit(1, 2, 1);
    let whole = yard.store.clone();
    let torn: [fn(&mut Store); 6] = [
        |store| store.attempts.clear(),
        |store| {
            store
                .attempts
                .values_mut()
                .for_each(|record| record.placements.truncate(1));
        },
        |store| {
            store
                .attempts
                .values_mut()
                .for_each(|record| record.placements[1].rank = 0);
        },
        |store| {
            store
                .attempts
                .values_mut()
                .for_each(|record| record.state = scheduler::AttemptState::Failing);
        },
        |store| {
            store.jobs.values_mut().for_each(|job| job.attempts = 5);
        },
        |store| {
            store.jobs.values_mut().for_each(|job| job.attempts = 0);
        },
    ];
    for tear in torn {
        yard.store = whole.clone();
        tear(&mut yard.store);
        yard.restart();
        assert_eq!(yard.state(1), JobState::Queued);
        assert_eq!(yard.store.jobs[&spec::JobId(1)].state, JobState::Queued);
        let ranks = vec![has(attempt(1, 1), 0, RankStatus::Starting)];
        assert_eq!(
            words(&yard.joins(1, offer(2), ranks)),
            ["stop job-1#1.0 w1"]
        );
        yard.exits(attempt(1, 1), 0, "signal 15 (SIGTERM)");
        assert_eq!(yard.state(1), JobState::Starting);
        let number = yard.scheduler.job(spec::JobId(1)).map(|job| job.attempts);
        assert!(
            number >= Some(2),
            "a number that lived is dealt again: {number:?}"
        );
    }
}

#[test]
fn a_restart_with_nothing_saved_knows_nothing() {
    let (scheduler, decision) = Scheduler::restore(
        Default::default(),
        Default::default(),
        Vec::new(),
        Vec::new(),
    );
    assert_eq!(
        (decision, scheduler.next_deadline()),
        (Default::default(), None)
    );
}
