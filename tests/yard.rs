//! A yard for tests: a coordinator and workers as real processes on a free port, their data in a temporary folder.

use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Answer, Daemon, Process, answer, tail, trainyard, until};

/// The columns of a row that tell times.
const TIMING: [&str; 6] = [
    "samples_per_s",
    "data_ms",
    "forward_ms",
    "backward_ms",
    "reduce_ms",
    "update_ms",
];

/// A coordinator and workers. Dropping it kills them.
pub struct Yard {
    folder: TempDir,
    address: SocketAddr,
    coordinator: Option<Daemon>,
    workers: Vec<(String, Daemon)>,
}

impl Yard {
    /// A coordinator, and a worker for each number of thread slots, called `w1`, `w2` and so on.
    pub fn new(slots: &[u32]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut yard = Yard {
            folder,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            coordinator: None,
            workers: Vec::new(),
        };
        yard.start_coordinator();
        for (number, &slots) in (1..).zip(slots) {
            yard.add_worker(&format!("w{number}"), slots);
        }
        yard
    }

    /// A yard with the digits.
    pub fn with_digits(slots: &[u32]) -> Self {
        let yard = Yard::new(slots);
        yard.import_digits();
        yard
    }

    /// Starts the coordinator; once it has an address, on that.
    pub fn start_coordinator(&mut self) {
        let mut command = trainyard(self.folder());
        let listen = self.address.to_string();
        command.args(["--json", "coordinator", "start", "--listen", &listen]);
        command.arg("--data-dir").arg(self.data_dir());
        let (coordinator, address) = Daemon::serving(&mut command, "address", &self.log());
        (self.coordinator, self.address) = (Some(coordinator), address);
    }

    /// The coordinator's process.
    pub fn coordinator(&mut self) -> &mut Daemon {
        self.coordinator.as_mut().expect("the coordinator runs")
    }

    /// Ends the coordinator well.
    pub fn stop_coordinator(&mut self) {
        let code = self.coordinator().end(Signal::TERM);
        self.coordinator = None;
        assert_eq!(code, Some(0), "{}", tail(&self.log()));
    }

    /// Starts a worker and waits until the coordinator knows it.
    pub fn add_worker(&mut self, name: &str, slots: u32) {
        let mut command = self.command(&["worker", "start", "--name", name]);
        command.args(["--devices", &format!("cpu:{slots}")]);
        command.arg("--data-dir").arg(self.data_dir());
        let worker = Daemon::logged(&mut command, &self.log());
        self.workers.push((name.to_string(), worker));
        until("connected worker", || {
            let workers = self.list(&["worker", "list"]);
            let is_it = |worker: &Value| worker["name"] == name && worker["state"] == "connected";
            workers.iter().any(is_it).then_some(())
        });
    }

    /// Waits until so many workers are connected and all of their slots are free.
    pub fn until_idle(&self, workers: usize) {
        let is_idle = |worker: &Value| {
            worker["state"] == "connected" && worker["free_threads"] == worker["threads"]
        };
        until(&format!("{workers} idle workers"), || {
            let all = self.list(&["worker", "list"]);
            (all.len() == workers && all.iter().all(is_idle)).then_some(())
        });
    }

    /// A worker's process.
    pub fn worker(&mut self, name: &str) -> &mut Daemon {
        let mut workers = self.workers.iter_mut();
        let found = workers.find(|(known, _)| known == name);
        &mut found.expect("the worker was added").1
    }

    /// All rank processes: the children of the workers.
    pub fn ranks(&self) -> Vec<Process> {
        let workers = self.workers.iter();
        let workers = workers.filter_map(|(_, worker)| worker.living());
        workers.flat_map(|worker| worker.children()).collect()
    }

    /// Where the yard's files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The data directory of coordinator and workers.
    pub fn data_dir(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// What the daemons log.
    pub fn log(&self) -> PathBuf {
        self.folder().join("log")
    }

    /// The coordinator's URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes a file into the yard's folder; its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.folder().join(name);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder");
        fs::write(&path, content).expect("a file can be written");
        path.display().to_string()
    }

    /// A command that talks to this coordinator.
    pub fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = trainyard(self.folder());
        command
            .env("TRAINYARD_COORDINATOR", self.url())
            .args(arguments);
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Answer {
        answer(&mut self.command(arguments))
    }

