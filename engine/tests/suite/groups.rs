//! Parameter groups, frozen parameters and averages of weights, equal to PyTorch's: tests/fixtures/groups.

use engine::{Engine, Float, Samples, Update};
use plan::Mode;
use serde_json::Value;
use spec::ema::Ema;
use spec::group::{Group, GroupRate};
use spec::job::{Clip, Optimizer};

use crate::networks::{ADAM, ADAMW, Network, SGD, classes, linear, step};
use crate::pytorch::{F32_MULTIPLE, F64, assert_close, assert_named, fixtures, largest};
use crate::reference_networks::network;
use crate::tensors::Tensors;

const STEPS: u64 = 20;

fn group(patterns: &[&str], rate: GroupRate, weight_decay: Option<f64>) -> Group {
    Group {
        patterns: patterns.iter().map(ToString::to_string).collect(),
        rate,
        weight_decay,
        frozen: false,
    }
}

fn frozen(patterns: &[&str]) -> Vec<Group> {
    let group = group(patterns, GroupRate::Same, None);
    vec![Group {
        frozen: true,
        ..group
    }]
}

fn momentum(weight_decay: f64) -> Optimizer {
    Optimizer::Sgd {
        lr: 0.05,
        momentum: 0.9,
        nesterov: false,
        weight_decay,
    }
}

/// A case of the fixtures, and what its steps are told.
struct Case {
    name: &'static str,
    network: Network,
    clip: Option<Clip>,
    cosine: bool,
}

fn case(name: &'static str, of: &str, optimizer: Optimizer, groups: Vec<Group>) -> Case {
    let mut network = network(of);
    (network.optimizer, network.groups) = (optimizer, groups);
    Case {
        name,
        network,
        clip: None,
        cosine: false,
    }
}

fn cases() -> Vec<Case> {
    let biases = || vec![group(&["*.bias"], GroupRate::Scaled(2.0), Some(0.0))];
    let decay = |optimizer: Optimizer, decay| optimizer.with_weight_decay(decay);
    let heads = vec![
        group(&["*.bias"], GroupRate::Same, Some(0.0)),
        group(&["fc2.*"], GroupRate::Own(5e-3), None),
    ];
    let quick = Optimizer::Adam {
        lr: 1e-2,
        betas: [0.9, 0.999],
        eps: 1e-8,
        weight_decay: 0.0,
    };
    let mut cases = vec![
        case("sgd", "mlp", momentum(1e-2), biases()),
        case("adamw", "mlp", decay(ADAMW, 0.1), heads),
        case("cosine", "mlp", momentum(1e-2), biases()),
        case("front", "mlp", quick, frozen(&["fc1.*"])),
        case("back", "mlp", momentum(0.0), frozen(&["fc2.*"])),
        case(
            "norm",
            "batchnorm2d",
            momentum(0.0),
            frozen(&["conv.*", "bn.*"]),
        ),
        case("average", "batchnorm2d", momentum(0.0), Vec::new()),
        case(
            "late_average",
            "mlp",
            momentum(0.0),
            frozen(&["fc1.weight"]),
        ),
    ];
    cases[2].cosine = true;
    (cases[3].clip, cases[4].clip) = (Some(Clip::Norm(0.3)), Some(Clip::Norm(0.3)));
    cases[6].network.ema = Some(Ema {
        decay: 0.8,
        start_step: 1,
        every_steps: 1,
    });
    cases[7].network.ema = Some(Ema {
        decay: 0.3,
        start_step: 4,
        every_steps: 3,
    });
    cases
}

fn numbers<T: Float>(words: &[T]) -> Vec<f64> {
    words.iter().map(|word| word.wide()).collect()
}

