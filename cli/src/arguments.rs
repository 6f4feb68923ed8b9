//! What people type. The doc comments are the help.

mod data;
mod shapes;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use spec::bytes::Bytes;

pub use data::{Data, DataImport, Delimiter, Kind, Tokenizer};
pub use shapes::Shapes;

/// Train convolutional networks on a cluster: the same bits whatever fails and however many ranks run.
#[derive(Debug, Parser)]
#[command(
    name = "trainyard",
    version,
    max_term_width = 110,
    after_help = "Begin with:\n  trainyard quickstart                      a whole training on this machine, from data to checkpoint\n  trainyard up --workers 2                  a coordinator and two workers here, until ctrl-C\n  trainyard submit jobs/digits-cnn.toml --watch\n\nExit status: 0 done; 1 the job failed or was cancelled, or a verification failed; 2 wrong use, refused input,\nunknown name, port in use; 3 the coordinator cannot be reached; 130 ctrl-C."
)]
pub struct Arguments {
    /// Where the coordinator is
    #[arg(long, global = true, value_name = "URL", env = "TRAINYARD_COORDINATOR", default_value = DEFAULT_COORDINATOR)]
    pub coordinator: String,
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    pub json: bool,
    /// Which log lines go to stderr, as in "info" or "worker=debug,warn"
    #[arg(long, global = true, value_name = "FILTER", env = "TRAINYARD_LOG")]
    pub log: Option<String>,
    #[command(subcommand)]
    pub command: Command,
}

/// Where a coordinator listens if nothing else is said.
pub const DEFAULT_COORDINATOR: &str = "http://127.0.0.1:7070";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a small network on this machine from data to verified checkpoint, then stop everything
    #[command(
        after_help = "Example:\n  trainyard quickstart --ranks 2\n\nThe data directory is kept: `trainyard up --data-dir DIR` goes on from it."
    )]
    Quickstart(Quickstart),
    /// Run a coordinator and workers on this machine until ctrl-C
    #[command(
        after_help = "Example:\n  trainyard up --workers 3\nthen, in another terminal:\n  trainyard data import fashion-mnist ./fashion-mnist --kind idx\n  trainyard submit jobs/fashion-cnn.toml --watch"
    )]
    Up(Up),
    /// Train in this process with one rank: the same bits as on a cluster
    #[command(
        after_help = "Examples:\n  trainyard run jobs/digits-cnn.toml\n  trainyard run jobs/digits-cnn.toml --set training.epochs=3 --json"
    )]
    Run(Run),
    /// The server that accepts jobs and decides what runs where
    #[command(subcommand)]
    Coordinator(Coordinator),
    /// The agents that offer devices and run ranks
    #[command(subcommand)]
    Worker(Worker),
    /// Show what a job would compute and need: shapes, parameters, FLOPs, memory
    #[command(
        after_help = "Examples:\n  trainyard plan jobs/fashion-cnn.toml\n  trainyard plan jobs/fashion-cnn.toml --input 1x28x28 --classes 10     no coordinator needed\n  trainyard plan jobs/char-lstm.toml --vocabulary 65                   nor a text"
    )]
    Plan(Plan),
    /// Submit a job; prints its id
    #[command(
        after_help = "Examples:\n  trainyard submit jobs/digits-cnn.toml --watch\n  trainyard submit jobs/digits-cnn.toml --set training.epochs=3 --set resources.ranks=1"
    )]
    Submit(Submit),
    /// Jobs: what runs, how far, how well
    #[command(subcommand)]
    Job(Job),
    /// Datasets: bring them in, look at them
    #[command(subcommand)]
    Data(Data),
    /// Checkpoints: what is kept, and whether it is whole
    #[command(subcommand)]
    Checkpoint(Checkpoint),
    /// Trained models
    #[command(subcommand)]
    Model(Model),
    /// What this machine has: processor, memory, disk, ports, GPU libraries
    Doctor(Doctor),
    /// One rank of a job; started by a worker
    #[command(hide = true)]
    Rank,
}

#[derive(Debug, Args)]
pub struct Quickstart {
    /// Workers of one rank each
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=8))]
    pub ranks: u32,
    /// Where data, checkpoints and logs are kept
    #[arg(long, value_name = "DIR", default_value = "trainyard-data")]
    pub data_dir: PathBuf,
}

