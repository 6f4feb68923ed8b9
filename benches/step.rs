//! Samples per second of whole training steps: `cargo bench -p engine --bench step`. Arguments choose networks by part of
//! their name and threads by number. CPU MS is the processor time of a step, the least of all rounds.

use std::time::Instant;

use engine::{Batch, Engine, Moment, Samples, Targets};
use plan::{Mode, Objective, Per, Request, Rules, Signal, plan};
use spec::Shape;
use spec::job::Optimizer;
use spec::model::{BatchNorm, Conv2d, Layer, LayerKind, Linear, MaxPool2d, Model, Pair, Size};
use spec::random::{Purpose, Stream};
use spec::recurrent::{Cell, Embedding, Output, Recurrent};

/// Seconds that each measurement runs, and how many are taken: the median counts.
const SECONDS: f64 = 0.5;
const ROUNDS: usize = 5;

fn conv(filters: u32) -> LayerKind {
    let [kernel, stride, padding] = [3, 1, 1].map(Pair::both);
    LayerKind::Conv2d(Conv2d {
        filters,
        kernel,
        stride,
        padding,
        dilation: Pair::both(1),
        groups: 1,
        bias: true,
    })
}

fn pool() -> LayerKind {
    LayerKind::MaxPool2d(MaxPool2d {
        kernel: Pair::both(2),
        stride: Pair::both(2),
        padding: Pair::both(0),
    })
}

fn norm() -> LayerKind {
    LayerKind::BatchNorm(BatchNorm {
        eps: 1e-5,
        momentum: 0.1,
        sync: false,
    })
}

fn linear(units: Size) -> LayerKind {
    LayerKind::Linear(Linear {
        units,
        bias: true,
        tied: None,
    })
}

fn embedding(size: u32) -> LayerKind {
    LayerKind::Embedding(Embedding {
        size,
        padding_index: None,
    })
}

fn lstm(hidden: u32, layers: u32) -> LayerKind {
    LayerKind::Recurrent(Recurrent {
        cell: Cell::Lstm,
        hidden,
        layers,
        bidirectional: false,
        dropout: 0.0,
        output: Output::All,
        bias: true,
    })
}

struct Network {
    name: &'static str,
    /// The shape of a sample; `[1]` for tokens.
    input: Vec<usize>,
    /// Tokens there are, and those of a sample, each with the next one as its target.
    tokens: Option<[usize; 2]>,
    batch: usize,
    optimizer: Optimizer,
    layers: Vec<LayerKind>,
}

impl Network {
    fn classes(&self) -> usize {
        self.tokens.map_or(10, |[vocabulary, _]| vocabulary)
    }
}

/// A microbatch.
struct Given {
    x: Vec<f32>,
    tokens: Vec<u32>,
    lengths: Vec<u32>,
    labels: Vec<u32>,
}

impl Given {
    fn draw(network: &Network) -> Given {
        let mut stream = Stream::new(1, Purpose::RowOrder, 0);
        let [vocabulary, steps] = network.tokens.unwrap_or([1, 1]);
        let values = match network.tokens {
            None => network.batch * network.input.iter().product::<usize>(),
            Some(_) => 0,
        };
        let x = (0..values).map(|_| (2.0 * stream.next_f64() - 1.0) as f32);
        let x = x.collect();
        let mut draw = |count: usize, below: usize| -> Vec<u32> {
            let below = below as u64;
            (0..count).map(|_| stream.below(below) as u32).collect()
        };
        Given {
            x,
            tokens: draw(network.batch * steps, vocabulary),
            lengths: vec![steps as u32; network.batch],
            labels: draw(network.batch * steps, network.classes()),
        }
    }

    fn batch(&self, network: &Network) -> Batch<'_, f32> {
        let samples = match network.tokens {
            None => Samples::Values(&self.x),
            Some(_) => Samples::Tokens {
                ids: &self.tokens,
                lengths: &self.lengths,
            },
        };
        Batch {
            samples,
            targets: Targets::Classes(&self.labels),
            moment: Moment::default(),
        }
    }
}

fn networks() -> Vec<Network> {
    use LayerKind::{Flatten, Relu};
    use Size::{Classes, Count, Vocabulary};
    let sgd = Optimizer::Sgd {
        lr: 0.01,
        momentum: 0.9,
        nesterov: false,
        weight_decay: 0.0,
    };
    let adam = Optimizer::Adam {
        lr: 1e-3,
        betas: [0.9, 0.999],
        eps: 1e-8,
        weight_decay: 0.0,
    };
    vec![
        Network {
            name: "simple-cnn",
            input: vec![3, 32, 32],
            tokens: None,
            batch: 64,
            optimizer: sgd,
            layers: vec![
                conv(12),
                Relu,
                pool(),
                Flatten,
                linear(Count(64)),
                Relu,
                linear(Classes),
            ],
        },
        Network {
            name: "fashion-cnn",
            input: vec![1, 28, 28],
            tokens: None,
            batch: 64,
            optimizer: sgd,
            layers: vec![
                conv(32),
                Relu,
                conv(32),
                Relu,
                pool(),
                conv(64),
                Relu,
                conv(64),
                Relu,
                pool(),
                Flatten,
                linear(Count(128)),
                Relu,
                linear(Classes),
            ],
        },
        Network {
            name: "norm-fashion-cnn",
            input: vec![1, 28, 28],
            tokens: None,
            batch: 64,
            optimizer: sgd,
            layers: vec![
                conv(32),
                norm(),
                Relu,
                conv(32),
                norm(),
                Relu,
                pool(),
                conv(64),
                norm(),
                Relu,
                conv(64),
                norm(),
                Relu,
                pool(),
                Flatten,
                linear(Count(128)),
                Relu,
                linear(Classes),
            ],
        },
        Network {
            name: "small-fashion-cnn",
            input: vec![1, 28, 28],
            tokens: None,
            batch: 64,
            optimizer: sgd,
            layers: vec![
                conv(32),
                Relu,
                pool(),
                conv(64),
                Relu,
                pool(),
                Flatten,
                linear(Count(128)),
                Relu,
                linear(Classes),
            ],
        },
        Network {
            name: "mlp",
            input: vec![784],
            tokens: None,
            batch: 128,
            optimizer: adam,
            layers: vec![
                linear(Count(512)),
                Relu,
                linear(Count(256)),
                Relu,
                linear(Classes),
            ],
        },
        Network {
            name: "char-lstm",
            input: vec![1],
            tokens: Some([65, 64]),
            batch: 64,
            optimizer: adam,
            layers: vec![embedding(64), lstm(256, 1), linear(Vocabulary)],
        },
        Network {
            name: "word-lstm",
            input: vec![1],
            tokens: Some([10_000, 35]),
            batch: 20,
            optimizer: sgd,
            layers: vec![embedding(200), lstm(200, 2), linear(Vocabulary)],
        },
    ]
}

