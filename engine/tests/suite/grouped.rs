//! Convolutions with dilation and groups: their gradients, the fast kernels beside the plain loops, and PyTorch's numbers
//! (tests/fixtures/gen_convolutions.py).

use std::path::Path;

use engine::{Batch, Engine, Float, Samples};
use plan::Mode;
use spec::model::LayerKind::{self, Flatten, GlobalAvgPool, Relu};
use spec::model::{Conv2d, Pair};

use crate::networks::{Network, average, batch_norm, classes, conv, gradient, pool};
use crate::pytorch::assert_close;
use crate::tensors::Tensors;
use crate::{differences, fast};

/// A convolution of 3x2 windows, or of what else is given.
fn grouped(filters: u32, groups: u32, stride: u32, dilation: [u32; 2], bias: bool) -> LayerKind {
    let [h, w] = dilation;
    LayerKind::Conv2d(Conv2d {
        filters,
        kernel: Pair { h: 3, w: 2 },
        stride: Pair::both(stride),
        padding: Pair { h, w: 1 },
        dilation: Pair { h, w },
        groups,
        bias,
    })
}

/// Channels, filters, groups, stride, dilation.
type Case = (usize, u32, u32, u32, [u32; 2]);

const CASES: [Case; 12] = [
    // Dilation alone, and with strides.
    (3, 5, 1, 1, [2, 2]),
    (3, 5, 1, 2, [2, 3]),
    (2, 13, 1, 3, [3, 1]),
    // Groups.
    (4, 6, 2, 1, [1, 1]),
    (6, 9, 3, 2, [1, 1]),
    (4, 34, 2, 1, [2, 1]),
    // A filter, and several, for each channel.
    (5, 5, 5, 1, [1, 1]),
    (5, 5, 5, 2, [1, 1]),
    (3, 6, 3, 1, [2, 3]),
    (3, 9, 3, 2, [2, 3]),
    (32, 32, 32, 1, [1, 1]),
    // All channels to one filter a group.
    (8, 2, 2, 1, [1, 2]),
];

#[test]
fn convolutions_with_dilation_and_groups_have_the_gradient_of_their_loss() {
    for (number, (channels, filters, groups, stride, dilation)) in CASES.into_iter().enumerate() {
        let wide = grouped(filters, groups, stride, dilation, number % 2 == 0);
        let first = conv(channels as u32, [1, 1], [1, 1], [0, 0]);
        let samples = 1 + number % 3;
        differences::agrees(
            &[2, 7, 6],
            samples,
            vec![first, Relu, wide, Flatten, classes()],
        );
    }
}

/// What comes behind the convolution in its own stage, or before it.
fn networks() -> impl Iterator<Item = Network> {
    CASES
        .into_iter()
        .flat_map(|(channels, filters, groups, stride, dilation)| {
            let shapes = [(7, 6, 1), (9, 31, 5), (16, 16, 9)];
            shapes
                .into_iter()
                .flat_map(move |(height, width, samples)| {
                    let wide = |bias| grouped(filters, groups, stride, dilation, bias);
                    let same = conv(channels as u32, [3, 3], [1, 1], [1, 1]);
                    [
                        vec![wide(true), Flatten, classes()],
                        vec![
                            same.clone(),
                            wide(true),
                            Relu,
                            pool([2, 2], [2, 2], [0, 0]),
                            Flatten,
                            classes(),
                        ],
                        vec![wide(false), batch_norm(), Relu, GlobalAvgPool, classes()],
                        vec![
                            average([3, 3], [1, 1], [1, 1]),
                            wide(false),
                            Relu,
                            Flatten,
                            classes(),
                        ],
                    ]
                    .map(|kinds| Network::new(&[channels, height, width], 5, samples, kinds))
                })
        })
}

#[test]
fn fast_convolutions_with_dilation_and_groups_agree_with_the_plain_loops() {
    for network in networks() {
        assert!(network.plan(Mode::Train).is_ok(), "{network:?}");
        fast::agrees(&network, network.microbatch);
        fast::agrees(&network, 1);
    }
}

