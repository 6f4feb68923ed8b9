//! Our side of `cargo xtask torch`: a job's network in f32 on given threads and in given microbatches, from the initial
//! parameters and batches that torch_side_by_side.py wrote. Says as one JSON line how it fared in the first steps and what
//! memory they took, then answers each line on stdin, a number of seconds, with the samples per second of whole training
//! steps over that time.

use std::io::BufRead;
use std::time::Instant;

use engine::{Batch, Engine};
use plan::{Mode, Per, Plan, Request, Rules, plan};
use safetensors::SafeTensors;
use serde_json::json;
use spec::{Job, Shape};

const USAGE: &str = "usage: side_by_side JOB.toml CxHxW CLASSES FILE.safetensors THREADS MICROBATCHES; run by cargo xtask \
                     torch";

/// A batch's samples and their labels.
type Labelled = (Vec<f32>, Vec<u32>);

/// What the comparison runs on.
struct Bench {
    engine: Engine<f32>,
    initial: Vec<f32>,
    batches: Vec<Labelled>,
    lr: f64,
    /// Samples of a microbatch.
    microbatch: usize,
    /// Bytes that the process had in memory before the engine.
    before: u64,
}

fn main() {
    // What cargo bench adds is no argument of ours.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let [job, input, classes, file, threads, microbatches] = &arguments[..] else {
        // `cargo bench` runs all benches without arguments.
        eprintln!("{USAGE}");
        return;
    };
    let text = std::fs::read_to_string(job).expect("a job file");
    let set = [
        format!("training.microbatches={microbatches}"),
        "resources.ranks=1".to_string(),
    ];
    let job = spec::job_file::parse_with(&text, &set).expect("a job");
    let mut bench = Bench::new(
        &job,
        input.parse().expect("a shape"),
        classes.parse().expect("a number of classes"),
        threads.parse().expect("a number of threads"),
        file,
    );
    println!("{}", bench.first_steps());
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line");
        let samples_per_s = bench.rate(line.trim().parse().expect("seconds"));
        println!("{}", json!({ "samples_per_s": samples_per_s }));
    }
}

impl Bench {
    fn new(job: &Job, input: Shape, classes: usize, threads: usize, file: &str) -> Bench {
        let request = Request {
            model: &job.model,
            input: input.into(),
            classes,
            per: Per::Sample,
            microbatch: job.microbatch_size(),
            microbatches: job.training.microbatches,
            objective: (&job.training).into(),
            optimizer: &job.training.optimizer,
            rules: Rules::NONE,
            threads,
            mode: Mode::Train,
            host_bytes: 0,
        };
        let plan = plan(&request).expect("a model that fits its data");
        let (initial, batches) = read(&plan, file);
        forget_peak();
        let before = resident("VmRSS");
        Bench {
            engine: Engine::new(plan, threads).expect("an engine"),
            initial,
            batches,
            lr: job.training.optimizer.lr(),
            microbatch: job.microbatch_size(),
            before,
        }
    }

    /// Goes back to the initial state, so that no measurement runs on what another has left.
    fn reset(&mut self) {
        // The statistics of norms and the optimiser's state too.
        self.engine.initialize(0);
        self.engine.parameters_mut().copy_from_slice(&self.initial);
    }

    /// A step as a rank of a gang of one takes it, the digest of the parameters included; the loss before it.
    fn step(&mut self, number: usize) -> f64 {
        let (x, labels) = &self.batches[number % self.batches.len()];
        let values = x.len() / labels.len();
        let parts = x.chunks(self.microbatch * values);
        // As many sums are held as the number of microbatches done has ones.
        let mut held = 0;
        for (done, (x, labels)) in (1u32..).zip(parts.zip(labels.chunks(self.microbatch))) {
            self.engine
                .train(&Batch::classified(x, labels), held)
                .expect("a batch that fits");
            for _ in 0..done.trailing_zeros() {
                self.engine.add(held - 1, held);
                held -= 1;
            }
            held += 1;
        }
        for slot in (1..held).rev() {
            self.engine.add(slot - 1, slot);
        }
        self.engine.fold_alone(0);
        let result = self.engine.apply(self.lr).expect("finite numbers");
        std::hint::black_box(self.engine.parameters_digest());
        result.loss.unwrap_or(f64::NAN)
    }

    /// One step on each batch: the loss of each before its step, and that of the first batch after all.
    fn first_steps(&mut self) -> serde_json::Value {
        self.reset();
        let losses: Vec<f64> = (0..self.batches.len())
            .map(|number| self.step(number))
            .collect();
        let memory = resident("VmHWM").saturating_sub(self.before);
        let (x, labels) = &self.batches[0];
        let parts = x.chunks(self.microbatch * x.len() / labels.len());
        let sum: f64 = parts
            .zip(labels.chunks(self.microbatch))
            .map(|(x, labels)| {
                let batch = Batch::classified(x, labels);
                self.engine
                    .evaluate(&batch)
                    .expect("a batch that fits")
                    .loss
            })
            .sum();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "kernels": engine::device_class(),
            "losses": losses,
            "loss_after": sum / labels.len() as f64,
            "memory_bytes": memory,
        })
    }

    fn rate(&mut self, seconds: f64) -> f64 {
        self.reset();
        for number in 0..5 {
            self.step(number);
        }
        let (started, mut steps) = (Instant::now(), 0);
        while started.elapsed().as_secs_f64() < seconds {
            self.step(steps);
            steps += 1;
        }
        (steps * self.batches[0].1.len()) as f64 / started.elapsed().as_secs_f64()
    }
}

/// Initial parameters and batches.
fn read(plan: &Plan, file: &str) -> (Vec<f32>, Vec<Labelled>) {
    let bytes = std::fs::read(file).expect("the file of torch_side_by_side.py");
    let tensors = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let mut initial = vec![0.0; plan.parameter_count];
    for parameter in &plan.parameters {
        let given = tensors.tensor(&parameter.name).expect("a parameter");
        assert_eq!(given.shape(), parameter.shape, "{}", parameter.name);
        initial[parameter.words()].copy_from_slice(&floats(given.data()));
    }
    let batches = (0..)
        .map_while(|number| {
            let x = tensors.tensor(&format!("batch.{number}.x")).ok()?;
            let labels = tensors.tensor(&format!("batch.{number}.labels")).ok()?;
            let labels = labels.data().as_chunks::<8>().0;
            let labels = labels.iter().map(|word| i64::from_le_bytes(*word) as u32);
            Some((floats(x.data()), labels.collect()))
        })
        .collect();
    (initial, batches)
}

/// Bytes that the process has in memory now (`VmRSS`), or had at most (`VmHWM`).
fn resident(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with(key));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    1024 * number.expect("a number of kB")
}

fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").expect("a process may reset its own peak");
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let words = bytes.as_chunks::<4>().0.iter();
    words.map(|word| f32::from_le_bytes(*word)).collect()
}
