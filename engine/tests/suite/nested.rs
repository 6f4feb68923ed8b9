//! A network with residuals inside a repeat against PyTorch's numbers, by PyTorch's names.

use std::path::PathBuf;

use engine::{Batch, Engine, Float, Samples};
use plan::Mode;
use serde_json::Value;
use spec::model::LayerKind::{self, GlobalAvgPool, Relu};

use crate::networks::{
    Network, batch_norm, classes, conv, gradient, linear, repeat, residual, step,
};
use crate::pytorch::assert_close;
use crate::tensors::Tensors;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/residuals")
}

fn network() -> Network {
    let same = conv(4, [3, 3], [1, 1], [1, 1]);
    let without_bias = |kind: LayerKind| match kind {
        LayerKind::Conv2d(conv) => LayerKind::Conv2d(spec::model::Conv2d {
            bias: false,
            ..conv
        }),
        other => other,
    };
    let basic = vec![
        without_bias(same.clone()),
        batch_norm(),
        Relu,
        same.clone(),
        batch_norm(),
    ];
    let down = vec![conv(6, [3, 3], [2, 2], [1, 1]), batch_norm()];
    let beside = vec![without_bias(conv(6, [1, 1], [2, 2], [0, 0])), batch_norm()];
    let kinds = vec![
        same,
        residual(basic, vec![]),
        Relu,
        residual(down, beside),
        Relu,
        GlobalAvgPool,
        repeat(2, vec![residual(vec![linear(6), Relu], vec![])]),
        classes(),
    ];
    Network::new(&[3, 6, 5], 4, 7, kinds)
}

/// `rounding` gives what may lie between the numbers of a kind; f64 has ten digits less to lose.
fn agrees<T: Float>(mut engine: Engine<T>, rounding: impl Fn(&str) -> f64) {
    let file = Tensors::open(&folder().join("network.safetensors"));
    let values = |key: &str| file.get(key).into_iter().map(T::of);
    let parameters = engine.plan().parameters.clone();
    let statistics = engine.plan().running_statistics.clone();
    for parameter in &parameters {
        let place = &mut engine.parameters_mut()[parameter.words()];
        for (place, value) in place
            .iter_mut()
            .zip(values(&format!("init.{}", parameter.name)))
        {
            *place = value;
        }
    }
    for statistic in &statistics {
        let place = &mut engine.running_statistics_mut()[statistic.words.clone()];
        let initial = values(&format!("init.{}", statistic.name));
        place
            .iter_mut()
            .zip(initial)
            .for_each(|(place, value)| *place = value);
    }
    let x: Vec<T> = values("x").collect();
    let labels: Vec<u32> = file
        .get("target")
        .iter()
        .map(|&label| label as u32)
        .collect();
    engine
        .train(&Batch::classified(&x, &labels), 0)
        .expect("a microbatch");
    let sums = gradient(&engine, 0);
    for parameter in &parameters {
        let key = format!("f64.gradient.{}", parameter.name);
        let got: Vec<f64> = sums[parameter.words()]
            .iter()
            .map(|sum| sum / 7.0)
            .collect();
        assert_close(&key, &got, &file.get(&key), rounding("gradient"));
    }
    for number in 1..=10 {
        let result = step(&mut engine, &x, &labels, 0.05);
        if number == 1 {
            assert_close(
                "loss",
                &[result.loss.expect("a loss")],
                &file.get("f64.loss"),
                rounding("loss"),
            );
        }
        if ![1, 10].contains(&number) {
            continue;
        }
        let kind = format!("step{number}");
        let flat = engine.parameters().to_vec();
        let running = engine.running_statistics().to_vec();
        let named = parameters
            .iter()
            .map(|parameter| (&parameter.name, &flat[parameter.words()]));
        let kept = statistics
            .iter()
            .map(|statistic| (&statistic.name, &running[statistic.words.clone()]));
        for (name, got) in named.chain(kept) {
            let got: Vec<f64> = got.iter().map(|value| value.wide()).collect();
            let key = format!("f64.{kind}.{name}");
            assert_close(&key, &got, &file.get(&key), rounding(&kind));
        }
    }
    let logits: Vec<f64> = engine
        .logits(Samples::Values(&x))
        .expect("logits")
        .iter()
        .map(|value| value.wide())
        .collect();
    assert_close(
        "logits",
        &logits,
        &file.get("f64.logits"),
        rounding("logits"),
    );
}

#[test]
fn nested_networks_have_pytorchs_numbers_by_pytorchs_names() {
    let manifest = std::fs::read(folder().join("manifest.json")).expect("a manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    // PyTorch's own f32 lies so far from its f64; ours may lie four times as far.
    let figure = |kind: &str| {
        manifest["f32_vs_f64_max_abs_diff"][kind]
            .as_f64()
            .expect("a figure")
    };
    let plan = network().plan(Mode::Train).expect("a plan");
    agrees(
        Engine::<f64>::reference(plan.clone()).expect("an engine"),
        |kind| figure(kind) * 1e-6,
    );
    agrees(Engine::<f32>::reference(plan).expect("an engine"), |kind| {
        figure(kind) * 4.0
    });
    agrees(network().engine::<f32>(), |kind| figure(kind) * 4.0);
}
