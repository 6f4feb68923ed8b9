//! `cargo xtask latency`: how long the digits job takes from submit to its first step, on real processes of this machine.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::measured::Measured;
use crate::yard::Yard;
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
    yard.import_digits(root)?;
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
