//! `cargo xtask latency`: how long the digits job takes from submit to its first step, on real processes of this machine.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::measured::Measured;
use crate::{cargo, scene};

/// Measure the time from submit to the first step of the digits job, on two idle workers of one thread
///
/// Each measurement begins before `trainyard submit --watch` is started and ends when the row of step 1 is on its stdout.
#[derive(clap::Args)]
pub struct Arguments {
    /// Jobs that are submitted, one after the other.
    #[arg(long, value_name = "N", default_value_t = 20)]
    jobs: usize,
}

/// What the 95th percentile must stay under.
const BAR: Duration = Duration::from_millis(300);

/// How long workers may take to join.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the yard is left alone before each job.
const IDLE: Duration = Duration::from_millis(300);

/// Submits the jobs and prints what docs/benchmarks.md has.
///
/// # Errors
/// A build that fails, a job that fails, the bar missed.
pub fn run(arguments: &Arguments, root: &Path) -> anyhow::Result<()> {
    let binary = cargo::executable(root, "build --release --package trainyard", "trainyard")?;
    let folder = tempfile::tempdir().context("no temporary folder can be made")?;
    let scene = scene::rows(root);
    let yard = Yard::start(&binary, folder.path())?;
    let digits = root.join("data/digits/digits.csv.gz");
    let mut import = yard.command(&["data", "import", "digits"]);
    import.arg(digits).args(["--shape", "1x8x8", "--max", "16"]);
    finish(import)?;
    let mut times = Measured::default();
    for _ in 0..arguments.jobs.max(1) {
        thread::sleep(IDLE);
        let job = root.join("jobs/digits-cnn.toml");
        times.push(first_step(&yard, &job)?.as_secs_f64() * 1e3);
    }
    drop(yard);
    scene::print(&scene);
    println!(
        "| submit to first step, {} jobs | ms |\n| --- | ---: |",
        arguments.jobs.max(1)
    );
    for (name, value) in [
        ("least", times.least()),
        ("median", times.median()),
        ("95th percentile", times.quantile(0.95)),
        ("most", times.most()),
    ] {
        println!("| {name} | {value:.1} |");
    }
    let slow = times.quantile(0.95);
    let bar = BAR.as_secs_f64() * 1e3;
    ensure!(
        slow < bar,
        "{slow:.0} ms at the 95th percentile, the bar is {bar} ms"
    );
    Ok(())
}

/// The time from before the command is started until the row of step 1 is there. Returns once the job has ended.
fn first_step(yard: &Yard, job: &Path) -> anyhow::Result<Duration> {
    let mut command = yard.command(&["submit", "--watch"]);
    let began = Instant::now();
    let mut child = command.arg(job).stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().context("it has a pipe")?;
    let mut lines = BufReader::new(stdout).lines();
    let took = loop {
        let Some(line) = lines.next() else { break None };
        let line: Value = serde_json::from_str(&line?)?;
        if line.get("loss").is_some() {
            ensure!(line["step"] == 1, "the first row is {line}");
            break Some(began.elapsed());
        }
    };
    lines.for_each(drop);
    let status = child.wait()?;
    ensure!(status.success(), "the job did not succeed: {status}");
    took.context("the job has no row")
}

/// Runs a command to its end; what it prints.
fn finish(mut command: Command) -> anyhow::Result<String> {
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{command:?}: {}", output.status);
    String::from_utf8(output.stdout).context("its stdout is not UTF-8")
}

/// `trainyard up` with two workers on a free port. Dropping it ends all.
struct Yard<'a> {
    binary: &'a Path,
    url: String,
    child: Child,
}

impl<'a> Yard<'a> {
    fn start(binary: &'a Path, folder: &Path) -> anyhow::Result<Self> {
        let mut up = Command::new(binary);
        up.args(["--json", "--log", "warn", "up", "--workers", "2"]);
        up.args(["--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.join("data"));
        up.env("TRAINYARD_LOG", "warn").stdin(Stdio::null());
        let mut child = up.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(stdout) = &mut child.stdout {
            let mut byte = [0];
            while stdout.read(&mut byte)? == 1 && byte[0] != b'\n' {
                line.push(char::from(byte[0]));
            }
        }
        let mut yard = Yard {
            binary,
            url: String::new(),
            child,
        };
        let running: Value = serde_json::from_str(&line).context("trainyard up did not start")?;
        let url = running["coordinator"]
            .as_str()
            .context("it says where it is")?;
        yard.url = url.to_string();
        let deadline = Instant::now() + PATIENCE;
        while finish(yard.command(&["worker", "list"]))?
            .matches("\"connected\"")
            .count()
            < 2
        {
            if Instant::now() >= deadline {
                bail!("the workers did not join within {PATIENCE:?}");
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(yard)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.binary);
        command
            .args(["--json", "--coordinator", &self.url])
            .args(words);
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for Yard<'_> {
    fn drop(&mut self) {
        // It has not been waited for, so its id is still its own.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}
