//! A coordinator and two workers as real processes, for measurements.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long workers may take to join.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a command to its end; what it prints.
///
/// # Errors
/// It ends with another status than 0.
pub fn finish(mut command: Command) -> anyhow::Result<String> {
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{command:?}: {}", output.status);
    String::from_utf8(output.stdout).context("its stdout is not UTF-8")
}

/// `trainyard up` with two workers on a free port. Dropping it ends all.
pub struct Yard<'a> {
    binary: &'a Path,
    url: String,
    child: Child,
}

impl<'a> Yard<'a> {
    /// Starts it.
    ///
    /// # Errors
    /// It does not start, or the workers do not join.
    pub fn start(binary: &'a Path, folder: &Path) -> anyhow::Result<Self> {
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

    /// A command that talks to it and prints JSON.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.binary);
        command
            .args(["--json", "--coordinator", &self.url])
            .args(words);
        command.stdin(Stdio::null());
        command
    }
}

impl Yard<'_> {
    /// Imports the digits of the repository.
    ///
    /// # Errors
    /// They are refused.
    pub fn import_digits(&self, root: &Path) -> anyhow::Result<()> {
        let mut import = self.command(&["data", "import", "digits"]);
        import.arg(root.join("data/digits/digits.csv.gz"));
        import.args(["--shape", "1x8x8", "--max", "16"]);
        finish(import).map(drop)
    }
}

impl Drop for Yard<'_> {
    fn drop(&mut self) {
        // It has not been waited for, so its id is still its own.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}
