//! Processes that are killed, at any time: nothing is lost, nothing stays behind, the bits stay the same.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use rustix::process::Signal;

use crate::process::{Daemon, Process, all_gone, answer, trainyard, until};
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

/// Waits for a disturbed job: it must have gone on from a checkpoint in a second attempt, to the undisturbed rows.
fn assert_recovered(yard: &Yard, id: &str, expected: &[String]) -> serde_json::Value {
    let job = yard.succeeded(id);
    assert_eq!(job["attempts"], 2, "{job}");
    let resumed = happened(&job, "to go on from the checkpoint at step");
    assert_eq!(resumed.len(), 1, "{job}");
    assert_eq!(yard.exact_rows(id), expected);
    all_gone(&yard.ranks());
    job
}

#[test]
fn a_killed_rank_costs_an_attempt_and_changes_no_bit() {
    let (yard, id, expected) = under_way(&[1, 1]);
    let ranks = yard.ranks();
    assert_eq!(ranks.len(), 2);
    ranks[1].kill();
    all_gone(&ranks);
    let job = assert_recovered(&yard, &id, &expected);
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
    let job = assert_recovered(&yard, &id, &expected);
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
    assert_recovered(&yard, &id, &expected);
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

/// `up` with a job that trains on two ranks: the guard, and all processes that it started.
fn up(folder: &Path) -> (Daemon, Vec<Process>) {
    let mut command = trainyard(folder);
    command.args(["up", "--workers", "2", "--listen", "127.0.0.1:0", "--json"]);
    let log = folder.join("log");
    let (up, address) = Daemon::serving(&mut command, "coordinator", &log);
    let url = format!("http://{address}");
    let run = |arguments: &[&str]| {
        let mut command = trainyard(folder);
        command.args(["--coordinator", &url]).args(arguments);
        answer(&mut command).done()
    };
    let digits = repository("data/digits/digits.csv.gz");
    run(&["data", "import", "digits", &digits, "--shape", "1x8x8"]);
    let file = repository("jobs/digits-cnn.toml");
    run(&["submit", &file, "--set", "training.epochs=100000"]);
    let all = until("rank processes", || {
        let all = up.process().descendants();
        (all.len() == 5).then_some(all)
    });
    (up, all)
}

#[test]
fn up_leaves_no_process_behind_however_it_ends() {
    for (signal, code) in [
        (Signal::INT, Some(0)),
        (Signal::TERM, Some(0)),
        (Signal::KILL, None),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (mut up, all) = up(folder.path());
        assert_eq!(up.end(signal), code, "{signal:?}");
        all_gone(&all);
    }
}

#[test]
fn quickstart_leaves_no_process_behind_when_it_is_interrupted() {
    for (signal, code) in [(Signal::INT, Some(130)), (Signal::KILL, None)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = trainyard(folder.path());
        command.arg("quickstart").stdout(Stdio::null());
        let mut quickstart = Daemon::logged(&mut command, &folder.path().join("log"));
        let all = until("rank process of quickstart", || {
            let all = quickstart.process().descendants();
            (all.len() >= 4).then_some(all)
        });
        assert_eq!(quickstart.end(signal), code, "{signal:?}");
        all_gone(&all);
    }
}

#[test]
fn an_interrupted_run_or_watch_ends_with_130_and_a_watched_job_goes_on() {
    let mut yard = Yard::with_digits(&[1, 1]);
    let file = repository("jobs/digits-cnn.toml");
    let endless = ["--set", "training.epochs=100000"];
    let interrupted = |command: &[&str]| {
        let mut command = yard.command(&[command, &endless].concat());
        let log = yard.folder().join("talk");
        let mut talker = Daemon::logged(command.stdout(Stdio::null()), &log);
        until("step that is shown", || {
            let talk = fs::read_to_string(&log).unwrap_or_default();
            talk.contains("step ").then_some(())
        });
        let code = talker.end(Signal::INT);
        fs::remove_file(&log).expect("it was written");
        code
    };
    assert_eq!(interrupted(&["run", &file]), Some(130));
    assert_eq!(interrupted(&["submit", &file, "--watch"]), Some(130));
    let step = |yard: &Yard| yard.json(&["job", "show", "digits-cnn"])["step"].as_u64();
    let before = step(&yard);
    until("next step", || (step(&yard) > before).then_some(()));

    // `run` with a data directory keeps what it did, as a cancelled job.
    yard.json(&["job", "cancel", "digits-cnn"]);
    yard.stop_coordinator();
    let mut command = yard.command(&[&["run", &file, "--json"][..], &endless].concat());
    command.arg("--data-dir").arg(yard.data_dir());
    let mut run = Daemon::start(command.stdout(Stdio::piped()));
    assert!(run.line().starts_with('{'));
    assert_eq!(run.end(Signal::INT), Some(130));
    yard.start_coordinator();
    let kept = yard.json(&["job", "show", "job-2"]);
    assert_eq!(kept["state"], "cancelled", "{kept}");
}
