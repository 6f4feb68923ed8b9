//! The f32 kernels against the plain loops in f64, on random networks.

use engine::{Batch, Engine, Samples};
use plan::Mode;
use proptest::prelude::*;
use spec::model::Activation;
use spec::model::LayerKind::{self, Flatten, GlobalAvgPool, GlobalMaxPool, Relu, Softmax};

use crate::networks::{
    Network, activations, average, batch_norm, classes, conv, gradient, group_norm, layer_norm,
    linear, pool, simple_cnn,
};

fn any_window() -> impl Strategy<Value = LayerKind> {
    let pair = |most: u32| (1..=most, 1..=most).prop_map(|(h, w)| [h, w]);
    prop_oneof![
        4 => (1u32..20, pair(5), pair(1), (0u32..3, 0u32..3))
            .prop_map(|(filters, kernel, stride, padding)| conv(filters, kernel, stride, padding.into())),
        2 => (1u32..20, pair(4), pair(3), (0u32..5, 0u32..5))
            .prop_map(|(filters, kernel, stride, padding)| conv(filters, kernel, stride, padding.into())),
        2 => (pair(3), pair(3)).prop_map(|(kernel, stride)| pool(kernel, stride, kernel.map(|extent| extent / 2))),
        1 => Just(pool([2, 2], [2, 2], [0, 0])),
        3 => Just(Relu),
        3 => prop::sample::select(activations()),
        1 => (pair(4), pair(3))
            .prop_map(|(kernel, stride)| average(kernel, stride, kernel.map(|extent| extent / 2))),
    ]
}

fn any_network() -> impl Strategy<Value = Network> {
    let input = (1usize..6, 1usize..20, 1usize..40);
    let windows = prop::collection::vec(any_window(), 0..5);
    let between = prop_oneof![
        Just(Relu),
        Just(Softmax),
        prop::sample::select(activations())
    ];
    let dense = prop::collection::vec((1u32..150, between), 0..3);
    (input, windows, dense, 1usize..20).prop_map(|((c, h, w), mut kinds, dense, microbatch)| {
        kinds.push(Flatten);
        for (units, between) in dense {
            kinds.extend([linear(units), between]);
        }
        kinds.push(classes());
        Network::new(&[c, h, w], 5, microbatch, kinds)
    })
}

/// Relative to the largest value: sums of up to a few thousand terms.
fn assert_close(what: &str, fast: &[f64], plain: &[f64]) {
    let largest = plain
        .iter()
        .fold(1e-3, |largest: f64, value| largest.max(value.abs()));
    for (index, (fast, plain)) in fast.iter().zip(plain).enumerate() {
        assert!(
            (fast - plain).abs() <= 2e-5 * largest,
            "{what} {index}: {fast} {plain}"
        );
    }
}

/// What a microbatch leaves for running statistics.
fn statistics<T: engine::Float>(engine: &Engine<T>) -> Vec<f64> {
    let words: &[T] = bytemuck::cast_slice(engine.slot_bytes(0));
    let plan = engine.plan();
    let range = plan.parameter_count..plan.parameter_count + plan.statistic_count;
    words[range].iter().map(|value| value.wide()).collect()
}

/// Both engines after a microbatch: their gradients, once all else agreed.
fn gradients(network: &Network, samples: usize) -> Option<[Vec<f64>; 2]> {
    let Ok(plan) = network.plan(Mode::Train) else {
        return None;
    };
    let mut fast = Engine::<f32>::new(plan.clone(), 1).unwrap();
    let mut plain = Engine::<f64>::reference(plan).unwrap();
    fast.initialize(3);
    plain.initialize(3);
    for (wide, &narrow) in plain.parameters_mut().iter_mut().zip(fast.parameters()) {
        *wide = f64::from(narrow);
    }
    let (x, labels) = network.batch::<f32>(samples, 5);
    let wide: Vec<f64> = x.iter().map(|&value| f64::from(value)).collect();
    let logits: Vec<f64> = fast
        .logits(Samples::Values(&x))
        .unwrap()
        .iter()
        .map(|&value| f64::from(value))
        .collect();
    assert_close(
        "logit",
        &logits,
        plain.logits(Samples::Values(&wide)).unwrap(),
    );
    fast.train(&Batch::classified(&x, &labels), 0).unwrap();
    plain.train(&Batch::classified(&wide, &labels), 0).unwrap();
    assert_close("sum", &statistics(&fast), &statistics(&plain));
    let gradients = [gradient(&fast, 0), gradient(&plain, 0)];
    let [one, other] = [
        fast.evaluate(&Batch::classified(&x, &labels)).unwrap(),
        plain.evaluate(&Batch::classified(&wide, &labels)).unwrap(),
    ];
    assert_close("loss", &[one.loss], &[other.loss]);
    assert_eq!((one.correct, one.samples), (other.correct, other.samples));
    Some(gradients)
}

/// Both engines agree on a microbatch of so many samples.
pub fn agrees(network: &Network, samples: usize) {
    if let Some([fast, plain]) = gradients(network, samples) {
        assert_close("gradient", &fast, &plain);
    }
}

/// Where a value beside 0 may fall on the other side of a relu, or of two almost equal ones another be the largest: then
/// a few gradients go another way, and their distance from each other is small on the whole.
fn nearly_agrees(network: &Network, samples: usize) {
    let Some([fast, plain]) = gradients(network, samples) else {
        return;
    };
    let square =
        |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let apart = square(&mut fast.iter().zip(&plain).map(|(fast, plain)| fast - plain));
    let length = square(&mut plain.iter().copied());
    assert!(apart <= 1e-4 * length, "{apart} {length}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn random_networks_agree_with_the_plain_loops(network in any_network(), short in 0usize..20) {
        agrees(&network, network.microbatch - short.min(network.microbatch - 1));
    }
}

