//! Events in any order, twice, late, about nothing: the invariants hold after each, and the same events give the same
//! decisions.

use proptest::prelude::*;
use proptest::strategy::Union;
use scheduler::{Config, Decision, Event, RankInventory, RankStatus, Scheduler, Send, Time};
use spec::job::Device;
use spec::offer::{GangRequest, Offer};
use spec::rank::{Failure, FailureKind};
use spec::{AttemptId, JobId, WorkerId};

use crate::yard::{GIB, Store, digest, exit};

fn classes() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just("cpu/a".to_string()), 1 => Just("cpu/b".to_string())]
}

fn offers() -> impl Strategy<Value = Offer> {
    (0u32..5, 0u64..4, classes()).prop_map(|(threads, gib, device_class)| Offer {
        device: Device::Cpu,
        device_class,
        threads,
        memory_bytes: gib * GIB,
    })
}

fn requests() -> impl Strategy<Value = GangRequest> {
    (
        0u32..4,
        0u32..3,
        0u64..3,
        proptest::option::weighted(0.1, classes()),
    )
        .prop_map(|(ranks, threads, gib, device_class)| GangRequest {
            device: Device::Cpu,
            ranks,
            threads,
            memory_bytes: gib * GIB,
            device_class,
        })
}

fn attempts() -> impl Strategy<Value = AttemptId> {
    (1u64..5, 1u32..4).prop_map(|(job, number)| AttemptId {
        job: JobId(job),
        number,
    })
}

fn exits() -> impl Strategy<Value = spec::rank::Exit> {
    prop_oneof![
        Just("exit status 0"),
        Just("exit status 1"),
        Just("signal 9 (SIGKILL)")
    ]
    .prop_map(exit)
}

fn statuses() -> impl Strategy<Value = RankStatus> {
    prop_oneof![
        Just(RankStatus::Starting),
        Just(RankStatus::Ready {
            address: "h:1".to_string()
        }),
        Just(RankStatus::Running),
        digests().prop_map(|state_digest| RankStatus::Done {
            step: 9,
            state_digest
        }),
        exits().prop_map(RankStatus::Exited),
    ]
}

fn digests() -> impl Strategy<Value = String> {
    prop_oneof![9 => Just("d".to_string()), 1 => Just("e".to_string())]
}

fn failures() -> impl Strategy<Value = Failure> {
    prop_oneof![3 => Just(FailureKind::Passing), 1 => Just(FailureKind::Lasting)].prop_map(|kind| {
        Failure {
            kind,
            message: "no".to_string(),
        }
    })
}

fn events() -> Union<BoxedStrategy<Event>> {
    let rank = || 0u32..3;
    let worker = || (1u64..4).prop_map(WorkerId);
    let job = || (1u64..5).prop_map(JobId);
    let inventory = proptest::collection::vec(
        (attempts(), rank(), statuses()).prop_map(|(attempt, rank, status)| RankInventory {
            attempt,
            rank,
            status,
        }),
        0..4,
    );
    Union::new_weighted(vec![
        (3, Just(Event::Tick).boxed()),
        (
            3,
            (job(), requests())
                .prop_map(|(job, request)| Event::Submitted { job, request })
                .boxed(),
        ),
        (1, job().prop_map(|job| Event::Cancelled { job }).boxed()),
        (
            3,
            (worker(), offers(), inventory)
                .prop_map(|(worker, offer, ranks)| Event::WorkerJoined {
                    worker,
                    name: worker.to_string(),
                    offer,
                    ranks,
                })
                .boxed(),
        ),
        (
            2,
            worker()
                .prop_map(|worker| Event::WorkerBeat { worker })
                .boxed(),
        ),
        (
            1,
            worker()
                .prop_map(|worker| Event::WorkerGone { worker })
                .boxed(),
        ),
        (
            1,
            worker()
                .prop_map(|worker| Event::WorkerLeft { worker })
                .boxed(),
        ),
        (
            8,
            (attempts(), rank())
                .prop_map(|(attempt, rank)| Event::RankReady {
                    attempt,
                    rank,
                    address: format!("h:{rank}"),
                })
                .boxed(),
        ),
        (
            1,
            (attempts(), 0u64..9)
                .prop_map(|(attempt, step)| Event::CheckpointSaved {
                    attempt,
                    step,
                    digest: digest(step),
                })
                .boxed(),
        ),
        (
            6,
            (attempts(), rank(), digests())
                .prop_map(|(attempt, rank, state_digest)| Event::RankDone {
                    attempt,
                    rank,
                    step: 9,
                    state_digest,
                })
                .boxed(),
        ),
        (
            1,
            (attempts(), rank(), failures())
                .prop_map(|(attempt, rank, failure)| Event::RankFailed {
                    attempt,
                    rank,
                    failure,
                })
                .boxed(),
        ),
        (
            3,
            (attempts(), rank(), exits())
                .prop_map(|(attempt, rank, exit)| Event::RankExited {
                    attempt,
                    rank,
                    exit,
                })
                .boxed(),
        ),
    ])
}

