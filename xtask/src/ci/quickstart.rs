//! The binary alone: `trainyard quickstart --json` from a copy of the binary in an empty folder, with an empty home, no
//! input and no environment but the search path.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::cargo;

/// How long quickstart may take in all.
const LIMIT: Duration = Duration::from_secs(180);
/// How long a process that has been told to end may take to be gone.
const GRACE: Duration = Duration::from_secs(2);
/// The least share of validation samples that it must get right.
const LEAST_ACCURACY: f64 = 0.97;
const POLL: Duration = Duration::from_millis(20);

/// Builds the binary as a user does and runs quickstart with nothing around it.
///
/// # Errors
/// A build that fails; another exit status than 0, or none in time; a last line that misses the contract; a process of
/// the binary that is still there afterwards.
pub fn check(root: &Path) -> anyhow::Result<()> {
    let words = "build --release --package trainyard";
    let built = cargo::executable(root, words, "trainyard")?;
    let folder = tempfile::tempdir().context("no temporary folder can be made")?;
    let place = folder.path().join("place");
    fs::create_dir(&place)?;
    let binary = place.join("trainyard");
    fs::copy(&built, &binary).with_context(|| format!("{} cannot be copied", built.display()))?;
    let last_words = run_alone(&binary, &["quickstart", "--json"], folder.path(), LIMIT)?;
    let facts = verdict(&last_words)?;
    println!("{facts}");
    Ok(())
}

/// Runs `binary` in its own folder and returns its stdout. Kills what is left of it.
fn run_alone(
    binary: &Path,
    arguments: &[&str],
    folder: &Path,
    limit: Duration,
) -> anyhow::Result<String> {
    let home = folder.join("home");
    let (out, err) = (folder.join("stdout"), folder.join("stderr"));
    fs::create_dir(&home)?;
    let mut command = Command::new(binary);
    command
        .args(arguments)
        .current_dir(binary.parent().context("a binary lies in a folder")?)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", &home)
        .stdin(Stdio::null())
        .stdout(File::create(&out)?)
        .stderr(File::create(&err)?);
    let mut child =
        start(&mut command).with_context(|| format!("{} cannot be started", binary.display()))?;
    let deadline = Instant::now() + limit;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if Instant::now() >= deadline => break None,
            None => thread::sleep(POLL),
        }
    };
    if status.is_none() {
        child.kill()?;
        child.wait()?;
    }
    let left = sweep(binary)?;
    let talk = fs::read(&err)?;
    let talk = String::from_utf8_lossy(&talk);
    match status {
        None => bail!(
            "it did not end within {} s; its last words:\n{}",
            limit.as_secs_f64(),
            tail(&talk)
        ),
        Some(status) => ensure!(
            status.success(),
            "it ended with {status}; its last words:\n{}",
            tail(&talk)
        ),
    }
    ensure!(
        left.is_empty(),
        "it left processes behind: {}",
        left.join(", ")
    );
    fs::read_to_string(&out).context("its stdout is not UTF-8")
}

/// Starts a program whose file has just been written: a process that another thread is starting may still hold it open.
fn start(command: &mut Command) -> io::Result<Child> {
    let deadline = Instant::now() + GRACE;
    loop {
        match command.spawn() {
            Err(error)
                if error.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < deadline =>
            {
                thread::sleep(POLL);
            }
            result => return result,
        }
    }
}

/// The processes of `binary` that outlive the grace, killed and named.
fn sweep(binary: &Path) -> anyhow::Result<Vec<String>> {
    let deadline = Instant::now() + GRACE;
    loop {
        let left = processes_of(binary)?;
        if left.is_empty() {
            return Ok(Vec::new());
        }
        if Instant::now() >= deadline {
            for (process, _) in &left {
                // It may have ended since it was seen.
                let _ = kill_process(*process, Signal::KILL);
            }
            return Ok(left.into_iter().map(|(_, name)| name).collect());
        }
        thread::sleep(POLL);
    }
}