fn engine(network: &Network, threads: usize) -> Engine<f32> {
    let layers = network
        .layers
        .iter()
        .map(|kind| Layer {
            name: None,
            kind: kind.clone(),
        })
        .collect();
    let (input, per) = match network.tokens {
        None => (
            Shape::new(network.input.clone()).expect("a shape").into(),
            Per::Sample,
        ),
        Some([vocabulary, steps]) => (Signal::tokens(vocabulary, steps), Per::Step),
    };
    let request = Request {
        model: &Model { layers },
        input,
        classes: network.classes(),
        per,
        microbatch: network.batch,
        microbatches: 1,
        share: 1,
        objective: Objective::CROSS_ENTROPY,
        optimizer: &network.optimizer,
        rules: Rules::NONE,
        threads,
        mode: Mode::Train,
        host_bytes: 0,
    };
    let mut engine = Engine::new(plan(&request).expect("a plan"), threads).expect("an engine");
    engine.initialize(42);
    engine
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let threads: Vec<usize> = arguments
        .iter()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let threads = if threads.is_empty() {
        vec![1, 2]
    } else {
        threads
    };
    let names: Vec<&String> = arguments
        .iter()
        .filter(|argument| argument.parse::<usize>().is_err())
        .collect();
    println!("{}", engine::device_class());
    println!(
        "NETWORK             THREADS  SAMPLES/S  STEP MS  FORWARD MS  BACKWARD MS  UPDATE MS  CPU MS  LOSS AFTER 20"
    );
    for network in networks() {
        if !names.is_empty() && !names.iter().any(|name| network.name.contains(*name)) {
            continue;
        }
        let given = Given::draw(&network);
        let batch = given.batch(&network);
        for &threads in &threads {
            let mut engine = engine(&network, threads);
            let (mut rows, mut loss) = (Vec::new(), None);
            for _ in 0..20 {
                loss = step(&mut engine, &batch).0;
            }
            for _ in 0..ROUNDS {
                let (started, mut steps, mut parts) = (Instant::now(), 0, [0.0; 3]);
                let worked = processor_ms();
                while started.elapsed().as_secs_f64() < SECONDS {
                    let (_, times) = step(&mut engine, &batch);
                    parts
                        .iter_mut()
                        .zip(times)
                        .for_each(|(part, time)| *part += time);
                    steps += 1;
                }
                let seconds = started.elapsed().as_secs_f64() / f64::from(steps);
                let worked = (processor_ms() - worked) / f64::from(steps);
                let [forward, backward, update] = parts.map(|time| time * 1e3);
                rows.push([seconds * 1e3, forward, backward, update, worked]);
                rows.last_mut().expect("a row")[1..4]
                    .iter_mut()
                    .for_each(|part| *part /= f64::from(steps));
            }
            rows.sort_by(|a, b| a[0].total_cmp(&b[0]));
            let worked = rows.iter().map(|row| row[4]).fold(f64::INFINITY, f64::min);
            let [step, forward, backward, update, _] = rows[ROUNDS / 2];
            let rate = network.batch as f64 / step * 1e3;
            println!(
                "{:<18}  {threads:>7}  {rate:>9.0}  {step:>7.3}  {forward:>10.3}  {backward:>11.3}  {update:>9.3}  {worked:>6.2}  {:>13.5}",
                network.name,
                loss.unwrap_or(f64::NAN),
            );
        }
    }
}

/// Processor time of all threads so far, where the kernel tells it: what a busy machine disturbs least.
fn processor_ms() -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return f64::NAN;
    };
    let of = |task: std::io::Result<std::fs::DirEntry>| -> Option<f64> {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    tasks.filter_map(of).sum::<f64>() / 1e6
}

/// One step as a rank takes it, the digest included: its loss, and the seconds of its parts.
fn step(engine: &mut Engine<f32>, batch: &Batch<'_, f32>) -> (Option<f64>, [f64; 3]) {
    let times = engine.train(batch, 0).expect("a microbatch that fits");
    let started = Instant::now();
    engine.fold_alone(0);
    let result = engine.apply(0.01).expect("finite numbers");
    std::hint::black_box(engine.parameters_digest());
    (
        result.loss,
        [
            times.forward.as_secs_f64(),
            times.backward.as_secs_f64(),
            started.elapsed().as_secs_f64(),
        ],
    )
}
