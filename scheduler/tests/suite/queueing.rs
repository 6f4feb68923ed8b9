//! The order of the queue, and what a waiting job says.

use scheduler::{Reason, Time};
use spec::JobId;
use spec::job::Device;
use spec::rank::FailureKind;
use spec::state::JobState;

use crate::yard::*;

#[test]
fn a_job_says_what_it_waits_for() {
    let mut yard = Yard::new();
    yard.submit(1, 2, 3);
    let reason = |yard: &Yard, job: u64| {
        yard.scheduler
            .job(JobId(job))
            .and_then(|job| job.reason.clone())
    };
    assert_eq!(
        reason(&yard, 1),
        Some(Reason::NoWorkers {
            device: Device::Cpu
        })
    );
    yard.worker(1, 2);
    assert_eq!(
        reason(&yard, 1),
        Some(Reason::NoWorkerLargeEnough {
            threads: 3,
            memory_bytes: GIB,
            most_threads: 2,
            most_memory_bytes: 16 * GIB
        })
    );
    yard.worker(2, 4);
    assert_eq!(
        reason(&yard, 1),
        Some(Reason::GangTooLarge { ranks: 2, room: 1 })
    );
    yard.submit(2, 2, 1);
    assert_eq!(yard.where_is(attempt(2, 1)), [1, 1]);
    yard.submit(3, 1, 2);
    yard.worker(3, 4);
    assert_eq!(
        reason(&yard, 1),
        Some(Reason::WaitingForThreads { needed: 6, free: 3 })
    );
    yard.submit(4, 1, 1);
    assert_eq!(reason(&yard, 4), Some(Reason::Behind { job: JobId(1) }));
}

#[test]
fn a_small_job_does_not_overtake_a_large_one_that_only_waits_for_others_to_end() {
    let mut yard = Yard::new();
    yard.worker(1, 4);
    yard.submit(1, 3, 1);
    yard.submit(2, 4, 1);
    yard.submit(3, 1, 1);
    assert_eq!(
        (yard.state(2), yard.state(3)),
        (JobState::Queued, JobState::Queued)
    );
    yard.cancel(2);
    assert_eq!(yard.where_is(attempt(3, 1)), [1]);
}

#[test]
fn a_job_that_no_worker_could_hold_makes_nobody_wait() {
    let mut yard = Yard::new();
    yard.worker(1, 2);
    yard.submit(1, 1, 3);
    yard.submit(2, 2, 1);
    assert_eq!(
        (yard.state(1), yard.state(2)),
        (JobState::Queued, JobState::Starting)
    );
    yard.worker(2, 3);
    assert_eq!(yard.where_is(attempt(1, 1)), [2]);
}

#[test]
fn a_job_in_back_off_makes_nobody_wait_and_keeps_its_place() {
    let mut yard = Yard::new();
    yard.worker(1, 1);
    yard.submit(1, 1, 1);
    yard.submit(2, 1, 1);
    yard.submit(3, 1, 1);
    yard.fails(attempt(1, 1), 0, FailureKind::Passing, "no chunk");
    yard.exits(attempt(1, 1), 0, "exit status 1");
    assert_eq!(
        (yard.state(1), yard.state(2)),
        (JobState::Queued, JobState::Starting)
    );
    assert!(
        yard.reason(1).starts_with("trying again 1.0 s after"),
        "{}",
        yard.reason(1)
    );
    yard.pass(1_000);
    assert_eq!(yard.reason(1), "waiting for 1 thread slots, 0 are free");
    assert_eq!(yard.reason(3), "waiting behind job-1");
    yard.cancel(2);
    yard.exits(attempt(2, 1), 0, "signal 15 (SIGTERM)");
    assert_eq!(
        (yard.state(1), yard.state(3)),
        (JobState::Starting, JobState::Queued)
    );
}

#[test]
fn the_queue_is_in_the_order_of_ids_whatever_the_order_of_events() {
    let mut yard = Yard::new();
    yard.submit(2, 1, 1);
    yard.submit(1, 1, 1);
    yard.worker(1, 1);
    assert_eq!(
        (yard.state(1), yard.state(2)),
        (JobState::Starting, JobState::Queued)
    );
}

#[test]
fn nothing_is_placed_on_a_worker_whose_stream_is_broken() {
    let mut yard = Yard::new();
    yard.worker(1, 1);
    yard.gone(1);
    assert!(yard.submit(1, 1, 1).is_empty());
    assert_eq!(yard.reason(1), "waiting for 1 thread slots, 0 are free");
    assert_eq!(words(&yard.worker(1, 1)), ["start job-1#1.0 w1"]);
}

#[test]
fn without_anything_to_wait_for_there_is_no_deadline() {
    let mut yard = Yard::new();
    assert_eq!(yard.scheduler.next_deadline(), None);
    yard.submit(1, 1, 1);
    assert_eq!(yard.scheduler.next_deadline(), None);
    yard.worker(1, 1);
    assert_eq!(
        yard.scheduler.next_deadline(),
        Some(Time(yard.now.0 + 10_000))
    );
}

#[test]
fn a_clock_that_jumps_back_moves_no_deadline_back() {
    let mut yard = Yard::new();
    yard.worker(1, 1);
    let due = yard.scheduler.next_deadline();
    yard.now = Time(5);
    yard.step(scheduler::Event::WorkerBeat {
        worker: spec::WorkerId(1),
    });
    assert_eq!(yard.scheduler.next_deadline(), due);
}
