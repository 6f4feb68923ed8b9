//! Rank processes: children of this binary, started by one thread that lives as long as the worker, because the
//! parent-death signal that a rank asks for fires when the thread that started it ends.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc as blocking;
use std::thread;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use spec::AttemptId;
use spec::rank::{Exit, Order, Progress, Report};
use tokio::sync::mpsc;
use tracing::warn;

/// The hidden command of the binary that runs one rank.
pub const RANK_COMMAND: &str = "rank";

/// How the C library of a rank keeps memory: one heap for all threads, and large blocks given back when they are dropped, so
/// that a rank takes what its plan says. Only glibc heeds it; what a person has set there stays.
const ALLOCATOR: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.malloc.arena_max=1:glibc.malloc.mmap_threshold=131072",
);

/// The target of a rank's events that tell of a step.
const STEP_TARGET: &str = " trainyard::step: ";
/// Lines of a rank's log that its exit report carries, and the most characters of each.
const LAST_LINES: usize = 20;
const LAST_LINE_CHARACTERS: usize = 1000;
/// The longest line kept of a rank's log or reports, in bytes.
const LONGEST_LINE: u64 = 1 << 20;

/// Which rank of which attempt.
pub(super) type RankKey = (AttemptId, u32);

/// A running rank.
pub(super) struct RankProcess {
    /// How far it has come.
    pub progress: Progress,
    control: ChildStdin,
    pidfd: OwnedFd,
}

/// Starts rank processes.
pub(super) struct Launcher {
    requests: blocking::Sender<(PathBuf, blocking::Sender<std::io::Result<Child>>)>,
    program: PathBuf,
    logs: PathBuf,
    events: mpsc::Sender<(RankKey, Report)>,
}

impl Launcher {
    /// Starts the launching thread. Rank reports go to `events`, logs into the folder `logs`.
    pub fn start(logs: PathBuf, events: mpsc::Sender<(RankKey, Report)>) -> std::io::Result<Self> {
        let program = std::env::current_exe()?;
        let (requests, inbox) =
            blocking::channel::<(PathBuf, blocking::Sender<std::io::Result<Child>>)>();
        thread::Builder::new()
            .name("launcher".to_string())
            .spawn(move || {
                for (program, reply) in inbox {
                    // The asker waits for the answer.
                    let _ = reply.send(command(program).spawn());
                }
            })?;
        Ok(Launcher {
            requests,
            program,
            logs,
            events,
        })
    }

    /// Starts a rank; its reports and its exit arrive as events.
    pub fn launch(&self, key: RankKey) -> Result<RankProcess, Exit> {
        self.spawn(key).map_err(|error| Exit {
            status: format!("could not be started: {error}"),
            clean: false,
            last_lines: Vec::new(),
        })
    }

    fn spawn(&self, key: RankKey) -> std::io::Result<RankProcess> {
        let (reply, answer) = blocking::channel();
        let ended = || std::io::Error::other("the launching thread has ended");
        self.requests
            .send((self.program.clone(), reply))
            .map_err(|_| ended())?;
        let child = answer.recv().map_err(|_| ended())??;
        self.watch(key, child)
    }

    /// Follows a rank's reports, log and end on threads of their own. If that fails, its pipes close and so it ends.
    fn watch(&self, key: RankKey, mut child: Child) -> std::io::Result<RankProcess> {
        let pid = Pid::from_child(&child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        let (control, reports, log) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(control), Some(reports), Some(log)) = (control, reports, log) else {
            return Err(std::io::Error::other("a pipe is missing"));
        };
        let file = self.log_file(key);
        let events = self.events.clone();
        let name = format!("{}/{}", key.0, key.1);
        let keeper = thread::Builder::new()
            .name(format!("log {name}"))
            .spawn(move || keep_log(log, file))?;
        thread::Builder::new()
            .name(format!("reports {name}"))
            .spawn(move || {
                pass_reports(key, reports, &events);
                let last_lines = keeper.join().unwrap_or_default();
                let exit = match child.wait() {
                    Ok(status) => Exit {
                        status: describe(status),
                        clean: status.success(),
                        last_lines,
                    },
                    Err(error) => Exit {
                        status: format!("unknown: {error}"),
                        clean: false,
                        last_lines,
                    },
                };
                // An agent that has left needs no report.
                let _ = events.blocking_send((key, Report::Exited(exit)));
            })?;
        Ok(RankProcess {
            progress: Progress::Starting,
            control,
            pidfd,
        })
    }

    /// A log that cannot be written is reported and done without.
    fn log_file(&self, (attempt, rank): RankKey) -> Option<File> {
        let folder = self.logs.join(attempt.job.to_string());
        let path = folder.join(format!("attempt-{}-rank-{rank}.log", attempt.number));
        let file = fs::create_dir_all(&folder).and_then(|()| File::create(&path));
        file.inspect_err(
            |error| warn!(path = %path.display(), %error, "cannot keep the rank's log"),
        )
        .ok()
    }
}

