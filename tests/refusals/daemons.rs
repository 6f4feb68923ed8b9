//! Addresses, data directories and workers that cannot be had.

use std::io::Write;
use std::net::TcpListener;

use rustix::process::Signal;

use super::{mistakes, sentence};
use crate::process::{Daemon, answer, trainyard, until};
use crate::yard::{Yard, repository};

#[test]
fn a_port_that_is_in_use_is_refused_and_nothing_is_made() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let folder = tempfile::tempdir().expect("a temporary folder");
    for command in [&["coordinator", "start"][..], &["up"]] {
        let flags = ["--listen", &address, "--data-dir", "new"];
        let said = answer(trainyard(folder.path()).args(command).args(flags));
        let expected = format!(
            "{address} is in use: choose another with --listen, or stop what listens there"
        );
        assert_eq!(sentence(said, 2), expected);
        assert!(!folder.path().join("new").exists(), "nothing half done");
    }
    let flags = ["--listen", "203.0.113.7:0"];
    let said = answer(
        trainyard(folder.path())
            .args(["coordinator", "start"])
            .args(flags),
    );
    let said = sentence(said, 2);
    assert!(
        said.starts_with("cannot listen on 203.0.113.7:0: "),
        "{said}"
    );
    assert!(said.ends_with("; choose another with --listen"), "{said}");
}

#[test]
fn a_data_directory_in_use_is_refused_with_the_process_that_uses_it() {
    let mut yard = Yard::with_digits(&[]);
    let (dir, url) = (yard.data_dir().display().to_string(), yard.url());
    let job = repository("jobs/digits-cnn.toml");
    let expected = format!(
        "{dir}/store is in use by process {}; stop that coordinator, or choose another --data-dir",
        yard.coordinator().id()
    );
    let listen = ["--listen", "127.0.0.1:0", "--data-dir", &dir];
    let commands = [
        [&["coordinator", "start"][..], &listen].concat(),
        [&["up"][..], &listen].concat(),
        vec!["plan", &job, "--data-dir", &dir],
        // No coordinator answers there, so it goes to the directory.
        vec![
            "run",
            &job,
            "--data-dir",
            &dir,
            "--coordinator",
            "http://127.0.0.1:1",
        ],
    ];
    for command in commands {
        let said = answer(trainyard(yard.folder()).args(&command));
        assert_eq!(sentence(said, 2), expected, "{command:?}");
    }
    assert_eq!(url, yard.url(), "the coordinator goes on");
    assert_eq!(yard.list(&["data", "list"]).len(), 1);
}

#[test]
fn a_data_directory_that_cannot_be_one_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("file"), "").expect("a file");
    let cases = [
        (
            "file",
            "file/store is not a directory; choose another --data-dir",
        ),
        // Nobody, not even root, makes a folder there.
        (
            "/proc/trainyard",
            "cannot create /proc/trainyard/store: No such file or directory (os error 2)",
        ),
    ];
    for (dir, expected) in cases {
        for command in [&["coordinator", "start"][..], &["up"]] {
            let flags = ["--listen", "127.0.0.1:0", "--data-dir", dir];
            let said = answer(trainyard(folder.path()).args(command).args(flags));
            assert_eq!(sentence(said, 2), expected);
        }
    }
}

#[test]
fn without_a_coordinator_every_command_that_needs_one_says_how_to_get_one() {
    let mut yard = Yard::new(&[]);
    let url = yard.url();
    yard.file("rows.csv", "a,b,label\n1,2,0\n");
    let job = repository("jobs/digits-cnn.toml");
    yard.stop_coordinator();
    let expected = format!(
        "no coordinator answers at {url}: start one with `trainyard up`, or say where it is with --coordinator URL"
    );
    let commands: [&[&str]; 8] = [
        &["submit", &job],
        &["job", "list"],
        &["job", "watch", "job-1"],
        &["data", "import", "rows", "rows.csv"],
        &["data", "list"],
        &["checkpoint", "verify", "job-1"],
        &["model", "evaluate", "job-1"],
        &["worker", "list"],
    ];
    for command in commands {
        assert_eq!(sentence(yard.run(command), 3), expected, "{command:?}");
    }
    let planned = sentence(yard.run(&["plan", &job]), 3);
    let remedy = "; without one, `trainyard plan` takes --data-dir DIR, --input 1x28x28 --classes 10 or --vocabulary 65";
    assert_eq!(planned, format!("{expected}{remedy}"));
}

#[test]
fn what_is_no_coordinator_is_told_from_one() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // Whoever asks gets the answer of a web server, or has gone.
            let _ = stream.and_then(|mut stream| stream.write_all(b"HTTP/1.0 400 No\r\n\r\n"));
        }
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let job = repository("jobs/digits-cnn.toml");
    for command in [&["job", "list"][..], &["submit", &job]] {
        let command = [&["--coordinator", &url], command].concat();
        let said = sentence(answer(trainyard(folder.path()).args(&command)), 3);
        let expected = format!(
            "what answers at {url} is no coordinator: say where one is with --coordinator URL"
        );
        let gone = format!("no coordinator answers at {url}: ");
        assert!(said == expected || said.starts_with(&gone), "{said}");
    }
}

