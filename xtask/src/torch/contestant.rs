//! One side of a comparison: a process that reports its first steps, and then measures when it is its turn.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context;
use serde_json::Value;

use super::environment::{Environment, SCRIPT};

/// Settings under which glibc keeps the memory that PyTorch drops: it asks for all activations anew in each step, and without
/// them much of its time goes into fresh pages.
const KEPT_HEAP: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=4294967296",
);

/// What all contestants of a comparison have in common.
pub struct Side<'a> {
    pub root: &'a Path,
    pub ours: &'a Path,
    pub environment: &'a Environment,
    pub job: &'a str,
    pub input: &'a str,
    pub classes: &'a str,
    /// Whether PyTorch has a second layout for it.
    pub pictures: bool,
    pub threads: u32,
    /// What our second contestant cuts a batch into.
    pub microbatches: u32,
    pub file: &'a Path,
}

/// How a contestant's first steps went.
#[derive(Debug, Clone, Default)]
pub struct FirstSteps {
    /// Its version.
    pub version: String,
    /// Which of its kernels run, where it says so.
    pub kernels: String,
    /// The loss of each batch before the step on it.
    pub losses: Vec<f64>,
    /// The loss of the first batch after these steps.
    pub loss_after: f64,
    /// What they took of memory at most, above what the process had when its batches were read.
    pub memory_bytes: f64,
}

/// A process that measures when told to. Dropping it ends it.
pub struct Contestant {
    /// What the table calls it.
    pub name: String,
    /// How its first steps went.
    pub first: FirstSteps,
    child: Child,
    turns: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

/// Ours with one microbatch, ours with several, and then each of PyTorch's.
///
/// # Errors
/// One that does not start or fails in its first steps.
pub fn all(side: &Side) -> anyhow::Result<Vec<Contestant>> {
    let mut contestants = Vec::new();
    for microbatches in [1, side.microbatches] {
        let mut command = Command::new(side.ours);
        command
            .args([side.job, side.input, side.classes])
            .arg(side.file)
            .args([side.threads.to_string(), microbatches.to_string()]);
        let name = match microbatches {
            1 => "trainyard".to_string(),
            several => format!("trainyard, {several} microbatches"),
        };
        contestants.push(start(name, command, side.root)?);
    }
    let layouts: &[&str] = if side.pictures {
        &["default", "channels_last"]
    } else {
        &["default"]
    };
    for heap in [None, Some(KEPT_HEAP)] {
        for &layout in layouts {
            let mut command = Command::new(&side.environment.python);
            command
                .args([SCRIPT, "run", side.job, side.input, side.classes])
                .arg(side.file)
                .args([&side.threads.to_string(), layout])
                .envs(heap);
            let layout = if layout == "default" {
                ""
            } else {
                ", channels_last"
            };
            let heap = heap.map_or("", |_| ", kept heap");
            contestants.push(start(format!("PyTorch{layout}{heap}"), command, side.root)?);
        }
    }
    Ok(contestants)
}

fn start(name: String, mut command: Command, root: &Path) -> anyhow::Result<Contestant> {
    command
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("{name} cannot be started"))?;
    let turns = child.stdin.take().context("it has a pipe")?;
    let answers = BufReader::new(child.stdout.take().context("it has a pipe")?).lines();
    let mut contestant = Contestant {
        name,
        first: FirstSteps::default(),
        child,
        turns,
        answers,
    };
    let said = contestant.answer()?;
    let text = |key: &str| said[key].as_str().unwrap_or_default().to_string();
    let losses = said["losses"].as_array().context("it says its losses")?;
    contestant.first = FirstSteps {
        version: text("version"),
        kernels: text("kernels"),
        losses: losses.iter().map(number).collect(),
        loss_after: number(&said["loss_after"]),
        memory_bytes: number(&said["memory_bytes"]),
    };
    Ok(contestant)
}

/// A JSON number; what is none is not a number.
fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

impl Contestant {
    /// Samples per second over so many seconds.
    ///
    /// # Errors
    /// It has ended.
    pub fn rate(&mut self, seconds: f64) -> anyhow::Result<f64> {
        writeln!(self.turns, "{seconds}").with_context(|| format!("{} has ended", self.name))?;
        Ok(number(&self.answer()?["samples_per_s"]))
    }

    fn answer(&mut self) -> anyhow::Result<Value> {
        let line = self
            .answers
            .next()
            .with_context(|| format!("{} has ended", self.name))??;
        serde_json::from_str(&line).with_context(|| format!("{} says {line}", self.name))
    }
}

impl Drop for Contestant {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(script: &str) -> anyhow::Result<Contestant> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        start("a script".to_string(), command, Path::new("/"))
    }

    #[test]
    fn a_contestant_tells_its_first_steps_and_measures_in_turn() {
        let script = r#"echo '{"version":"1","losses":[2.5,null],"loss_after":1,"memory_bytes":4096}'
            while read seconds; do echo "{\"samples_per_s\":${seconds}0}"; done"#;
        let mut contestant = says(script).expect("it starts");
        assert_eq!(contestant.first.losses[0], 2.5);
        assert!(contestant.first.losses[1].is_nan());
        assert_eq!(contestant.first.memory_bytes, 4096.0);
        assert_eq!(contestant.rate(4.0).expect("it lives"), 40.0);
        assert_eq!(contestant.rate(5.0).expect("it lives"), 50.0);
    }

    #[test]
    fn a_contestant_that_ends_or_talks_nonsense_is_an_error_with_its_name() {
        let error = says("true").err().expect("it says nothing");
        assert_eq!(error.to_string(), "a script has ended");
        let error = says("echo hello").err().expect("it says nonsense");
        assert_eq!(error.to_string(), "a script says hello");
    }
}