/// The command that runs a rank of the program at this path: of this very process, also when the file has been replaced.
fn command(program: PathBuf) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0(program)
        .arg(RANK_COMMAND)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let (variable, settings) = ALLOCATOR;
    if std::env::var_os(variable).is_none() {
        command.env(variable, settings);
    }
    command
}

impl RankProcess {
    /// Sends an order. A rank that has ended does not hear it; its exit is reported.
    pub fn order(&mut self, order: &Order) {
        let mut line = serde_json::to_vec(order).expect("an order is JSON");
        line.push(b'\n');
        if let Err(error) = self.control.write_all(&line) {
            warn!(%error, "rank does not take orders");
        }
    }

    /// Kills it. The process id cannot have been given to another: the descriptor knows.
    pub fn kill(&mut self) {
        // A process that has ended needs no signal.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

/// Reads one line of bounded length; longer ones are cut.
fn read_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    let read = reader
        .by_ref()
        .take(LONGEST_LINE)
        .read_until(b'\n', &mut line);
    match read {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(String::from_utf8_lossy(&line).trim_end().to_string()),
    }
}

fn pass_reports(key: RankKey, reports: impl Read, events: &mpsc::Sender<(RankKey, Report)>) {
    let mut reader = BufReader::new(reports);
    while let Some(line) = read_line(&mut reader) {
        match serde_json::from_str::<Report>(&line) {
            Ok(report) => {
                if events.blocking_send((key, report)).is_err() {
                    return;
                }
            }
            Err(error) => warn!(attempt = %key.0, rank = key.1, %error, "a line that is no report"),
        }
    }
}

fn keep_log(log: impl Read, mut file: Option<File>) -> Vec<String> {
    let mut reader = BufReader::new(log);
    let mut last = VecDeque::with_capacity(LAST_LINES);
    while let Some(line) = read_line(&mut reader) {
        if let Some(open) = &mut file
            && writeln!(open, "{line}").is_err()
        {
            file = None;
        }
        // The rows of steps are kept elsewhere, and say nothing of why a rank ended.
        if line.contains(STEP_TARGET) {
            continue;
        }
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(line.chars().take(LAST_LINE_CHARACTERS).collect());
    }
    last.into()
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => match signal_name(signal) {
            Some(name) => format!("signal {signal} ({name})"),
            None => format!("signal {signal}"),
        },
        (None, None) => status.to_string(),
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        15 => "SIGTERM",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::JobId;

    const RANK: RankKey = (
        AttemptId {
            job: JobId(1),
            number: 1,
        },
        0,
    );

    fn passed(bytes: &[u8]) -> Vec<Report> {
        let (events, mut inbox) = mpsc::channel(16);
        pass_reports(RANK, bytes, &events);
        std::iter::from_fn(|| inbox.try_recv().ok())
            .map(|(_, report)| report)
            .collect()
    }

    #[test]
    fn garbage_among_the_reports_is_passed_over() {
        let ready = Report::Ready {
            address: "127.0.0.1:1".to_string(),
        };
        let mut bytes = b"hello\n\n{}\n\xff\xfe\0\n[[[[\n".to_vec();
        bytes.extend(serde_json::to_vec(&ready).expect("a report is JSON"));
        bytes.push(b'\n');
        bytes.extend(vec![b'x'; 3 * LONGEST_LINE as usize]);
        bytes.push(b'\n');
        bytes.extend(serde_json::to_vec(&ready).expect("a report is JSON"));
        assert_eq!(passed(&bytes), [ready.clone(), ready]);
        assert_eq!(passed(b"{\"ready\":{\"addr"), []);
    }

    #[test]
    fn the_last_lines_of_a_log_are_few_and_short() {
        let mut log = String::new();
        for line in 0..100 {
            log.push_str(&format!("line {line}\n"));
        }
        log.push_str(&"\u{e9}".repeat(2 * LONGEST_LINE as usize));
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        let file = File::create(&path).expect("a file");
        let last = keep_log(log.as_bytes(), Some(file));
        assert_eq!(last.len(), LAST_LINES);
        assert!(
            last.iter()
                .all(|line| line.chars().count() <= LAST_LINE_CHARACTERS)
        );
        assert!(
            fs::read_to_string(&path)
                .expect("a log")
                .starts_with("line 0\nline 1\n")
        );
        // All of it fits into a message.
        let bytes: usize = last.iter().map(String::len).sum();
        assert!(bytes < proto::MAX_MESSAGE_BYTES / 100);
    }

    #[test]
    fn how_a_process_ended_is_said_in_words() {
        assert_eq!(describe(ExitStatus::from_raw(0)), "exit status 0");
        assert_eq!(describe(ExitStatus::from_raw(3 << 8)), "exit status 3");
        assert_eq!(describe(ExitStatus::from_raw(9)), "signal 9 (SIGKILL)");
        assert_eq!(describe(ExitStatus::from_raw(2)), "signal 2");
    }
}
