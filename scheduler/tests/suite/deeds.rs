//! What people, and bad luck, do in the simulated yard.

use scheduler::Event;
use spec::rank::{Failure, FailureKind};
use spec::{JobId, WorkerId};

use crate::agenda::{RankId, Task};
use crate::machine::Phase;
use crate::simulation::World;
use crate::yard::request;

/// Something that is done. Machines that go away come back after so many milliseconds.
#[derive(Debug, Clone)]
pub enum Deed {
    Submit { ranks: u32, threads: u32 },
    Cancel { job: u64 },
    KillRank { which: usize },
    CorruptChunk { which: usize },
    CutOff { worker: u64, milliseconds: u64 },
    PowerCut { worker: u64, milliseconds: u64 },
    Hang { worker: u64, milliseconds: u64 },
    Goodbye { worker: u64, milliseconds: u64 },
    RestartCoordinator,
}

/// Does something, then lets time pass.
pub fn act(world: &mut World, deed: Deed, then_wait: u64) {
    world.note(format!("{deed:?}"));
    match deed {
        Deed::Submit { ranks, threads } => {
            let job = JobId(world.scheduler().jobs().count() as u64 + 1);
            world.tell(Event::Submitted {
                job,
                request: request(ranks, threads),
            });
        }
        Deed::Cancel { job } => world.tell(Event::Cancelled { job: JobId(job) }),
        Deed::KillRank { which } => {
            if let Some((id, rank)) = one(world, which) {
                world.plan(0, Task::Exits(id, rank, "signal 9 (SIGKILL)"));
            }
        }
        Deed::CorruptChunk { which } => corrupt(world, which),
        Deed::CutOff {
            worker,
            milliseconds,
        } => {
            let id = WorkerId(worker);
            if world.machine(id).stream.take().is_some() {
                world.tell(Event::WorkerGone { worker: id });
            }
            world.plan(milliseconds, Task::Connect(id));
        }
        Deed::PowerCut {
            worker,
            milliseconds,
        } => {
            let machine = world.machine(WorkerId(worker));
            machine.lose_everything();
            machine.stream = None;
            world.plan(milliseconds, Task::Connect(WorkerId(worker)));
        }
        Deed::Hang {
            worker,
            milliseconds,
        } => {
            let until = world.now() + milliseconds;
            let machine = world.machine(WorkerId(worker));
            // A stream keeps its order: what waits for the end of a hang does not overtake.
            machine.hung_until = machine.hung_until.max(until);
        }
        Deed::Goodbye {
            worker,
            milliseconds,
        } => {
            let machine = world.machine(WorkerId(worker));
            machine.lose_everything();
            if machine.stream.take().is_some() {
                world.tell(Event::WorkerLeft {
                    worker: WorkerId(worker),
                });
            }
            world.plan(milliseconds, Task::Connect(WorkerId(worker)));
        }
        Deed::RestartCoordinator => world.restart(),
    }
    world.pass(then_wait);
}

fn one(world: &World, which: usize) -> Option<(WorkerId, RankId)> {
    let all: Vec<(WorkerId, RankId)> = world.processes().collect();
    (!all.is_empty()).then(|| all[which % all.len()])
}

fn corrupt(world: &mut World, which: usize) {
    let Some((id, (attempt, rank))) = one(world, which) else {
        return;
    };
    let process = world
        .machine(id)
        .processes
        .get_mut(&(attempt, rank))
        .expect("it was just found");
    if matches!(process.phase, Phase::Starting | Phase::Running) {
        process.phase = Phase::Exiting;
        let failure = Failure {
            kind: FailureKind::Lasting,
            message: "a corrupt chunk".to_string(),
        };
        world.report(
            id,
            Event::RankFailed {
                attempt,
                rank,
                failure,
            },
        );
        world.plan(5, Task::Exits(id, (attempt, rank), "exit status 1"));
    }
}