#[derive(Debug, Args)]
pub struct Up {
    /// Workers to start; the cores are dealt out among them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub workers: u32,
    /// Where data, checkpoints and logs are kept
    #[arg(long, value_name = "DIR", default_value = "trainyard-data")]
    pub data_dir: PathBuf,
    /// Where the coordinator listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7070")]
    pub listen: SocketAddr,
}

#[derive(Debug, Args)]
pub struct Run {
    /// The job file
    #[arg(value_name = "JOB.toml")]
    pub job: PathBuf,
    /// Change a key of the job file, as in training.epochs=3
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Where data is read and checkpoints are kept if no coordinator answers
    #[arg(long, value_name = "DIR", default_value = "trainyard-data")]
    pub data_dir: PathBuf,
}

#[derive(Debug, Subcommand)]
pub enum Coordinator {
    /// Serve until SIGTERM or ctrl-C
    #[command(
        after_help = "Example:\n  trainyard coordinator start --listen 127.0.0.1:7070 --data-dir /var/lib/trainyard"
    )]
    Start(CoordinatorStart),
}

#[derive(Debug, Args)]
pub struct CoordinatorStart {
    /// Where to listen; port 0 takes a free one, which is printed
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7070")]
    pub listen: SocketAddr,
    /// Where the store is
    #[arg(long, value_name = "DIR", default_value = "trainyard-data")]
    pub data_dir: PathBuf,
    /// End when the process of this id, which started this one, ends
    #[arg(long, hide = true, value_name = "PID")]
    pub end_with_parent: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub enum Worker {
    /// Offer this machine's devices until SIGTERM or ctrl-C
    #[command(
        after_help = "Example:\n  trainyard worker start --coordinator http://10.0.0.1:7070 --devices cpu:8"
    )]
    Start(WorkerStart),
    /// The workers that are known, and what they run
    List,
}

#[derive(Debug, Args)]
pub struct WorkerStart {
    /// What to offer: cpu:N for N thread slots, or auto for one a core
    #[arg(long, value_name = "DEVICES", default_value = "auto")]
    pub devices: String,
    /// The worker's name, unique among those connected [default: the host's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Where the logs of ranks are kept
    #[arg(long, value_name = "DIR", default_value = "trainyard-data")]
    pub data_dir: PathBuf,
    /// Workers that share this machine's memory
    #[arg(long, hide = true, default_value_t = 1)]
    pub sharing: u32,
    /// End when the process of this id, which started this one, ends
    #[arg(long, hide = true, value_name = "PID")]
    pub end_with_parent: Option<u32>,
}

#[derive(Debug, Args)]
pub struct Plan {
    /// The job file
    #[arg(value_name = "JOB.toml")]
    pub job: PathBuf,
    /// Change a key of the job file, as in training.batch_size=512
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    #[command(flatten)]
    pub shapes: Shapes,
    /// The most memory that a rank may take, as 2GiB [default: what the workers have]
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Bytes>,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// The data directory whose disk is looked at
    #[arg(long, value_name = "DIR", default_value = "trainyard-data")]
    pub data_dir: PathBuf,
}

#[derive(Debug, Args)]
pub struct Submit {
    /// The job file
    #[arg(value_name = "JOB.toml")]
    pub job: PathBuf,
    /// Change a key of the job file, as in training.epochs=3
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Stay and show how it fares until it ends
    #[arg(long)]
    pub watch: bool,
}

#[derive(Debug, Subcommand)]
pub enum Job {
    /// All jobs, newest last
    List,
    /// One job: where it stands, why, and what happened to it
    Show(JobRef),
    /// Show a job's progress until it ends
    Watch(JobRef),
    /// Wait until a job has ended; the exit status tells how
    Wait(JobRef),
    /// The metric rows of a job's steps
    Metrics(JobRef),
    /// End a job
    Cancel(JobRef),
}

#[derive(Debug, Args)]
pub struct JobRef {
    /// A job's id, as in job-7, or a name, which means its newest job
    #[arg(value_name = "JOB")]
    pub job: String,
}

