//! Processes of the real binary: commands that end within a deadline, daemons that end with their guard, and what
//! `/proc` knows of them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a command may take, and how long anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until there is something to see.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "no {what} within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The binary under test, in a folder that is its home too, with nothing else in its environment.
pub fn trainyard(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainyard"));
    command.env_clear().env("HOME", folder).current_dir(folder);
    command.stdin(Stdio::null());
    command
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Answer {
    /// The exit status; `None` for a signal.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Answer {
    /// The lines of stdout, of a command that must have been done.
    pub fn done(self) -> Vec<String> {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout.lines().map(str::to_string).collect()
    }

    /// The answer without its data.
    pub fn untold(self) -> Self {
        let stdout = String::new();
        Answer { stdout, ..self }
    }

    /// What a command says that must have ended with this status, without a panic and with nothing on stdout.
    pub fn ended(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        self.stderr
    }
}

/// Runs a command to its end.
pub fn answer(command: &mut Command) -> Answer {
    let mut daemon = Daemon::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let stdout = reader(daemon.child.stdout.take());
    let stderr = reader(daemon.child.stderr.take());
    let code = daemon.wait();
    let text = |reader: thread::JoinHandle<String>| reader.join().expect("a reader does not panic");
    Answer {
        code,
        stdout: text(stdout),
        stderr: text(stderr),
    }
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        }
        String::from_utf8(bytes).expect("what is printed is UTF-8")
    })
}

/// A process that goes on until it is asked to end. Dropping it kills it.
pub struct Daemon {
    child: Child,
    code: Option<Option<i32>>,
}

impl Daemon {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        let child = command.spawn().expect("the binary can be started");
        Daemon { child, code: None }
    }

    /// Starts it with its log in a file.
    pub fn logged(command: &mut Command, log: &Path) -> Self {
        let file = File::options().append(true).create(true).open(log);
        Daemon::start(command.stderr(file.expect("a log can be written")))
    }

    /// Starts a coordinator (alone or as part of `up`) that prints JSON; where it serves.
    pub fn serving(command: &mut Command, key: &str, log: &Path) -> (Self, SocketAddr) {
        let mut daemon = Daemon::logged(command.stdout(Stdio::piped()), log);
        let line = daemon.line();
        let said: serde_json::Value = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{error}: {line:?}\n{}", tail(log)));
        let address = said[key].as_str().expect("an address is text");
        let address = address.trim_start_matches("http://");
        (daemon, address.parse().expect("an address and a port"))
    }

    /// The next line of its stdout.
    pub fn line(&mut self) -> String {
        let stdout: &mut ChildStdout = self.child.stdout.as_mut().expect("stdout is a pipe");
        let mut line = String::new();
        BufReader::with_capacity(1, stdout)
            .read_line(&mut line)
            .expect("a pipe can be read");
        line
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Itself, as `/proc` knows it; `None` once it has ended.
    pub fn living(&self) -> Option<Process> {
        match self.code {
            None => Process::of(self.child.id()),
            Some(_) => None,
        }
    }

    /// Itself, as `/proc` knows it. It must not have ended.
    pub fn process(&self) -> Process {
        self.living().expect("it runs")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        assert_eq!(self.code, None, "it has ended");
        kill_process(Pid::from_child(&self.child), signal).expect("a child can be signalled");
    }

    /// Waits for its end: its exit status, `None` after a signal.
    pub fn wait(&mut self) -> Option<i32> {
        if let Some(code) = self.code {
            return code;
        }
        let what = format!("end of process {}", self.child.id());
        let status = until(&what, || self.child.try_wait().expect("a child"));
        self.code = Some(status.code());
        status.code()
    }

    /// Signals and waits.
    pub fn end(&mut self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        self.wait()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.code.is_none() {
            // One that has ended by itself cannot be killed and need not be.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A process that need not be a child of this one. Its id may be given to another, its start time then differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    pid: u32,
    parent: u32,
    started: u64,
}

impl Process {
    /// The living process of this id.
    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may hold anything.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let is_dead = matches!(*fields.first()?, "Z" | "X");
        let (parent, started) = (fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?);
        (!is_dead).then_some(Process {
            pid,
            parent,
            started,
        })
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        Process::of(self.pid).is_some_and(|now| now.started == self.started)
    }

    /// Its living children.
    pub fn children(&self) -> Vec<Process> {
        let all = fs::read_dir("/proc").expect("/proc is there");
        let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter_map(Process::of)
            .filter(|process| process.parent == self.pid)
            .collect()
    }

    /// Its children, theirs, and so on.
    pub fn descendants(&self) -> Vec<Process> {
        let children = self.children();
        let theirs: Vec<Process> = children.iter().flat_map(Process::descendants).collect();
        [children, theirs].concat()
    }

    /// Whether a word stands on its command line.
    pub fn runs(&self, word: &str) -> bool {
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        line.split(|&byte| byte == 0)
            .any(|argument| argument == word.as_bytes())
    }

    /// Sends a signal. It must be alive.
    pub fn signal(&self, signal: Signal) {
        assert!(self.is_alive(), "{self:?} has ended");
        kill_process(self.id(), signal).expect("it can be signalled");
    }

    /// Kills it unless it has ended.
    pub fn end(&self) {
        if self.is_alive() {
            // It may end between the look and the signal.
            let _ = kill_process(self.id(), Signal::KILL);
        }
    }

    fn id(&self) -> Pid {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        pid.expect("a process id")
    }
}

/// Waits until none of the processes is left.
pub fn all_gone(processes: &[Process]) {
    let mut left = processes.to_vec();
    until("end of all processes that were started", || {
        left.retain(Process::is_alive);
        left.is_empty().then_some(())
    });
}

/// The last lines of a log that are not about single steps.
pub fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let is_step = |line: &&str| line.contains("trainyard::step:");
    let lines: Vec<&str> = text.lines().filter(|line| !is_step(line)).collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}
