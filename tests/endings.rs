//! Commands that are ended before they are done: what they started ends with them.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use rustix::process::Signal;

use crate::process::{Daemon, Process, all_gone, answer, trainyard, until};
use crate::yard::{Yard, repository};

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

#[test]
fn up_ends_when_one_of_its_processes_does_and_names_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut up, all) = up(folder.path());
    let coordinator = all.iter().find(|process| process.runs("coordinator"));
    let coordinator = coordinator.expect("one of them is the coordinator");
    coordinator.signal(Signal::KILL);
    assert_eq!(up.wait(), Some(1));
    all_gone(&all);
    let log = fs::read_to_string(folder.path().join("log")).expect("the log");
    let expected = "trainyard: the coordinator ended unexpectedly: signal: 9 (SIGKILL)";
    assert!(log.contains(expected), "{log}");
}
