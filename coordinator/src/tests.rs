//! The coordinator as those see it who call it: over the wire, with machines that have no processes.

use std::sync::Arc;

use proto::{Command, RankOrder, RankStatus};
use spec::checkpoint::{DataFacts, Preprocessing, Section};
use spec::dataset::{ChunkRef, Element, Split};
use spec::metric::{Exact, Timing};
use spec::rank::{Exit, Go, Progress, Report};
use spec::{AttemptId, CheckpointManifest, DatasetManifest, Digest, JobId, MetricRow, Shape};
use store::Memory;

use crate::service::machine::Machine;
use crate::service::rig::{Client, Rig};

mod discovery;
mod faults;
mod ledger;
mod rejoining;
mod restarting;
mod road;

const ROWS: &[u8] = b"sixteen rows of four values";
const LABELS: &[u8] = b"sixteen labels";

fn dataset(chunk: &[u8]) -> DatasetManifest {
    DatasetManifest {
        kind: "csv".to_string(),
        shape: Shape::new(vec![1, 2, 2]).expect("a shape"),
        element: Element::U8,
        maximum: 255.0,
        classes: vec!["a".to_string(), "b".to_string()],
        tokens: None,
        splits: vec![Split {
            name: "train".to_string(),
            rows: 16,
            chunks: vec![ChunkRef {
                digest: Digest::of(chunk),
                rows: 16,
            }],
            tokens: None,
            labels: Some(Digest::of(LABELS)),
            class_counts: vec![8, 8],
            mean: vec![0.5],
            std: vec![0.25],
        }],
    }
}

fn job_file(name: &str, ranks: u32) -> String {
    format!(
        "name = \"{name}\"\n[data]\ntrain = \"tiny/train\"\n[model]\nlayers = [\"flatten\", {{ linear = \"classes\" }}]\n\
         [training]\nsteps = 3\nbatch_size = 8\nmicrobatches = 2\n[resources]\nranks = {ranks}\n[checkpoint]\nkeep_last = 2\n"
    )
}

/// A coordinator on an empty store that knows the dataset `tiny`.
async fn rig() -> (Rig, Client) {
    let rig = Rig::start(Arc::new(Memory::new())).await;
    let client = rig.client().await;
    client
        .import("tiny", &[ROWS, LABELS], Some(&dataset(ROWS)))
        .await
        .expect("it is taken in");
    (rig, client)
}

fn attempt(job: u64, number: u32) -> AttemptId {
    AttemptId {
        job: JobId(job),
        number,
    }
}

fn row(step: u64) -> MetricRow {
    MetricRow {
        exact: Exact {
            epoch: 1,
            step,
            samples: 8 * step,
            tokens: 0,
            loss: Some(1.0 / step as f64),
            accuracy: None,
            learning_rate: 0.1,
            gradient_norm: Some(0.3),
            parameters_digest: format!("{step:032x}"),
            validation_loss: None,
            validation_accuracy: None,
            measures: Default::default(),
        },
        timing: Timing::default(),
    }
}

fn ready() -> Report {
    Report::Ready {
        address: "127.0.0.1:1".to_string(),
    }
}

fn done() -> Report {
    Report::Done {
        step: 3,
        state_digest: "d".to_string(),
    }
}

fn exited(status: &str) -> Report {
    Report::Exited(Exit {
        status: status.to_string(),
        clean: status == "exit status 0",
        last_lines: Vec::new(),
    })
}

fn has(attempt: AttemptId, rank: u32, progress: Progress) -> RankStatus {
    RankStatus {
        attempt,
        rank,
        progress,
    }
}

/// The manifest of a checkpoint of one chunk of 8 bytes, and the chunk.
fn checkpoint(job: u64, step: u64) -> (CheckpointManifest, Vec<u8>) {
    let chunk = [step.to_le_bytes().as_slice()].concat();
    let manifest = CheckpointManifest {
        job_id: Some(JobId(job)),
        job: spec::job_file::parse(&job_file("tiny", 1)).expect("a job"),
        device_class: "cpu/test".to_string(),
        step,
        commit: step,
        data: DataFacts {
            shape: Shape::new(vec![1, 2, 2]).expect("a shape"),
            classes: vec!["a".to_string(), "b".to_string()],
            tokens: None,
        },
        preprocessing: Preprocessing {
            shift: vec![0.0],
            scale: vec![1.0],
        },
        sections: vec![Section {
            name: "parameters".to_string(),
            words: 2,
            chunks: vec![Digest::of(&chunk)],
        }],
        state_digest: "d".to_string(),
        watch: spec::watch::Watch::default(),
        monitored: None,
    };
    (manifest, chunk)
}

/// Expects to be told to start a rank; where from.
async fn started(machine: &mut Machine, attempt: AttemptId, rank: u32) -> Option<Digest> {
    match machine.next().await {
        Some(Command::Rank {
            attempt: of,
            rank: number,
            order: RankOrder::Start { resume, .. },
        }) if (of, number) == (attempt, rank) => resume,
        other => panic!("{attempt}/{rank} was to be started, not {other:?}"),
    }
}

async fn told(machine: &mut Machine, attempt: AttemptId, rank: u32, order: RankOrder) {
    let expected = Command::Rank {
        attempt,
        rank,
        order,
    };
    assert_eq!(machine.next().await, Some(expected));
}

fn go(ranks: usize) -> RankOrder {
    RankOrder::Go(Go {
        generation: 1,
        addresses: vec!["127.0.0.1:1".to_string(); ranks],
    })
}

/// Starts the only rank of an attempt and takes it to training.
async fn set_off(machine: &mut Machine, attempt: AttemptId) -> Option<Digest> {
    let resume = started(machine, attempt, 0).await;
    machine.report(attempt, 0, ready()).await;
    told(machine, attempt, 0, go(1)).await;
    resume
}

/// Takes the only rank of an attempt that trains to its end.
async fn bring_home(machine: &mut Machine, attempt: AttemptId) {
    machine.report(attempt, 0, done()).await;
    told(machine, attempt, 0, RankOrder::End).await;
    machine.report(attempt, 0, exited("exit status 0")).await;
}
