//! Processes that are killed, at any time: nothing is lost, nothing stays behind, the bits stay the same.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::process::{Process, all_gone, until};
use crate::refusals::sentence;
use crate::yard::{Yard, flip, happened, newest_pack, repository, text};

/// A job of a second or more with a checkpoint every 500 steps.
const LONG: &str = r#"
name = "long"
[data]
train = "digits/train"
validation = 0.2
normalize = "unit"
[model]
layers = [
  { conv2d = { filters = 8, kernel = 3, padding = 1 } }, "relu", { max_pool2d = 2 },
  "flatten", { linear = 32 }, "relu", { linear = "classes" },
]
[training]
steps = 3000
batch_size = 256
optimizer = { adam = { lr = 1e-3 } }
validate = { every_epochs = 100 }
[checkpoint]
every_steps = 500
keep_last = 10
"#;

/// A yard in which the long job runs on two ranks and has a checkpoint; the job, and the rows it is to have.
fn under_way(slots: &[u32]) -> (Yard, String, Vec<String>) {
    let yard = Yard::with_digits(slots);
    let file = yard.file("long.toml", LONG);
    let expected = yard.run_rows(&file, &[], None);
    assert_eq!(expected.len(), 3000);
    let id = yard.submit(&file, &["resources.ranks=2"]);
    yard.until_checkpoint(&id);
    (yard, id, expected)
}

/// Waits for a disturbed job: it must have gone on from a checkpoint in a second attempt, to the undisturbed rows. Of all
/// ranks only those that are stopped may be left.
fn assert_recovered(yard: &Yard, id: &str, expected: &[String], stopped: &[Process]) -> Value {
    let job = yard.succeeded(id);
    assert_eq!(job["attempts"], 2, "{job}");
    let resumed = happened(&job, "to go on from the checkpoint at step");
    assert_eq!(resumed.len(), 1, "{job}");
    assert_eq!(yard.exact_rows(id), expected);
    let ranks = yard.ranks().into_iter();
    let ended: Vec<Process> = ranks.filter(|rank| !stopped.contains(rank)).collect();
    all_gone(&ended);
    job
}

#[test]
fn a_killed_rank_costs_an_attempt_and_changes_no_bit() {
    let (yard, id, expected) = under_way(&[1, 1]);
    let ranks = yard.ranks();
    assert_eq!(ranks.len(), 2);
    ranks[1].signal(Signal::KILL);
    all_gone(&ranks);
    let job = assert_recovered(&yard, &id, &expected, &[]);
    let failed = happened(&job, "failed:").join("\n");
    assert!(
        failed.contains("SIGKILL") && failed.contains("w2"),
        "{failed}"
    );
}

#[test]
fn a_killed_worker_takes_its_ranks_along_and_another_takes_its_place() {
    let (mut yard, id, expected) = under_way(&[1, 1, 1]);
    let busy = yard.list(&["worker", "list"]);
    let busy = busy.iter().find(|worker| worker["free_threads"] == 0);
    let name = text(&busy.expect("a worker has a rank")["name"]);
    let worker = yard.worker(&name);
    let ranks = worker.process().children();
    assert_eq!(ranks.len(), 1);
    assert_eq!(worker.end(Signal::KILL), None);
    all_gone(&ranks);
    let job = assert_recovered(&yard, &id, &expected, &[]);
    let placed = happened(&job, "placed on");
    assert!(
        placed[0].contains(&name) && !placed[1].contains(&name),
        "{placed:?}"
    );
}

#[test]
fn a_worker_that_is_asked_to_end_leaves_nothing_and_its_job_goes_on_elsewhere() {
    let (mut yard, id, expected) = under_way(&[2]);
    let ranks = yard.ranks();
    assert_eq!(ranks.len(), 2);
    assert_eq!(yard.worker("w1").end(Signal::TERM), Some(0));
    all_gone(&ranks);
    yard.until_job(&id, "waits", |job| {
        job["state"] != "running" && job["reason"] != ""
    });
    yard.add_worker("w2", 2);
    assert_recovered(&yard, &id, &expected, &[]);
}

#[test]
fn a_coordinator_that_ends_mid_job_finds_workers_and_job_again() {
    let (mut yard, id, expected) = under_way(&[1, 1]);
    yard.stop_coordinator();
    yard.start_coordinator();
    until("workers that are back", || {
        let workers = yard.list(&["worker", "list"]);
        let connected = workers
            .iter()
            .filter(|worker| worker["state"] == "connected");
        (connected.count() == 2).then_some(())
    });
    let job = yard.succeeded(&id);
    assert_eq!(yard.exact_rows(&id), expected);
    let digest = text(&job["parameters_digest"]);
    assert!(expected[2999].contains(&digest), "{digest}");
    yard.json(&["checkpoint", "verify", &id]);
}

#[test]
fn a_killed_coordinator_loses_nothing_that_it_said() {
    let (mut yard, id, expected) = under_way(&[1, 1]);
    let said = yard.exact_rows(&id);
    assert_eq!(yard.coordinator().end(Signal::KILL), None);
    yard.start_coordinator();
    let kept = yard.exact_rows(&id);
    assert!(kept.len() >= said.len());
    assert_eq!(kept[..], expected[..kept.len()]);
    yard.succeeded(&id);
    assert_eq!(yard.exact_rows(&id), expected);
}