#[test]
fn threads_do_not_change_the_bits_of_convolutions_with_dilation_and_groups() {
    for mut network in networks() {
        let bits = |network: &Network| -> Vec<u32> {
            let mut engine = network.engine::<f32>();
            engine.initialize(3);
            let (x, labels) = network.batch::<f32>(network.microbatch, 5);
            let batch = Batch::classified(&x, &labels);
            engine.train(&batch, 0).expect("a microbatch");
            let sums: &[f32] = bytemuck::cast_slice(engine.slot_bytes(0));
            sums.iter().map(|sum| sum.to_bits()).collect()
        };
        let one = bits(&network);
        network.threads = 2;
        assert!(one == bits(&network), "{network:?}");
    }
}

/// The network of the fixture.
fn fixture() -> Network {
    let wide =
        |filters, groups, [stride, dilation, padding]: [[u32; 2]; 3], kernel: [u32; 2], bias| {
            let pair = |[h, w]: [u32; 2]| Pair { h, w };
            LayerKind::Conv2d(Conv2d {
                filters,
                kernel: pair(kernel),
                stride: pair(stride),
                padding: pair(padding),
                dilation: pair(dilation),
                groups,
                bias,
            })
        };
    let kinds = vec![
        wide(6, 1, [[1, 1], [2, 1], [2, 1]], [3, 3], true),
        Relu,
        wide(6, 6, [[2, 1], [1, 2], [1, 2]], [3, 3], false),
        batch_norm(),
        Relu,
        wide(9, 3, [[1, 2], [2, 2], [1, 0]], [2, 3], true),
        Relu,
        wide(18, 9, [[1, 1], [1, 1], [1, 1]], [2, 2], true),
        Flatten,
        classes(),
    ];
    Network::new(&[3, 11, 12], 4, 5, kinds)
}

/// `rounding` is what may lie between the numbers, relative to the largest of a tensor.
fn agrees<T: Float>(mut engine: Engine<T>, rounding: f64) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/convolutions");
    let file = Tensors::open(&folder.join("network.safetensors"));
    let values = |key: &str| -> Vec<T> { file.get(key).into_iter().map(T::of).collect() };
    // Running statistics of 0 and 1, as PyTorch's.
    engine.initialize(1);
    let parameters = engine.plan().parameters.clone();
    for parameter in &parameters {
        let values = values(&format!("init.{}", parameter.name));
        engine.parameters_mut()[parameter.words()].copy_from_slice(&values);
    }
    let x = values("x");
    let labels: Vec<u32> = file
        .get("target")
        .iter()
        .map(|&label| label as u32)
        .collect();
    let close = |key: &str, got: &[f64]| {
        let expected = file.get(key);
        let largest = expected
            .iter()
            .fold(0.0, |most: f64, value| value.abs().max(most));
        assert!(largest > 1e-3, "{key}: too little to compare");
        assert_close(key, got, &expected, rounding * largest);
    };
    let logits = engine.logits(Samples::Values(&x)).expect("logits");
    let logits: Vec<f64> = logits.iter().map(|value| value.wide()).collect();
    close("logits", &logits);
    engine
        .train(&Batch::classified(&x, &labels), 0)
        .expect("a microbatch");
    let sums = gradient(&engine, 0);
    for parameter in &parameters {
        let sums = sums[parameter.words()].iter();
        let means: Vec<f64> = sums.map(|sum| sum / labels.len() as f64).collect();
        close(&format!("gradient.{}", parameter.name), &means);
    }
}

#[test]
fn dilation_and_groups_have_pytorchs_numbers_by_pytorchs_names() {
    let network = fixture();
    let plan = network.plan(Mode::Train).expect("a plan");
    agrees(Engine::<f64>::reference(plan).expect("an engine"), 1e-10);
    agrees(network.engine::<f32>(), 1e-5);
}
