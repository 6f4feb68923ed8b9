//! The simulated yard under random deeds: once they stop, every job ends and every device is free.

use proptest::prelude::*;
use spec::state::JobState;

use crate::deeds::{Deed, act};
use crate::simulation::World;

fn deeds() -> impl Strategy<Value = Vec<(Deed, u64)>> {
    let worker = || 1u64..=3;
    let time = || prop_oneof![4 => 1u64..3_000, 1 => 8_000u64..30_000];
    let deed = prop_oneof![
        6 => (1u32..=4, 1u32..=2).prop_map(|(ranks, threads)| Deed::Submit { ranks, threads }),
        1 => (1u64..8).prop_map(|job| Deed::Cancel { job }),
        3 => any::<usize>().prop_map(|which| Deed::KillRank { which }),
        1 => any::<usize>().prop_map(|which| Deed::CorruptChunk { which }),
        2 => (worker(), time()).prop_map(|(worker, milliseconds)| Deed::CutOff { worker, milliseconds }),
        1 => (worker(), time()).prop_map(|(worker, milliseconds)| Deed::PowerCut { worker, milliseconds }),
        1 => (worker(), time()).prop_map(|(worker, milliseconds)| Deed::Hang { worker, milliseconds }),
        1 => (worker(), time()).prop_map(|(worker, milliseconds)| Deed::Goodbye { worker, milliseconds }),
        1 => Just(Deed::RestartCoordinator),
    ];
    let wait = prop_oneof![5 => 0u64..1_500, 1 => 0u64..12_000];
    proptest::collection::vec((deed, wait), 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn once_the_yard_is_left_in_peace_every_job_ends_and_every_device_is_free(seed: u64, deeds in deeds()) {
        let mut world = World::new(seed);
        for (deed, wait) in deeds {
            act(&mut world, deed, wait);
        }
        world.settle();
    }

    #[test]
    fn without_trouble_every_job_succeeds_at_its_first_attempt(seed: u64, gangs in proptest::collection::vec((1u32..=4, 1u32..=2, 0u64..2_000), 1..12)) {
        let mut world = World::new(seed);
        for &(ranks, threads, wait) in &gangs {
            act(&mut world, Deed::Submit { ranks, threads }, wait);
        }
        world.settle();
        for job in world.scheduler().jobs() {
            prop_assert_eq!((job.state, job.attempts), (JobState::Succeeded, 1));
        }
    }

    #[test]
    fn every_job_succeeds_although_the_coordinator_restarts(seed: u64, at in proptest::collection::vec(0u64..2_000, 1..4)) {
        let mut world = World::new(seed);
        act(&mut world, Deed::Submit { ranks: 4, threads: 2 }, 10);
        act(&mut world, Deed::Submit { ranks: 2, threads: 1 }, 10);
        for wait in at {
            act(&mut world, Deed::RestartCoordinator, 3_100 + wait);
        }
        world.settle();
        for job in world.scheduler().jobs() {
            prop_assert_eq!(job.state, JobState::Succeeded);
        }
    }
}
