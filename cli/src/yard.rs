//! A yard: a coordinator and workers as child processes of this one, on this machine.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use serde::Deserialize;
use worker::machine;

use crate::stop::{Code, Stop};

/// How long children may take to end by themselves.
const FAREWELL: Duration = Duration::from_secs(8);

/// A coordinator and its workers. Dropping it kills what still runs.
pub struct Yard {
    /// Where the coordinator is.
    pub url: String,
    coordinator: Child,
    workers: Vec<Child>,
}

/// What a coordinator says once it serves.
#[derive(Deserialize)]
struct Serving {
    address: SocketAddr,
}

impl Yard {
    /// Starts processes that log to stderr by the filter `log`: a coordinator on `listen` and `workers` workers, among which the cores are dealt out, at least
    /// `least_threads` each. The calling thread must live as long as the yard: when it ends the children are killed.
    ///
    /// # Errors
    /// A port or data directory in use, or processes that do not start.
    pub fn start(
        listen: SocketAddr,
        data_dir: &Path,
        workers: u32,
        least_threads: u32,
        log: &str,
    ) -> Result<Self, Stop> {
        let parent = std::process::id().to_string();
        let mut coordinator = child(log)?;
        coordinator.args([
            "--json",
            "coordinator",
            "start",
            "--end-with-parent",
            &parent,
            "--listen",
        ]);
        coordinator
            .arg(listen.to_string())
            .arg("--data-dir")
            .arg(data_dir);
        let mut coordinator = spawn(coordinator.stdout(Stdio::piped()))?;
        let url = match serving(&mut coordinator) {
            Ok(address) => format!("http://{address}"),
            Err(_) => {
                end(&mut [&mut coordinator]);
                return Err(not_started(&mut coordinator));
            }
        };
        let mut yard = Yard {
            url,
            coordinator,
            workers: Vec::new(),
        };
        for (number, threads) in (1..).zip(deal(machine::cores(), workers, least_threads)) {
            let mut command = child(log)?;
            command.args([
                "worker",
                "start",
                "--end-with-parent",
                &parent,
                "--coordinator",
                &yard.url,
            ]);
            command.args([
                "--name",
                &format!("local-{number}"),
                "--devices",
                &format!("cpu:{threads}"),
            ]);
            command
                .args(["--sharing", &workers.to_string()])
                .arg("--data-dir")
                .arg(data_dir);
            yard.workers.push(spawn(&mut command)?);
        }
        Ok(yard)
    }

    /// A child that has ended although nobody asked it to, in words.
    pub fn ended(&mut self) -> Option<String> {
        let workers = self
            .workers
            .iter_mut()
            .zip(1..)
            .map(|(child, number)| (child, format!("local-{number}")));
        let mut all = workers.chain([(&mut self.coordinator, "the coordinator".to_string())]);
        all.find_map(|(child, name)| match child.try_wait() {
            Ok(Some(status)) => Some(format!("{name} ended unexpectedly: {status}")),
            Ok(None) | Err(_) => None,
        })
    }

    /// Ends the workers, then the coordinator, and waits for them: on another thread, so that this one can close its own
    /// connections to the coordinator, which waits for that.
    pub async fn stop(self) {
        // Dropping it is what ends it.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    fn end_all(&mut self) {
        let mut workers: Vec<&mut Child> = self.workers.iter_mut().collect();
        end(&mut workers);
        end(&mut [&mut self.coordinator]);
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        self.end_all();
    }
}

/// Asks children to end, waits, kills those that do not.
fn end(children: &mut [&mut Child]) {
    for child in children.iter_mut() {
        // One that is still to be waited for keeps its id, also if it has ended meanwhile.
        if let Ok(None) = child.try_wait() {
            let _ = kill_process(Pid::from_child(child), Signal::TERM);
        }
    }
    let deadline = Instant::now() + FAREWELL;
    for child in children.iter_mut() {
        while let Ok(None) = child.try_wait() {
            if Instant::now() >= deadline {
                // Both may fail only for a process that has ended.
                let _ = child.kill();
                let _ = child.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The cores for each worker: dealt out evenly, at least `least` each.
pub fn deal(cores: u32, workers: u32, least: u32) -> Vec<u32> {
    (0..workers)
        .map(|worker| (cores / workers + u32::from(worker < cores % workers)).max(least))
        .collect()
}

/// A command of this binary in a process group of its own, so that ctrl-C reaches this process alone.
fn child(log: &str) -> Result<Command, Stop> {
    let program = std::env::current_exe()
        .map_err(|error| Stop::failed(format!("cannot find this program: {error}")))?;
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).process_group(0);
    // As an argument and not in the environment, which ranks inherit: theirs is a log of its own.
    command.args(["--log", log]);
    Ok(command)
}

fn spawn(command: &mut Command) -> Result<Child, Stop> {
    command
        .spawn()
        .map_err(|error| Stop::failed(format!("cannot start a process: {error}")))
}

/// Waits until the coordinator says where it serves.
fn serving(coordinator: &mut Child) -> serde_json::Result<SocketAddr> {
    let mut line = String::new();
    if let Some(stdout) = coordinator.stdout.take() {
        // An error leaves the line empty.
        let _ = BufReader::new(stdout).read_line(&mut line);
    }
    serde_json::from_str::<Serving>(&line).map(|serving| serving.address)
}

/// Why a coordinator that has ended did not serve.
fn not_started(coordinator: &mut Child) -> Stop {
    let status = coordinator.try_wait().ok().flatten();
    let said = |code| Stop {
        code,
        message: String::new(),
    };
    match status.and_then(|status| status.code()) {
        // It has said why on stderr.
        Some(1) => said(Code::Failed),
        Some(2) => said(Code::Refused),
        _ => Stop::failed(match status {
            Some(status) => format!("the coordinator did not start: {status}"),
            None => "the coordinator did not start".to_string(),
        }),
    }
}

/// Asks the kernel to end this process when the thread of the process `parent` that started it ends.
///
/// # Errors
/// The kernel refuses, or the parent has gone already.
pub fn end_with_parent(parent: u32) -> Result<(), Stop> {
    set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(|error| Stop::failed(format!("cannot ask to end with the parent: {error}")))?;
    match getppid() {
        Some(found) if found.as_raw_nonzero().get().cast_unsigned() == parent => Ok(()),
        _ => Err(Stop::failed("the process that started this one has ended")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_dealt_out_and_nobody_goes_without() {
        assert_eq!(deal(8, 3, 1), [3, 3, 2]);
        assert_eq!(deal(2, 3, 1), [1, 1, 1]);
        assert_eq!(deal(1, 2, 1), [1, 1]);
    }
}