/// The living processes whose program is the file `binary`, with their command lines.
fn processes_of(binary: &Path) -> anyhow::Result<Vec<(Pid, String)>> {
    let binary = binary.canonicalize()?;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("/proc cannot be read")? {
        let entry = entry?;
        let number = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let Some(process) = number.and_then(Pid::from_raw) else {
            continue;
        };
        // A process that has ended, or is another user's, has no program to read.
        let Ok(program) = fs::read_link(entry.path().join("exe")) else {
            continue;
        };
        if program == binary {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            found.push((
                process,
                format!("{} ({})", line.trim(), process.as_raw_nonzero()),
            ));
        }
    }
    Ok(found)
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// What the last line says, if it keeps the contract of `quickstart --json`.
fn verdict(stdout: &str) -> anyhow::Result<String> {
    let line = stdout
        .lines()
        .last()
        .context("it wrote nothing to stdout")?;
    let facts: Value =
        serde_json::from_str(line).with_context(|| format!("its last line is not JSON: {line}"))?;
    let number = |key: &str| {
        let value = facts[key].as_f64();
        value.with_context(|| format!("its last line has no number {key}: {line}"))
    };
    let word = |key: &str| {
        let value = facts[key].as_str().filter(|value| !value.is_empty());
        value.with_context(|| format!("its last line has no text {key}: {line}"))
    };
    let accuracy = number("validation_accuracy")?;
    ensure!(
        accuracy >= LEAST_ACCURACY,
        "validation accuracy {accuracy}, expected at least {LEAST_ACCURACY}"
    );
    let speed = number("samples_per_s")?;
    ensure!(speed > 0.0, "{speed} samples per second");
    let digest = word("parameters_digest")?;
    let checkpoint = word("checkpoint")?;
    Ok(format!(
        "validation accuracy {accuracy}, {speed:.0} samples/s, checkpoint {checkpoint}, parameters {digest}"
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const GOOD: &str = r#"{"validation_accuracy":0.98,"samples_per_s":9e3,"checkpoint":"c","parameters_digest":"d"}"#;

    #[test]
    fn the_last_line_decides() {
        assert!(verdict(&format!("{{\"step\":1}}\n{GOOD}\n")).is_ok());
        assert!(verdict(&format!("{GOOD}\n{{\"step\":1}}\n")).is_err());
    }

    #[test]
    fn a_line_that_misses_the_contract_is_refused() {
        for (bad, expected) in [
            (String::new(), "nothing"),
            ("trained!".to_string(), "not JSON"),
            ("[]".to_string(), "no number validation_accuracy"),
            (GOOD.replace("0.98", "0.9699"), "expected at least 0.97"),
            (
                GOOD.replace("0.98", "null"),
                "no number validation_accuracy",
            ),
            (GOOD.replace("9e3", "0"), "0 samples per second"),
            (GOOD.replace("\"c\"", "\"\""), "no text checkpoint"),
            (
                GOOD.replace("parameters_digest", "digest"),
                "no text parameters_digest",
            ),
        ] {
            let error = verdict(&bad).expect_err(&bad).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    /// Runs a shell script as if it were the binary.
    fn run_script(body: &str, limit: Duration) -> anyhow::Result<String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let script = folder.path().join("script");
        fs::write(&script, format!("#!/bin/sh\n{body}\n")).expect("a script");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))
            .expect("an executable script");
        run_alone(&script, &["quickstart"], folder.path(), limit)
    }

    #[test]
    fn a_program_runs_in_its_folder_with_an_empty_home_and_no_input() {
        let body = "ls -A \"$HOME\"; cat; test -f script; echo \"$1 $?\"; echo talk >&2";
        let output = run_script(body, LIMIT).expect("a script that ends well");
        assert_eq!(output, "quickstart 0\n");
    }

    #[test]
    fn a_program_that_fails_is_refused_with_its_last_words() {
        let error = run_script("echo out of steam >&2; exit 3", LIMIT).expect_err("exit status 3");
        assert!(error.to_string().contains("exit status: 3"), "{error}");
        assert!(error.to_string().contains("out of steam"), "{error}");
    }

    #[test]
    fn a_program_that_does_not_end_is_stopped() {
        let error =
            run_script("exec sleep 600", Duration::from_millis(100)).expect_err("a deadline");
        assert!(
            error.to_string().contains("did not end within 0.1 s"),
            "{error}"
        );
    }

    #[test]
    fn processes_are_found_by_their_program() {
        let own = std::env::current_exe().expect("this program has a file");
        let found = processes_of(&own).expect("a readable /proc");
        let this = rustix::process::getpid();
        assert!(
            found.iter().any(|(process, _)| *process == this),
            "{found:?}"
        );
        let folder = tempfile::tempdir().expect("a temporary folder");
        let copy = folder.path().join("copy");
        fs::copy(&own, &copy).expect("a copy");
        assert!(processes_of(&copy).expect("a readable /proc").is_empty());
    }

    #[test]
    fn a_process_that_outlives_its_parent_is_named_and_killed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let shell = folder.path().join("sh");
        fs::copy("/bin/sh", &shell).expect("a copy of the shell");
        let body = "(while :; do sleep 0.1; done) & exit 0";
        let error =
            run_alone(&shell, &["-c", body], folder.path(), LIMIT).expect_err("a process is left");
        assert!(
            error.to_string().contains("left processes behind"),
            "{error}"
        );
        assert!(sweep(&shell).expect("a readable /proc").is_empty());
    }
}