fn agrees<T: Float>(case: &Case, make: fn(&Network) -> Engine<T>) {
    let (name, network) = (case.name, &case.network);
    let wide = size_of::<T>() == 8;
    let folder = fixtures().join("../groups");
    let file = Tensors::open(&folder.join("groups.f64.safetensors"));
    let manifest = std::fs::read(folder.join("manifest.json")).expect("a manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    let of = if network.input == [20] {
        "mlp"
    } else {
        "batchnorm2d"
    };
    let init = Tensors::open(&fixtures().join(format!("{of}.init.safetensors")));
    let batch = Tensors::open(&fixtures().join(format!("{of}.f64.safetensors")));
    let x: Vec<T> = batch.get("batch.x").into_iter().map(T::of).collect();
    let labels = batch.get("batch.target").into_iter();
    let labels: Vec<u32> = labels.map(|label| label as u32).collect();

    let mut engine = make(network);
    engine.initialize(1);
    for parameter in engine.plan().parameters.clone() {
        let values = init.get(&parameter.name).into_iter().map(T::of);
        let words = &mut engine.parameters_mut()[parameter.words()];
        words
            .iter_mut()
            .zip(values)
            .for_each(|(place, value)| *place = value);
    }
    for statistic in engine.plan().running_statistics.clone() {
        let values = init.get(&statistic.name).into_iter().map(T::of);
        let words = &mut engine.running_statistics_mut()[statistic.words];
        words
            .iter_mut()
            .zip(values)
            .for_each(|(place, value)| *place = value);
    }
    for number in 1..=STEPS {
        let mut lr = network.optimizer.lr();
        if case.cosine {
            let way = (number - 1) as f64 / STEPS as f64;
            lr *= (1.0 + libm::cos(std::f64::consts::PI * way)) / 2.0;
        }
        let update = Update {
            lr,
            clip: case.clip,
        };
        let result = step(&mut engine, &x, &labels, update);
        if let Some(norms) = file.find(&format!("{name}.norms")) {
            let allowed = if wide { F64 } else { 1e-5 };
            let expected = norms[number as usize - 1];
            assert_close("norm", &[result.gradient_norm], &[expected], allowed);
        }
        if ![1, 10, 20].contains(&number) {
            continue;
        }
        let figure = &manifest["f32_vs_f64_max_abs_diff_after_step"][name][number.to_string()];
        let figure = figure.as_f64().expect("a figure");
        let allowed = |expected: &[f64]| {
            if wide {
                F64 * largest(expected).max(1e-3)
            } else {
                F32_MULTIPLE * figure
            }
        };
        let key = |parameter: &str| format!("{name}.step{number}.{parameter}");
        assert_named(
            &engine,
            &file,
            &numbers(engine.parameters()),
            &key,
            &allowed,
        );
        for statistic in &engine.plan().running_statistics {
            let running = numbers(&engine.running_statistics()[statistic.words.clone()]);
            let key = key(&statistic.name);
            let expected = file.get(&key);
            assert_close(&key, &running, &expected, allowed(&expected));
        }
        let Some(expected) = file.find(&key("logits")) else {
            continue;
        };
        // What is evaluated between two exchanges runs on the averages, and nothing of it stays.
        let before = engine.state_digest(&[]);
        engine.exchange_averages();
        let key = |parameter: &str| format!("{name}.step{number}.average.{parameter}");
        assert_named(
            &engine,
            &file,
            &numbers(engine.parameters()),
            &key,
            &allowed,
        );
        let logits = engine.logits(Samples::Values(&x)).expect("logits");
        let logits = numbers(logits);
        assert_close("logits", &logits, &expected, allowed(&expected));
        engine.exchange_averages();
        assert_eq!(engine.state_digest(&[]), before);
    }
}

fn plain<T: Float>(network: &Network) -> Engine<T> {
    Engine::reference(network.plan(Mode::Train).expect("a plan")).expect("an engine")
}

#[test]
fn groups_frozen_parameters_and_averages_are_those_of_pytorch() {
    for case in cases() {
        agrees::<f64>(&case, plain);
        agrees::<f32>(&case, plain);
        agrees::<f32>(&case, Network::engine);
    }
}

#[test]
fn there_are_no_averages_before_their_first_step() {
    let mut network = network("mlp");
    network.ema = Some(Ema {
        decay: 0.5,
        start_step: 2,
        every_steps: 1,
    });
    let mut engine = network.engine::<f32>();
    engine.initialize(3);
    let (x, labels) = network.batch(9, 4);
    step(&mut engine, &x, &labels, 0.1);
    let (parameters, averages) = (engine.parameters().to_vec(), engine.averages().to_vec());
    assert!(averages.iter().all(|word| *word == 0.0));
    engine.exchange_averages();
    assert_eq!(engine.parameters(), parameters);
    step(&mut engine, &x, &labels, 0.1);
    assert_eq!(engine.averages(), engine.parameters());
    let digest = engine.state_digest(&[]);
    engine.averages_mut()[7] += 0.5;
    assert_ne!(engine.state_digest(&[]), digest, "averages are part of S");
}

#[test]
fn updates_of_many_groups_have_the_same_bits_on_any_number_of_threads() {
    for optimizer in [SGD, ADAM, ADAMW] {
        // Stretches longer than one block of the update, that begin and end between vectors.
        let mut network = Network::new(&[203], 10, 3, vec![linear(101), linear(33), classes()]);
        network.optimizer = optimizer;
        network.groups = frozen(&["1.weight"]);
        let biases = group(&["*.bias"], GroupRate::Scaled(0.5), Some(0.0));
        let first = group(&["0.weight"], GroupRate::Own(0.02), Some(0.5));
        network.groups.extend([biases, first]);
        network.ema = Some(Ema {
            decay: 0.7,
            start_step: 1,
            every_steps: 1,
        });
        let (x, labels) = network.batch(3, 4);
        let run = |mut engine: Engine<f32>| {
            engine.initialize(5);
            for _ in 0..3 {
                step(&mut engine, &x, &labels, 0.01);
            }
            engine.state_digest(&[])
        };
        let one = run(network.engine());
        for threads in [2, 3] {
            network.threads = threads;
            assert_eq!(run(network.engine()), one, "{optimizer:?}");
        }
    }
}
