//! Equality with PyTorch's numbers: a walk through the networks in tests/fixtures/layers, and through a larger folder of such where
//! it is at hand. A network that is new has an arm in `reference_networks::known`.

use std::path::{Path, PathBuf};

use engine::{Engine, Float};
use plan::Mode;
use serde_json::Value;
use spec::job::Optimizer;

use crate::networks::{ADAM, ADAMW, Network, SGD, gradient, step_on};
use crate::reference_networks::{network, read};
use crate::tensors::Tensors;

/// f64 agrees to about this much, relative to the largest value of a tensor (the folder's README).
pub const F64: f64 = 1e-10;

/// f32 may stray from PyTorch's f32, or where a folder has none from its f64, by these many times what PyTorch's own f32 strays from its f64: both stray by about
/// as much, in different directions, and the figure is a maximum over one run.
pub const F32_MULTIPLE: f64 = 8.0;

/// Outputs and gradients in f32, relative to the largest value of a tensor: a hundred roundings or so.
const F32: f64 = 1e-5;

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/layers")
}

/// The larger folder, where it is at hand.
fn shared() -> Option<PathBuf> {
    let shared = std::env::var_os("TRAINYARD_SHARED").map(PathBuf::from);
    let shared =
        shared.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"));
    Some(shared.join("reference/layers")).filter(|folder| folder.is_dir())
}

pub fn assert_close(what: &str, got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let far = got
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max);
    assert!(
        far <= tolerance,
        "{what}: {far:e} apart, {tolerance:e} allowed"
    );
    assert!(got.iter().all(|value| value.is_finite()), "{what}");
}

pub fn largest(values: &[f64]) -> f64 {
    values
        .iter()
        .fold(0.0, |largest, value| value.abs().max(largest))
}

/// Compares a flat buffer with the named tensors of `file`; large ones are stored as samples and norms.
pub fn assert_named<T: Float>(
    engine: &Engine<T>,
    file: &Tensors,
    flat: &[f64],
    key: &dyn Fn(&str) -> String,
    allowed: &dyn Fn(&[f64]) -> f64,
) {
    for parameter in &engine.plan().parameters {
        let key = key(&parameter.name);
        let got = &flat[parameter.words()];
        if let Some(expected) = file.find(&key) {
            assert_close(&key, got, &expected, allowed(&expected));
            continue;
        }
        let expected = file.get(&format!("{key}@sample"));
        let sample: Vec<f64> = got
            .iter()
            .step_by(got.len() / 1024)
            .take(1024)
            .copied()
            .collect();
        let tolerance = allowed(&expected);
        assert_close(&key, &sample, &expected, tolerance);
        let l2 = got.iter().map(|value| value * value).sum::<f64>().sqrt();
        let root = (got.len() as f64).sqrt();
        assert_close(
            &format!("{key}@l2"),
            &[l2],
            &file.get(&format!("{key}@l2")),
            tolerance * root,
        );
        let total = got.iter().sum::<f64>();
        assert_close(
            &format!("{key}@sum"),
            &[total],
            &file.get(&format!("{key}@sum")),
            tolerance * got.len() as f64,
        );
    }
}

/// The optimisers by name, and what their state is called here and there.
type Named = (
    &'static str,
    Optimizer,
    f64,
    &'static [(&'static str, &'static str)],
);
const MOMENTS: &[(&str, &str)] = &[("first_moment", "exp_avg"), ("second_moment", "exp_avg_sq")];
const OPTIMIZERS: [Named; 3] = [
    ("sgd", SGD, 0.05, &[("momentum", "momentum_buffer")]),
    ("adam", ADAM, 1e-3, MOMENTS),
    ("adamw", ADAMW, 1e-3, MOMENTS),
];

