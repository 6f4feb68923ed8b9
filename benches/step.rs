//! Samples per second of whole training steps: `cargo bench -p engine --bench step`. Arguments choose networks by part of
//! their name and threads by number. CPU MS is the processor time of a step, the least of all rounds.

use std::time::Instant;

use engine::{Batch, Engine};
use plan::{Mode, Objective, Request, Rules, plan};
use spec::Shape;
use spec::job::Optimizer;
use spec::model::{BatchNorm, Conv2d, Layer, LayerKind, Linear, MaxPool2d, Model, Pair, Size};
use spec::random::{Purpose, Stream};

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
    })
}

fn linear(units: Size) -> LayerKind {
    LayerKind::Linear(Linear { units, bias: true })
}

struct Network {
    name: &'static str,
    input: Vec<usize>,
    batch: usize,
    optimizer: Optimizer,
    layers: Vec<LayerKind>,
}

fn networks() -> Vec<Network> {
    use LayerKind::{Flatten, Relu};
    use Size::{Classes, Count};
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
    let request = Request {
        model: &Model { layers },
        input: Shape::new(network.input.clone()).expect("a shape"),
        classes: 10,
        microbatch: network.batch,
        microbatches: 1,
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
        let mut stream = Stream::new(1, Purpose::RowOrder, 0);
        let values = network.batch * network.input.iter().product::<usize>();
        let x: Vec<f32> = (0..values)
            .map(|_| (2.0 * stream.next_f64() - 1.0) as f32)
            .collect();
        let labels: Vec<u32> = (0..network.batch)
            .map(|_| stream.below(10) as u32)
            .collect();
        for &threads in &threads {
            let mut engine = engine(&network, threads);
            let (mut rows, mut loss) = (Vec::new(), None);
            for _ in 0..20 {
                loss = step(&mut engine, &x, &labels).0;
            }
            for _ in 0..ROUNDS {
                let (started, mut steps, mut parts) = (Instant::now(), 0, [0.0; 3]);
                let worked = processor_ms();
                while started.elapsed().as_secs_f64() < SECONDS {
                    let (_, times) = step(&mut engine, &x, &labels);
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
fn step(engine: &mut Engine<f32>, x: &[f32], labels: &[u32]) -> (Option<f64>, [f64; 3]) {
    let times = engine
        .train(&Batch::classified(x, labels), 0)
        .expect("a microbatch that fits");
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
