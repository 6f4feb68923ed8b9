//! Our side of `cargo xtask torch`: a job's network in f32 on given threads and in given microbatches, from the initial
//! parameters and batches that torch_side_by_side.py wrote. Says as one JSON line how it fared in the first steps and what
//! memory they took, then answers each line on stdin, a number of seconds, with the samples per second of whole training
//! steps over that time.

use std::io::BufRead;
use std::time::Instant;

use engine::{Batch, Engine, Samples};
use plan::{Mode, Per, Plan, Request, Rules, Signal, plan};
use safetensors::SafeTensors;
use serde_json::json;
use spec::{Job, Shape};

const USAGE: &str = "usage: side_by_side JOB.toml CxHxW|Ttokens CLASSES FILE.safetensors THREADS MICROBATCHES; run by cargo xtask \
                     torch";

/// A microbatch: values, or tokens with the lengths of their sequences, and targets.
struct Part {
    values: Vec<f32>,
    tokens: Vec<u32>,
    lengths: Vec<u32>,
    labels: Vec<u32>,
}

impl Part {
    fn batch(&self) -> Batch<'_, f32> {
        let tokens = Batch {
            samples: Samples::Tokens {
                ids: &self.tokens,
                lengths: &self.lengths,
            },
            ..Batch::classified(&[], &self.labels)
        };
        match self.lengths.is_empty() {
            true => Batch::classified(&self.values, &self.labels),
            false => tokens,
        }
    }
}

/// What the comparison runs on.
struct Bench {
    engine: Engine<f32>,
    initial: Vec<f32>,
    /// Each batch in microbatches.
    batches: Vec<Vec<Part>>,
    lr: f64,
    /// Samples of a batch.
    samples: usize,
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
        input,
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
    fn new(job: &Job, input: &str, classes: usize, threads: usize, file: &str) -> Bench {
        let steps = input.strip_suffix("tokens");
        let steps: Option<usize> = steps.map(|steps| steps.parse().expect("a number of tokens"));
        let (input, per) = match steps {
            Some(steps) => (Signal::tokens(classes, steps), Per::Step),
            None => {
                let shape: Shape = input.parse().expect("a shape");
                (shape.into(), Per::Sample)
            }
        };
        let request = Request {
            model: &job.model,
            input,
            classes,
            per,
            microbatch: job.microbatch_size(),
            microbatches: job.training.microbatches,
            share: job.training.microbatches,
            objective: (&job.training).into(),
            optimizer: &job.training.optimizer,
            rules: Rules::NONE,
            threads,
            mode: Mode::Train,
            host_bytes: 0,
        };
        let plan = plan(&request).expect("a model that fits its data");
        let (initial, batches) = read(&plan, file, steps);
        forget_peak();
        let before = resident("VmRSS");
        Bench {
            engine: Engine::new(plan, threads).expect("an engine"),
            initial,
            batches,
            lr: job.training.optimizer.lr(),
            samples: job.training.batch_size as usize,
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
        let parts = &self.batches[number % self.batches.len()];
        // As many sums are held as the number of microbatches done has ones.
        let mut held = 0;
        for (done, part) in (1u32..).zip(parts) {
            self.engine
                .train(&part.batch(), held)
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
        let parts = &self.batches[0];
        let targets: usize = parts.iter().map(|part| part.labels.len()).sum();
        let judged = parts.iter().map(|part| {
            let sums = self.engine.evaluate(&part.batch());
            sums.expect("a batch that fits").loss
        });
        let sum: f64 = judged.sum();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "kernels": engine::device_class(),
            "losses": losses,
            "loss_after": sum / targets as f64,
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
        (steps * self.samples) as f64 / started.elapsed().as_secs_f64()
    }
}

/// Initial parameters and batches, cut into the plan's microbatches; batches of tokens are `(steps, samples)`.
fn read(plan: &Plan, file: &str, steps: Option<usize>) -> (Vec<f32>, Vec<Vec<Part>>) {
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
            let labels = numbers(labels.data());
            Some(match steps {
                None => of_values(&floats(x.data()), &labels, plan.microbatch),
                Some(steps) => of_tokens(&numbers(x.data()), &labels, steps, plan.microbatch),
            })
        })
        .collect();
    (initial, batches)
}

fn of_values(x: &[f32], labels: &[u32], microbatch: usize) -> Vec<Part> {
    let values = x.chunks(microbatch * (x.len() / labels.len()));
    let parts = values.zip(labels.chunks(microbatch));
    parts
        .map(|(values, labels)| Part {
            values: values.to_vec(),
            tokens: Vec::new(),
            lengths: Vec::new(),
            labels: labels.to_vec(),
        })
        .collect()
}

fn of_tokens(tokens: &[u32], labels: &[u32], steps: usize, microbatch: usize) -> Vec<Part> {
    let samples = tokens.len() / steps;
    let firsts = (0..samples).step_by(microbatch);
    firsts
        .map(|first| {
            let some = first..samples.min(first + microbatch);
            let columns = |all: &[u32]| -> Vec<u32> {
                let rows = all.chunks(samples);
                rows.flat_map(|row| row[some.clone()].to_vec()).collect()
            };
            Part {
                values: Vec::new(),
                tokens: columns(tokens),
                lengths: vec![steps as u32; some.len()],
                labels: columns(labels),
            }
        })
        .collect()
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

fn numbers(bytes: &[u8]) -> Vec<u32> {
    let words = bytes.as_chunks::<8>().0.iter();
    words.map(|word| i64::from_le_bytes(*word) as u32).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let words = bytes.as_chunks::<4>().0.iter();
    words.map(|word| f32::from_le_bytes(*word)).collect()
}
