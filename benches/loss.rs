//! CPU time of a cross entropy over 700 rows of 10,000 classes on one thread, and of one read and write of as much memory beside it:
//! `cargo bench -p engine --bench loss`. The head has one input, so that its product is little more than a write of the logits.

use std::hint::black_box;

use engine::{Batch, Engine, Samples};
use plan::{Mode, Objective, Request, Rules, plan};
use spec::Shape;
use spec::job::Optimizer;
use spec::model::{Layer, LayerKind, Linear, Model, Size};

const ROWS: usize = 700;
const CLASSES: usize = 10_000;
const ROUNDS: usize = 200;

/// Milliseconds that this thread has had a core for, to within a tick: other programs do not count.
fn on_cpu() -> f64 {
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let first = schedule.split(' ').next().expect("a number");
    first.parse::<f64>().expect("a number") / 1e6
}

/// Milliseconds of a core that `work` takes, the mean over many rounds.
fn mean(mut work: impl FnMut()) -> f64 {
    work();
    let began = on_cpu();
    (0..ROUNDS).for_each(|_| work());
    (on_cpu() - began) / ROUNDS as f64
}

fn main() {
    let head = LayerKind::Linear(Linear {
        units: Size::Classes,
        bias: false,
        tied: None,
    });
    let optimizer = Optimizer::Sgd {
        lr: 0.1,
        momentum: 0.0,
        nesterov: false,
        weight_decay: 0.0,
    };
    let request = Request {
        model: &Model {
            layers: vec![Layer {
                name: None,
                kind: head,
            }],
        },
        input: Shape::new(vec![1]).expect("a shape").into(),
        per: plan::Per::Sample,
        classes: CLASSES,
        microbatch: ROWS,
        microbatches: 1,
        share: 1,
        objective: Objective::CROSS_ENTROPY,
        optimizer: &optimizer,
        rules: Rules::NONE,
        threads: 1,
        mode: Mode::Train,
        host_bytes: 0,
    };
    let mut engine = Engine::<f32>::new(plan(&request).expect("a plan"), 1).expect("an engine");
    engine.initialize(1);
    let x: Vec<f32> = (0..ROWS).map(|row| (row % 13) as f32 - 6.0).collect();
    let classes: Vec<u32> = (0..ROWS).map(|row| (row * 7919 % CLASSES) as u32).collect();
    let batch = Batch::classified(&x, &classes);
    let mut memory = vec![1.0f32; ROWS * CLASSES];
    let swept = mean(|| {
        black_box(&mut memory)
            .iter_mut()
            .for_each(|x| *x *= 1.000_1);
    });
    let logits = mean(|| {
        black_box(engine.logits(Samples::Values(&x)).expect("logits"));
    });
    let evaluated = mean(|| {
        black_box(engine.evaluate(&batch).expect("an evaluation"));
    });
    let passes = mean(|| {
        black_box(engine.train(&batch, 0).expect("a microbatch that fits"));
    });
    println!("read and write of the logits' memory {swept:8.2} ms");
    println!("the head's product                   {logits:8.2} ms");
    println!(
        "loss                                 {:8.2} ms",
        evaluated - logits
    );
    println!(
        "loss, gradient and backward pass     {:8.2} ms",
        passes - logits
    );
}