#[test]
fn a_coordinator_that_hangs_keeps_nobody_waiting_for_ever() {
    let mut yard = Yard::with_digits(&[]);
    let job = repository("jobs/digits-cnn.toml");
    let id = yard.submit(&job, &[]);
    let mut watching = yard.command(&["job", "watch", &id]);
    let log = yard.folder().join("watch");
    let mut watching = Daemon::logged(&mut watching, &log);
    let talk = || std::fs::read_to_string(&log).unwrap_or_default();
    until("job that is watched", || {
        talk().contains("queued").then_some(())
    });
    yard.coordinator().signal(Signal::STOP);
    let expected = format!(
        "the coordinator at {} did not answer within 5s: see whether it is stopped or overloaded",
        yard.url()
    );
    assert_eq!(sentence(yard.run(&["job", "list"]), 3), expected);
    assert_eq!(watching.wait(), Some(3), "{}", talk());
    yard.coordinator().signal(Signal::CONT);
    assert_eq!(yard.list(&["job", "list"]).len(), 1);
}

#[test]
fn a_url_that_is_none_is_wrong_use() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let job = repository("jobs/digits-cnn.toml");
    let commands: [&[&str]; 5] = [
        &["job", "list"],
        &["submit", &job],
        &["plan", &job],
        &["run", &job],
        &["worker", "start", "--devices", "cpu:1"],
    ];
    for url in ["", "127.0.0.1:7070", "ftp://127.0.0.1:7070", "http:// a"] {
        for command in commands {
            let command = [&["--coordinator", url], command].concat();
            let said = answer(trainyard(folder.path()).args(&command));
            let expected = format!(
                "\"{url}\" is not a coordinator's URL: expected one as http://127.0.0.1:7070"
            );
            assert_eq!(sentence(said, 2), expected, "{command:?}");
        }
    }
}

#[test]
fn run_without_data_is_refused_and_makes_no_directory() {
    let mut yard = Yard::new(&[]);
    yard.stop_coordinator();
    let job = repository("jobs/digits-cnn.toml");
    let said = sentence(yard.run(&["run", &job, "--data-dir", "new"]), 2);
    let expected = "new holds no data: give the --data-dir of a coordinator, or start one there with `trainyard up` and \
                    import some";
    assert_eq!(said, expected);
    assert!(!yard.folder().join("new").exists(), "nothing half done");
    // A store without the dataset.
    let said = mistakes(yard.run(&["run", &job, "--data-dir", "data"]));
    let expected =
        ": no dataset \"digits\": none has been imported, see `trainyard data import --help`";
    assert_eq!(said, [format!("{job}{expected}")]);
}

#[test]
fn wrong_use_is_refused_with_how_it_is_used() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let job = repository("jobs/digits-cnn.toml");
    let cases: [(&[&str], &str); 7] = [
        (&["traim"], "unrecognized subcommand 'traim'"),
        (&["job", "list", "--jason"], "unexpected argument '--jason'"),
        (&["submit"], "<JOB.toml>"),
        (&["plan", &job, "--input", "1x8x8"], "--classes <N>"),
        (
            &["plan", &job, "--input", "1x0x8", "--classes", "3"],
            "[1, 0, 8] is not a shape",
        ),
        (
            &["data", "import", "x", "x.csv", "--shape", "1xx"],
            "\"1xx\" is not a shape",
        ),
        (
            &["up", "--listen", "here"],
            "invalid value 'here' for '--listen <ADDR>'",
        ),
    ];
    for (command, expected) in cases {
        let said = answer(trainyard(folder.path()).args(command)).ended(2);
        assert!(said.starts_with("error: "), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_worker_that_cannot_be_is_refused() {
    let yard = Yard::new(&[1]);
    let devices = |devices: &str| {
        format!("--devices {devices}: expected cpu:N with N thread slots from 1 to 1024, or auto")
    };
    let cases: [(&[&str], String); 6] = [
        (&["--devices", "cpu:0"], devices("cpu:0")),
        (&["--devices", "cpu:1025"], devices("cpu:1025")),
        (&["--devices", "cpu:-1"], devices("cpu:-1")),
        (&["--devices", "gpu"], devices("gpu")),
        (
            &["--name", "My Worker"],
            "\"My Worker\" is not a worker's name: use a-z, 0-9, dot, underscore and hyphen, beginning with a letter or digit"
                .into(),
        ),
        (
            &["--name", "w1"],
            "the coordinator refused this worker: a worker named \"w1\" is connected already: choose another with --name"
                .into(),
        ),
    ];
    for (flags, expected) in cases {
        // Only errors are logged, so that what is left is the refusal.
        let command = [&["--log", "error", "worker", "start"], flags].concat();
        assert_eq!(sentence(yard.run(&command), 2), expected);
    }
    assert_eq!(yard.list(&["worker", "list"]).len(), 1);
}