    /// The JSON objects that a command prints; it must be done.
    pub fn list(&self, arguments: &[&str]) -> Vec<Value> {
        let lines = self.run(&[arguments, &["--json"]].concat()).done();
        let parse = |line: &String| serde_json::from_str(line).expect("each line is JSON");
        lines.iter().map(parse).collect()
    }

    /// The one JSON object that a command prints; it must be done.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let mut objects = self.list(arguments);
        assert_eq!(objects.len(), 1, "{arguments:?}");
        objects.remove(0)
    }

    /// Imports the digits of the repository.
    pub fn import_digits(&self) -> Value {
        let source = repository("data/digits/digits.csv.gz");
        let flags = ["--shape", "1x8x8", "--max", "16"];
        self.json(&[&["data", "import", "digits", &source][..], &flags].concat())
    }

    /// Submits a job; its id.
    pub fn submit(&self, job: &str, set: &[&str]) -> String {
        let job = self.json(&with_set(&["submit", job], set));
        text(&job["id"])
    }

    /// Waits for a job that must succeed; the job.
    pub fn succeeded(&self, job: &str) -> Value {
        let ended = self.json(&["job", "wait", job]);
        assert_eq!(ended["state"], "succeeded", "{ended}");
        ended
    }

    /// Waits until a job is as wished; the job.
    pub fn until_job(&self, job: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        until(&format!("{job} that {what}"), || {
            let now = self.json(&["job", "show", job]);
            is(&now).then_some(now)
        })
    }

    /// Waits until a job runs and has a checkpoint; the job.
    pub fn until_checkpoint(&self, job: &str) -> Value {
        self.until_job(job, "has a checkpoint", |now| {
            assert_ne!(now["state"], "succeeded", "it was too short for this test");
            now["state"] == "running" && !happened(now, "saved checkpoint").is_empty()
        })
    }

    /// The exact columns of all rows of a job, as they are printed.
    pub fn exact_rows(&self, job: &str) -> Vec<String> {
        exact(self.run(&["job", "metrics", job, "--json"]).done())
    }

    /// The exact columns of a training by `trainyard run`.
    pub fn run_rows(&self, job: &str, set: &[&str], data_dir: Option<&Path>) -> Vec<String> {
        let mut arguments = with_set(&["run", job, "--json"], set);
        let data_dir = data_dir.map(|dir| dir.display().to_string());
        if let Some(dir) = &data_dir {
            arguments.extend(["--data-dir", dir]);
        }
        exact(self.run(&arguments).done())
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the end of the yard's log:\n{}", tail(&self.log()));
        }
    }
}

/// A command with `--set` flags.
pub fn with_set<'a>(command: &[&'a str], set: &[&'a str]) -> Vec<&'a str> {
    let flags = set.iter().flat_map(|set| ["--set", set]);
    command.iter().copied().chain(flags).collect()
}

/// The occurrences in a job's history that contain a text.
pub fn happened(job: &Value, what: &str) -> Vec<String> {
    let history = job["history"].as_array().expect("a job has a history");
    let texts = history.iter().map(|occurrence| text(&occurrence["text"]));
    texts.filter(|text| text.contains(what)).collect()
}

/// A JSON string.
pub fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_string()
}

/// The newest pack of a store, and its length.
pub fn newest_pack(data_dir: &Path) -> (PathBuf, u64) {
    let packs = fs::read_dir(data_dir.join("store/packs")).expect("the packs");
    let path = packs.map(|entry| entry.expect("a pack").path()).max();
    let path = path.expect("there is a pack");
    let length = fs::metadata(&path).expect("a pack").len();
    (path, length)
}

/// Flips a bit of a file.
pub fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .expect("the file");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("a byte");
    file.write_all_at(&[byte[0] ^ 1], at).expect("a byte");
}

/// A path of the repository.
pub fn repository(path: &str) -> String {
    format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))
}

/// Rows without the columns that tell times, each column as it was printed: numbers are not read, so that no digit is lost.
fn exact(rows: Vec<String>) -> Vec<String> {
    let exact = |row: &String| {
        let columns = row.trim_matches(['{', '}']).split(',');
        let is_exact = |column: &&str| {
            let key = column.split(':').next().unwrap_or_default();
            !TIMING.contains(&key.trim_matches('"'))
        };
        columns.filter(is_exact).collect::<Vec<_>>().join(",")
    };
    rows.iter().map(exact).collect()
}