#[test]
fn normalised_networks_agree_with_the_plain_loops() {
    for affine in [true, false] {
        let first = conv(12, [3, 3], [1, 1], [1, 1]);
        for (height, width, samples) in [(5, 7, 3), (16, 16, 9), (9, 31, 2)] {
            for kind in [
                group_norm(4, affine),
                group_norm(12, affine),
                layer_norm(affine),
                batch_norm(),
            ] {
                let kinds = vec![
                    first.clone(),
                    kind,
                    Relu,
                    GlobalAvgPool,
                    linear(9),
                    classes(),
                ];
                agrees(
                    &Network::new(&[3, height, width], 5, samples, kinds),
                    samples,
                );
            }
        }
        for features in [5, 33, 300] {
            let norm = if affine {
                layer_norm(true)
            } else {
                batch_norm()
            };
            let kinds = vec![
                linear(features),
                norm.clone(),
                Relu,
                linear(50),
                norm,
                classes(),
            ];
            agrees(&Network::new(&[20], 5, 19, kinds), 19);
        }
    }
}

#[test]
fn the_largest_of_whole_channels_agrees_with_the_plain_loops() {
    for (channels, height, width, samples) in [
        (1, 1, 1, 1),
        (3, 5, 7, 1),
        (17, 16, 16, 3),
        (33, 9, 31, 2),
        (8, 40, 33, 2),
    ] {
        for between in [Relu, group_norm(1, true)] {
            let first = conv(channels, [3, 3], [1, 1], [1, 1]);
            let kinds = vec![first, between, GlobalMaxPool, classes()];
            agrees(
                &Network::new(&[2, height, width], 5, samples, kinds),
                samples,
            );
        }
        let kinds = vec![GlobalMaxPool, linear(9), classes()];
        let network = Network::new(&[channels as usize, height, width], 5, samples, kinds);
        agrees(&network, samples);
    }
}

/// Sizes that are no multiple of a tile or a vector, samples in groups and cut into bands, one sample, one place.
#[test]
fn convolutions_in_tiles_agree_with_the_plain_loops() {
    for (channels, filters, height, width, samples) in [
        (32u32, 32u32, 28, 28, 1),
        (17, 40, 14, 13, 2),
        (64, 19, 5, 3, 1),
        (24, 33, 4, 4, 20),
        (64, 40, 9, 70, 1),
        (48, 50, 1, 6, 9),
    ] {
        for padding in [[0, 0], [1, 1], [2, 1]] {
            if width == 70 && padding != [1, 1] {
                continue;
            }
            if height + 2 * (padding[0] as usize) < 3 {
                continue;
            }
            let conv = |filters| conv(filters, [3, 3], [1, 1], padding);
            let input = [channels as usize, height, width];
            let (smooth, conv) = (LayerKind::Activation(Activation::Softplus), &conv);
            let network = |kinds| Network::new(&input, 5, samples, kinds);
            let kinds = vec![conv(filters), smooth.clone(), GlobalAvgPool, classes()];
            agrees(&network(kinds), samples);
            let first = [conv(channels), smooth, conv(filters), batch_norm()];
            let last = [Flatten, classes()];
            agrees(&network([&first[..], &last].concat()), samples);
            let half = pool([2, 2], [1, 1], [1, 1]);
            let kinds = [&first[..], &[Relu, half], &last].concat();
            nearly_agrees(&network(kinds), samples);
        }
    }
}

#[test]
fn norms_behind_convolutions_agree_with_the_plain_loops() {
    for pooling in [
        None,
        Some(pool([2, 2], [2, 2], [0, 0])),
        Some(pool([3, 2], [2, 3], [1, 0])),
        Some(pool([17, 17], [3, 3], [8, 8])),
    ] {
        for relu in [vec![], vec![Relu]] {
            for (height, width, samples) in [(6, 5, 1), (18, 16, 5), (13, 31, 17)] {
                let mut kinds = vec![conv(9, [3, 3], [1, 1], [1, 1]), batch_norm()];
                kinds.extend(relu.clone());
                kinds.extend(pooling.clone());
                kinds.extend([conv(21, [3, 1], [2, 1], [1, 0]), batch_norm()]);
                kinds.extend(relu.clone());
                kinds.extend([Flatten, classes()]);
                agrees(
                    &Network::new(&[3, height, width], 5, samples, kinds),
                    samples,
                );
            }
        }
    }
}

#[test]
fn the_networks_of_the_speed_targets_agree_with_the_plain_loops() {
    agrees(&simple_cnn([3, 32, 32], 12, 64, 16), 16);
    let same = |filters| conv(filters, [3, 3], [1, 1], [1, 1]);
    let half = pool([2, 2], [2, 2], [0, 0]);
    let kinds = vec![
        same(32),
        Relu,
        half.clone(),
        same(64),
        Relu,
        half,
        Flatten,
        linear(128),
        Relu,
        classes(),
    ];
    agrees(&Network::new(&[1, 28, 28], 10, 3, kinds), 3);
    agrees(
        &Network::new(
            &[784],
            10,
            33,
            vec![linear(512), Relu, linear(256), Relu, classes()],
        ),
        33,
    );
}