#[test]
fn a_job_waits_for_slots_with_a_reason_and_begins_when_a_worker_joins() {
    let mut yard = Yard::with_digits(&[1]);
    let id = yard.submit(
        &repository("jobs/digits-cnn.toml"),
        &["training.epochs=1", "resources.ranks=2"],
    );
    let waiting = yard.until_job(&id, "waits", |job| job["reason"] != "");
    assert_eq!(waiting["state"], "queued", "{waiting}");
    let reason = text(&waiting["reason"]);
    assert_eq!(
        reason,
        "the gang has 2 ranks, the workers of one device class have room for 1"
    );
    yard.add_worker("w2", 1);
    yard.succeeded(&id);
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_is_gone_on_from() {
    let (mut yard, id, expected) = under_way(&[2]);
    yard.until_job(&id, "has two checkpoints", |job| {
        happened(job, "saved checkpoint").len() >= 2
    });
    yard.worker("w1").end(Signal::KILL);
    yard.stop_coordinator();
    // Opening the store cuts off what was on its way: the last byte of the pack belongs to the newest checkpoint.
    yard.start_coordinator();
    let kept = yard.list(&["checkpoint", "list", &id]);
    let newest = kept.last().expect("checkpoints are kept");
    yard.json(&["checkpoint", "verify", &id]);
    yard.stop_coordinator();
    let (pack, length) = newest_pack(&yard.data_dir());
    flip(&pack, length - 1);
    yard.start_coordinator();

    let refused = yard.run(&["checkpoint", "verify", &id, "--json"]).ended(1);
    let chunks: Vec<String> = newest["sections"]
        .as_array()
        .expect("sections")
        .iter()
        .map(|section| text(&section["chunks"][0]))
        .collect();
    assert!(
        chunks.iter().any(|chunk| refused.contains(chunk)),
        "{refused} names none of {chunks:?}"
    );
    let before = format!("{id}@{}", kept[kept.len() - 2]["step"]);
    yard.json(&["checkpoint", "verify", &before]);

    yard.add_worker("w2", 2);
    let job = yard.succeeded(&id);
    assert_eq!(yard.exact_rows(&id), expected);
    let attempts = job["attempts"].as_u64().expect("a number");
    let log = yard
        .data_dir()
        .join(format!("logs/{id}/attempt-{attempts}-rank-0.log"));
    let log = fs::read_to_string(log).expect("the rank's log");
    assert!(log.contains("trying the one before"), "{log}");
}

#[test]
fn a_rank_that_dies_before_the_first_checkpoint_costs_no_bit_either() {
    let yard = Yard::with_digits(&[1, 1]);
    let file = yard.file("long.toml", LONG);
    let set = ["training.steps=1500", "checkpoint.every_steps=100000"];
    let expected = yard.run_rows(&file, &set, None);
    let two = [&set[..], &["resources.ranks=2"]].concat();
    let id = yard.submit(&file, &two);
    yard.until_job(&id, "trains", |job| job["step"].as_u64() > Some(0));
    yard.ranks()[0].signal(Signal::KILL);
    let job = yard.succeeded(&id);
    assert_eq!(job["attempts"], 2, "{job}");
    assert!(happened(&job, "to go on from").is_empty(), "{job}");
    assert_eq!(yard.exact_rows(&id), expected);
}

#[test]
fn a_job_whose_ranks_die_again_and_again_is_given_up_with_the_cause() {
    let yard = Yard::with_digits(&[1]);
    let file = yard.file("long.toml", LONG);
    let set = ["training.steps=1000000", "checkpoint.every_steps=1000000"];
    let id = yard.submit(&file, &set);
    yard.until_job(&id, "fails", |job| {
        for rank in yard.ranks() {
            rank.end();
        }
        job["state"] == "failed"
    });
    let said = sentence(yard.run(&["job", "watch", &id, "--json"]).untold(), 1);
    let expected = format!(
        "{id} failed: gave up after 3 failures in a row without a newer checkpoint, the last: {id}#3 rank 0 on w1 ended with signal 9 (SIGKILL)"
    );
    assert!(said.starts_with(&expected), "{said}");
    all_gone(&yard.ranks());
    yard.until_idle(1);
}

#[test]
fn kills_of_everything_one_after_the_other_change_no_bit() {
    let mut yard = Yard::with_digits(&[1, 1]);
    let file = yard.file("long.toml", LONG);
    let set = ["training.steps=5000"];
    let expected = yard.run_rows(&file, &set, None);
    let id = yard.submit(&file, &[set[0], "resources.ranks=2"]);
    let mut saved = 0;
    for round in 0..4 {
        // Between two rounds the job comes forward, else it would be given up.
        let newer = |job: &Value| happened(job, "saved checkpoint").len() > saved;
        let job = yard.until_job(&id, "has a newer checkpoint", newer);
        assert_ne!(job["state"], "succeeded", "too short for round {round}");
        saved = happened(&job, "saved checkpoint").len();
        match round {
            0 => yard.ranks().iter().for_each(Process::end),
            1 => {
                yard.coordinator().end(Signal::KILL);
                yard.start_coordinator();
            }
            2 => {
                yard.coordinator().end(Signal::KILL);
                yard.ranks()[0].end();
                yard.start_coordinator();
            }
            _ => {
                yard.coordinator().end(Signal::KILL);
                yard.worker("w1").end(Signal::KILL);
                yard.start_coordinator();
                yard.add_worker("w3", 1);
            }
        }
    }
    yard.succeeded(&id);
    assert_eq!(yard.exact_rows(&id), expected);
    yard.json(&["checkpoint", "verify", &id]);
    all_gone(&yard.ranks());
}

#[test]
fn a_silent_worker_loses_its_lease_and_when_it_is_back_its_rank() {
    let (mut yard, id, expected) = under_way(&[1, 1, 1]);
    let busy = yard.list(&["worker", "list"]);
    let busy = busy.iter().find(|worker| worker["free_threads"] == 0);
    let name = text(&busy.expect("a worker has a rank")["name"]);
    let worker = yard.worker(&name).process();
    let ranks = worker.children();
    let silent = [&ranks[..], &[worker]].concat();
    silent
        .iter()
        .for_each(|process| process.signal(Signal::STOP));
    let job = assert_recovered(&yard, &id, &expected, &ranks);
    let failed = happened(&job, "failed:").join("\n");
    assert!(failed.contains("was silent for"), "{failed}");
    silent
        .iter()
        .for_each(|process| process.signal(Signal::CONT));
    all_gone(&ranks);
    assert!(worker.is_alive());
    yard.until_idle(3);
    let job = yard.json(&["job", "show", &id]);
    assert_eq!(
        (&job["state"], &job["attempts"]),
        (&"succeeded".into(), &2.into())
    );
    assert_eq!(yard.exact_rows(&id), expected);
}

/// A job whose state is more than parameters: running statistics, and what the validation phases so far have decided.
const WATCHED: &str = r#"
name = "watched"
[data]
train = "digits/train"
validation = 0.2
normalize = "unit"
[model]
layers = [
  { conv2d = { filters = 8, kernel = 3, padding = 1 } }, "batch_norm", "silu", { avg_pool2d = 2 },
  "flatten", "layer_norm", { linear = 32 }, "gelu", { linear = "classes" },
]
[training]
steps = 1200
batch_size = 256
clip_norm = 1.0
optimizer = { adamw = { lr = 1e-3 } }
lr_schedule = { reduce_on_plateau = { factor = 0.8, patience = 1 } }
validate = { every_epochs = 5 }
[checkpoint]
every_steps = 200
keep_last = 10
"#;

#[test]
fn a_killed_rank_loses_no_running_statistic_and_no_plateau() {
    let yard = Yard::with_digits(&[1, 1]);
    let file = yard.file("watched.toml", WATCHED);
    let expected = yard.run_rows(&file, &[], None);
    assert_eq!(expected.len(), 1200);
    let rate = |row: &String| {
        let lr = row
            .split(',')
            .find(|column| column.starts_with("\"learning_rate\":"));
        lr.expect("a rate").to_string()
    };
    let rates: std::collections::BTreeSet<String> = expected.iter().map(rate).collect();
    assert!(rates.len() > 2, "the plateaus lower the rate: {rates:?}");
    let id = yard.submit(&file, &["resources.ranks=2"]);
    yard.until_checkpoint(&id);
    yard.ranks()[1].signal(Signal::KILL);
    assert_recovered(&yard, &id, &expected, &[]);
    yard.json(&["checkpoint", "verify", &id]);
}

/// A job whose ranks meet in the middle of every step too.
const SYNCED: &str = r#"
name = "synced"
[data]
train = "digits/train"
validation = 0.2
normalize = "unit"
[model]
layers = [
  { conv2d = { filters = 8, kernel = 3, padding = 1 } }, { batch_norm = { sync = true } }, "relu", { max_pool2d = 2 },
  "flatten", { linear = 32 }, { batch_norm = { sync = true } }, "relu", { linear = "classes" },
]
[training]
steps = 1200
batch_size = 256
optimizer = { adam = { lr = 1e-3 } }
validate = { every_epochs = 100 }
[checkpoint]
every_steps = 200
keep_last = 10
"#;

#[test]
fn a_rank_that_is_killed_where_microbatches_meet_at_norms_changes_no_bit() {
    let yard = Yard::with_digits(&[1, 1]);
    let file = yard.file("synced.toml", SYNCED);
    let expected = yard.run_rows(&file, &[], None);
    assert_eq!(expected.len(), 1200);
    let id = yard.submit(&file, &["resources.ranks=2"]);
    yard.until_checkpoint(&id);
    yard.ranks()[1].signal(Signal::KILL);
    assert_recovered(&yard, &id, &expected, &[]);
    yard.json(&["checkpoint", "verify", &id]);
}