#[derive(Debug, Subcommand)]
pub enum Checkpoint {
    /// Checkpoints of all jobs, or of one
    List {
        /// A job's id or name
        #[arg(value_name = "JOB")]
        job: Option<String>,
    },
    /// One checkpoint: job, step, model, preprocessing
    Show(CheckpointRef),
    /// Read every byte of a checkpoint and compare it with its digests
    Verify(CheckpointRef),
    /// Write a checkpoint's model as a file for PyTorch or for ONNX runtimes
    #[command(
        after_help = "Examples:\n  trainyard checkpoint export fashion-cnn -o fashion-cnn.safetensors     for PyTorch's load_state_dict\n  trainyard checkpoint export fashion-cnn -o fashion-cnn.onnx"
    )]
    Export(CheckpointExport),
    /// Bring in a model from PyTorch: a state dict that was saved with safetensors
    #[command(
        after_help = "Example:\n  trainyard checkpoint import weights.safetensors --job jobs/fashion-cnn.toml\n  trainyard model evaluate DIGEST"
    )]
    Import(CheckpointImport),
    /// Delete a checkpoint of a job that has ended, or one that was imported
    Delete(CheckpointRef),
}

#[derive(Debug, Args)]
pub struct CheckpointExport {
    /// JOB (its newest), JOB@STEP, JOB@best, or at least 8 hex digits of its digest
    #[arg(value_name = "CHECKPOINT")]
    pub checkpoint: String,
    /// What to write [default: what FILE's name ends with]
    #[arg(long, value_enum)]
    pub format: Option<WeightsFormat>,
    /// The file to write; one of that name is replaced
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// The ONNX graph takes values that are normalised already, and not those of the dataset
    #[arg(long)]
    pub preprocessed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum WeightsFormat {
    /// The state dict of PyTorch's nn.Sequential of the same layers
    Safetensors,
    /// A graph that takes raw samples and gives logits
    Onnx,
}

#[derive(Debug, Args)]
pub struct CheckpointImport {
    /// A file that has PyTorch's name for every tensor of the model
    #[arg(value_name = "FILE.safetensors")]
    pub file: PathBuf,
    /// The job whose model it is, on data that the coordinator has
    #[arg(long, value_name = "JOB.toml")]
    pub job: PathBuf,
    /// Change a key of the job file, as in data.normalize=none
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, Args)]
pub struct CheckpointRef {
    /// JOB (its newest), JOB@STEP, JOB@best, or at least 8 hex digits of its digest
    #[arg(value_name = "CHECKPOINT")]
    pub checkpoint: String,
}

#[derive(Debug, Subcommand)]
pub enum Model {
    /// Loss and accuracy of a checkpoint on a split, computed in this process
    #[command(
        after_help = "Example:\n  trainyard model evaluate fashion-cnn --data fashion-mnist/test"
    )]
    Evaluate(Evaluate),
    /// Latency, throughput, memory and time by layer of a model on this machine, on made-up samples
    #[command(
        after_help = "Examples:\n  trainyard model profile fashion-cnn\n  trainyard model profile jobs/fashion-cnn.toml --input 1x28x28 --classes 10 --train\n  trainyard model profile jobs/char-lstm.toml --vocabulary 65"
    )]
    Profile(Profile),
}

#[derive(Debug, Args)]
pub struct Profile {
    /// A checkpoint: JOB (its newest), JOB@STEP, JOB@best, or at least 8 hex digits of its digest; or a job file that ends in .toml
    #[arg(value_name = "CHECKPOINT|JOB.toml")]
    pub subject: String,
    /// Samples of a batch, one or more sizes
    #[arg(
        long,
        value_name = "N,N,...",
        value_delimiter = ',',
        default_value = "1,8,32,64"
    )]
    pub batch_sizes: Vec<usize>,
    /// Train a microbatch of the job too, and time layers forward and backward
    #[arg(long)]
    pub train: bool,
    /// Threads to compute with [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
    /// Change a key of the job file, as in training.batch_size=512
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    #[command(flatten)]
    pub shapes: Shapes,
}

#[derive(Debug, Args)]
pub struct Evaluate {
    /// JOB (its newest), JOB@STEP, JOB@best, or at least 8 hex digits of its digest
    #[arg(value_name = "CHECKPOINT")]
    pub checkpoint: String,
    /// What to evaluate on [default: the job's validation rows]
    #[arg(long, value_name = "DATASET/SPLIT")]
    pub data: Option<String>,
    /// Threads to compute with [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
    /// Count rows by class (a line each) and answer (a column each)
    #[arg(long)]
    pub confusion: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_contradict_nothing() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}
