//! The optimisers that the reference folder does not have, equal to PyTorch's: tests/fixtures/optimizers.

use engine::{Engine, Float, Update};
use plan::Mode;
use serde_json::Value;
use spec::job::{Clip, Optimizer};

use crate::networks::{ADAM, ADAMW, Network, SGD, step};
use crate::pytorch::{F32_MULTIPLE, F64, assert_close, assert_named, fixtures, largest};
use crate::reference_networks::network;
use crate::tensors::Tensors;

const NESTEROV: Optimizer = Optimizer::Sgd {
    lr: 0.05,
    momentum: 0.9,
    nesterov: true,
    weight_decay: 1e-4,
};
const RMSPROP: Optimizer = Optimizer::RmsProp {
    lr: 1e-3,
    alpha: 0.99,
    eps: 1e-8,
    momentum: 0.0,
    weight_decay: 1e-3,
};
const RMSPROP_MOMENTUM: Optimizer = Optimizer::RmsProp {
    lr: 1e-3,
    alpha: 0.9,
    eps: 1e-8,
    momentum: 0.5,
    weight_decay: 0.0,
};
const ADAGRAD: Optimizer = Optimizer::Adagrad {
    lr: 1e-2,
    lr_decay: 1e-2,
    eps: 1e-10,
    weight_decay: 1e-3,
};

/// The MLP of the fixtures with their initial parameters, and its batch.
fn mlp<T: Float>(network: &Network, engine: &mut Engine<T>) -> (Vec<T>, Vec<u32>) {
    let init = Tensors::open(&fixtures().join("mlp.init.safetensors"));
    let batch = Tensors::open(&fixtures().join("mlp.f64.safetensors"));
    assert_eq!(network.input, [20]);
    for parameter in engine.plan().parameters.clone() {
        let words = &mut engine.parameters_mut()[parameter.words()];
        for (place, value) in words.iter_mut().zip(init.get(&parameter.name)) {
            *place = T::of(value);
        }
    }
    let x = batch.get("batch.x").into_iter().map(T::of).collect();
    let labels = batch.get("batch.target");
    (x, labels.into_iter().map(|label| label as u32).collect())
}

fn agrees<T: Float>(
    name: &str,
    network: &Network,
    clip: Option<Clip>,
    make: fn(&Network) -> Engine<T>,
) {
    let wide = size_of::<T>() == 8;
    let folder = fixtures().join("../optimizers");
    let file = Tensors::open(&folder.join("mlp.f64.safetensors"));
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let figure = |step: u64| {
        let figures = &manifest["f32_vs_f64_max_abs_diff_of_params_after_step"][name];
        figures[step.to_string()].as_f64().expect("a figure")
    };
    let mut engine = make(network);
    let (x, labels) = mlp(network, &mut engine);
    for number in 1..=50 {
        let lr = network.optimizer.lr();
        let result = step(&mut engine, &x, &labels, Update { lr, clip });
        if name == "clip_norm" {
            // What PyTorch's clipping returns is the norm before it.
            let expected = file.get("clip_norm.norms")[number as usize - 1];
            let allowed = if wide { F64 } else { 1e-5 };
            assert_close("norm", &[result.gradient_norm], &[expected], allowed);
        }
        if [1, 10, 50].contains(&number) {
            let flat: Vec<f64> = engine.parameters().iter().map(|word| word.wide()).collect();
            let key = |parameter: &str| format!("{name}.step{number}.{parameter}");
            let allowed = |expected: &[f64]| {
                if wide {
                    F64 * largest(expected).max(1e-3)
                } else {
                    F32_MULTIPLE * figure(number)
                }
            };
            assert_named(&engine, &file, &flat, &key, &allowed);
        }
    }
}

fn plain<T: Float>(network: &Network) -> Engine<T> {
    Engine::reference(network.plan(Mode::Train).unwrap()).unwrap()
}

fn fast<T: Float>(network: &Network) -> Engine<T> {
    network.engine()
}

#[test]
fn every_optimizer_gives_pytorchs_parameters() {
    for (name, optimizer) in [
        ("nesterov", NESTEROV),
        ("rmsprop", RMSPROP),
        ("rmsprop_momentum", RMSPROP_MOMENTUM),
        ("adagrad", ADAGRAD),
    ] {
        let mut network = network("mlp");
        network.optimizer = optimizer;
        agrees::<f64>(name, &network, None, plain);
        agrees::<f32>(name, &network, None, plain);
        agrees::<f32>(name, &network, None, fast);
    }
}

#[test]
fn clipped_gradients_are_those_of_pytorch() {
    let momentum = Optimizer::Sgd {
        lr: 0.05,
        momentum: 0.9,
        nesterov: false,
        weight_decay: 0.0,
    };
    for (name, optimizer, clip) in [
        ("clip_norm", momentum, Clip::Norm(0.3)),
        ("clip_value", ADAM, Clip::Value(0.01)),
    ] {
        let mut network = network("mlp");
        network.optimizer = optimizer;
        agrees::<f64>(name, &network, Some(clip), plain);
        agrees::<f32>(name, &network, Some(clip), plain);
        agrees::<f32>(name, &network, Some(clip), fast);
    }
}

#[test]
fn the_fast_updates_are_the_plain_ones_bit_for_bit_on_any_number_of_threads() {
    for optimizer in [
        SGD,
        NESTEROV,
        ADAM,
        ADAMW,
        RMSPROP,
        RMSPROP_MOMENTUM,
        ADAGRAD,
    ] {
        // Longer than one block of the update, and no multiple of a vector.
        let mut network = Network::new(
            &[203],
            10,
            3,
            vec![crate::networks::linear(101), crate::networks::classes()],
        );
        network.optimizer = optimizer;
        let run = |mut engine: Engine<f32>| {
            engine.initialize(5);
            for round in 0..3 {
                let record: &mut [f32] = bytemuck::cast_slice_mut(engine.record_bytes_mut());
                let words = record.len() - 16;
                for (index, word) in record[..words].iter_mut().enumerate() {
                    *word = ((index * 7 + round * 3) % 23) as f32 * 0.1 - 1.0;
                }
                let tail = 4 * words + 16;
                engine.record_bytes_mut()[tail..tail + 8].copy_from_slice(&3u64.to_le_bytes());
                engine.apply(0.01).unwrap();
            }
            engine.state_digest(&[])
        };
        let plain = run(plain(&network));
        for threads in [1, 2, 3] {
            network.threads = threads;
            assert_eq!(run(network.engine()), plain, "{optimizer:?}");
        }
    }
}

#[test]
fn a_first_step_of_adamw_shrinks_by_the_learning_rate_and_not_by_the_gradient() {
    let mut network = Network::new(&[4], 2, 1, vec![crate::networks::classes()]);
    network.optimizer = ADAMW;
    let mut engine = network.engine::<f32>();
    engine.initialize(3);
    let before = engine.parameters().to_vec();
    // No samples: the gradient is 0 and only the decay is left.
    step(&mut engine, &[], &[], 0.5);
    let decayed: Vec<f64> = before.iter().map(|word| f64::from(*word) * 0.995).collect();
    let after: Vec<f64> = engine.parameters().iter().map(|word| word.wide()).collect();
    assert_close("parameters", &after, &decayed, 1e-7);
}