fn agrees<T: Float>(folder: &Path, name: &str, make: fn(&Network) -> Engine<T>) {
    let wide = size_of::<T>() == 8;
    let narrow = folder.join(format!("{name}.f32.safetensors"));
    let file = Tensors::open(&match narrow.is_file() && !wide {
        true => narrow,
        false => folder.join(format!("{name}.f64.safetensors")),
    });
    let init = Tensors::open(&folder.join(format!("{name}.init.safetensors")));
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let case = manifest
        .as_array()
        .unwrap()
        .iter()
        .find(|case| case["name"] == name)
        .expect("a case");
    let figure = |optimizer: &str, step: u64| {
        case["f32_vs_f64_max_abs_diff_of_params_after_step"][optimizer][step.to_string()]
            .as_f64()
            .unwrap()
    };
    let relative = |expected: &[f64]| largest(expected).max(1e-3) * if wide { F64 } else { F32 };

    let mut network = network(name);
    let (given, rows) = read::<T>(&file, &network);
    let classes = network.classes;
    let ours = |theirs: &[f64]| -> Vec<f64> {
        let row = |&row: &usize| &theirs[row * classes..(row + 1) * classes];
        rows.iter().flat_map(row).copied().collect()
    };
    for (optimizer_name, optimizer, lr, states) in OPTIMIZERS {
        network.optimizer = optimizer;
        let mut engine = make(&network);
        let parameters = engine.plan().parameters.clone();
        for parameter in &parameters {
            let values = init.get(&parameter.name).into_iter().map(T::of);
            engine.parameters_mut()[parameter.words()]
                .iter_mut()
                .zip(values)
                .for_each(|(place, value)| *place = value);
        }

        for statistic in engine.plan().running_statistics.clone() {
            let values = init.get(&statistic.name).into_iter().map(T::of);
            engine.running_statistics_mut()[statistic.words]
                .iter_mut()
                .zip(values)
                .for_each(|(place, value)| *place = value);
        }
        let logits: Vec<f64> = engine
            .logits(given.batch().samples)
            .unwrap()
            .iter()
            .map(|value| value.wide())
            .collect();
        let normalises = !engine.running_statistics().is_empty();
        let key = if normalises {
            "eval_out.logits"
        } else {
            "out.logits"
        };
        let expected = ours(&file.get(key));
        assert_close(key, &logits, &expected, relative(&expected));
        engine.train(&given.batch(), 0).unwrap();
        let gradient: Vec<f64> = gradient(&engine, 0)
            .iter()
            .map(|sum| sum / given.labels.len() as f64)
            .collect();
        assert_named(
            &engine,
            &file,
            &gradient,
            &|name| format!("grad.{name}"),
            &relative,
        );

        let losses = file.get(&format!("{optimizer_name}.losses"));
        for number in 1..=50u64 {
            let result = step_on(&mut engine, &given.batch(), lr);
            // How far the parameters may have strayed by now bounds how far the loss may have.
            let strayed = [1, 10, 50]
                .into_iter()
                .find(|&at| at >= number)
                .map(|at| figure(optimizer_name, at))
                .unwrap();
            let expected = losses[number as usize - 1];
            let allowed = if wide {
                F64 * expected.max(1.0)
            } else {
                F32_MULTIPLE * (strayed * 8.0).max(1e-6)
            };
            assert_close(
                &format!("{optimizer_name} loss {number}"),
                &[result.loss.unwrap()],
                &[expected],
                allowed,
            );
            if [1, 10, 50].contains(&number) {
                let flat: Vec<f64> = engine
                    .parameters()
                    .iter()
                    .map(|value| value.wide())
                    .collect();
                let key = |name: &str| format!("{optimizer_name}.step{number}.{name}");
                let strayed = figure(optimizer_name, number);
                let allowed = |expected: &[f64]| {
                    if wide {
                        relative(expected)
                    } else {
                        F32_MULTIPLE * strayed
                    }
                };
                assert_named(&engine, &file, &flat, &key, &allowed);
                for statistic in &engine.plan().running_statistics {
                    let running = &engine.running_statistics()[statistic.words.clone()];
                    let running: Vec<f64> = running.iter().map(|value| value.wide()).collect();
                    let expected = file.get(&key(&statistic.name));
                    assert_close(&statistic.name, &running, &expected, allowed(&expected));
                    if number == 1 {
                        let key = format!("buffers_after_forward.{}", statistic.name);
                        let expected = file.get(&key);
                        assert_close(&key, &running, &expected, relative(&expected));
                    }
                }
            }
            if number == 50 && normalises {
                let key = format!("{optimizer_name}.step50.eval_out.logits");
                let expected = ours(&file.get(&key));
                let logits = engine.logits(given.batch().samples).unwrap();
                let logits: Vec<f64> = logits.iter().map(|value| value.wide()).collect();
                let allowed = if wide {
                    relative(&expected)
                } else {
                    F32_MULTIPLE * strayed * 8.0 * largest(&expected).max(1.0)
                };
                assert_close(&key, &logits, &expected, allowed);
            }
            if number == 10 {
                for &(ours, theirs) in states {
                    let state = engine.optimizer_state();
                    let (_, words) = state
                        .iter()
                        .find(|(name, _)| *name == ours)
                        .expect("state of this name");
                    let flat: Vec<f64> = words.iter().map(|value| value.wide()).collect();
                    let key = |name: &str| format!("{optimizer_name}.state10.{name}.{theirs}");
                    assert_named(&engine, &file, &flat, &key, &relative);
                }
            }
        }
    }
}

fn plain<T: Float>(network: &Network) -> Engine<T> {
    Engine::reference(network.plan(Mode::Train).unwrap()).unwrap()
}

fn fast<T: Float>(network: &Network) -> Engine<T> {
    network.engine()
}

/// Every case of a folder, in f64, and in f32 by both kinds of kernels.
fn walk(folder: &Path) -> usize {
    let manifest = std::fs::read(folder.join("manifest.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_slice(&manifest).unwrap();
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        agrees::<f64>(folder, name, fast);
        agrees::<f32>(folder, name, plain);
        agrees::<f32>(folder, name, fast);
    }
    cases.len()
}

#[test]
fn every_committed_network_gives_pytorchs_numbers() {
    assert_eq!(walk(&fixtures()), 16);
}

#[test]
fn every_network_of_the_larger_folder_gives_pytorchs_numbers_where_it_is_at_hand() {
    if let Some(folder) = shared() {
        assert_eq!(walk(&folder), 17);
    }
}