/// What happens in one step: an event after some time, sent once or twice, and perhaps a restart after it.
#[derive(Debug, Clone)]
struct Step {
    wait: u64,
    event: Event,
    times: u8,
    then: Then,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Then {
    GoOn,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![6 => 0u64..50, 3 => 0u64..3_000, 1 => 0u64..100_000];
    let times = prop_oneof![4 => Just(1u8), 1 => Just(2u8)];
    let then = prop_oneof![40 => Just(Then::GoOn), 1 => Just(Then::Restart)];
    let step = (wait, events(), times, then).prop_map(|(wait, event, times, then)| Step {
        wait,
        event,
        times,
        then,
    });
    proptest::collection::vec(step, 1..150)
}

/// The decisions that follow, every one checked.
fn run(steps: &[Step]) -> Result<Vec<Decision>, TestCaseError> {
    let config = Config::default();
    let mut scheduler = Scheduler::new(config);
    let mut store = Store::default();
    let mut now = Time(0);
    let mut decisions = Vec::new();
    for Step {
        wait,
        event,
        times,
        then,
    } in steps
    {
        now = Time(now.0 + wait);
        for _ in 0..*times {
            let before = scheduler.clone();
            let decision = scheduler.step(now, event.clone());
            scheduler
                .check()
                .map_err(|violation| TestCaseError::fail(format!("{violation} after {event:?}")))?;
            in_order(&before, &scheduler, &decision)?;
            store.keep(&decision);
            if *event == Event::Tick {
                prop_assert!(
                    scheduler
                        .next_deadline()
                        .is_none_or(|deadline| deadline > now),
                    "a deadline is stuck"
                );
            }
            decisions.push(decision);
        }
        if *then == Then::Restart {
            let (restored, decision) = store.restore(config, now);
            restored
                .check()
                .map_err(|violation| TestCaseError::fail(format!("{violation} after a restart")))?;
            for job in scheduler.jobs() {
                let kept = restored
                    .job(job.job)
                    .map(|kept| (kept.state, kept.attempts, kept.newest_checkpoint));
                prop_assert_eq!(kept, Some((job.state, job.attempts, job.newest_checkpoint)));
            }
            prop_assert!(decision.send.is_empty(), "nobody is there to be told");
            store.keep(&decision);
            decisions.push(decision);
            scheduler = restored;
        }
    }
    Ok(decisions)
}

/// Whoever was placed was first of those that could be, and started as a whole gang where it was said.
fn in_order(
    before: &Scheduler,
    after: &Scheduler,
    decision: &Decision,
) -> Result<(), TestCaseError> {
    use scheduler::Reason::*;
    for attempt in after
        .attempts()
        .filter(|attempt| before.attempt(attempt.attempt).is_none())
    {
        let id = attempt.attempt;
        let starts: Vec<(WorkerId, u32)> = decision
            .send
            .iter()
            .filter_map(|send| match send {
                Send::Start {
                    worker,
                    attempt,
                    rank,
                    ..
                } if *attempt == id => Some((*worker, *rank)),
                _ => None,
            })
            .collect();
        let placed: Vec<(WorkerId, u32)> = attempt
            .placements
            .iter()
            .map(|p| (p.worker, p.rank))
            .collect();
        prop_assert_eq!(starts, placed);
        for placement in &attempt.placements {
            let host = after.workers().find(|view| view.worker == placement.worker);
            prop_assert_eq!(
                host.map(|view| view.offer.device_class.clone()),
                Some(attempt.device_class.clone())
            );
        }
        for ahead in after
            .jobs()
            .filter(|job| job.job < id.job && job.state == spec::state::JobState::Queued)
        {
            let makes_nobody_wait = matches!(
                ahead.reason,
                Some(
                    BackingOff { .. }
                        | NoWorkers { .. }
                        | NoWorkerLargeEnough { .. }
                        | GangTooLarge { .. }
                        | WaitingForDeviceClass { .. }
                )
            );
            prop_assert!(
                makes_nobody_wait,
                "{} overtook {}: {:?}",
                id,
                ahead.job,
                ahead.reason
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_invariants_hold_after_any_events(steps in steps()) {
        let first = run(&steps)?;
        prop_assert_eq!(first, run(&steps)?, "the same events gave other decisions");
    }
}
