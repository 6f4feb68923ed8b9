//! Gradients against finite differences in f64, through every operation and awkward shapes.

use engine::{Batch, Targets};
use spec::loss::{ClassWeights, CrossEntropy, Loss, PosWeight};
use spec::model::LayerKind::{
    self, Flatten, GlobalAvgPool, GlobalMaxPool, LogSoftmax, Relu, Softmax,
};

use crate::networks::{
    Network, activations, average, batch_norm, classes, conv, gradient, group_norm, layer_norm,
    linear, pool,
};

/// Step of the central difference: its error is about its fourth power, and the loss rounds at about 1e-16 / 1e-5.
const STEP: f64 = 1e-5;
const TOLERANCE: f64 = 2e-8;

/// Every gradient of a network, or one of many, is the slope of its loss.
pub fn agrees(input: &[usize], samples: usize, kinds: Vec<LayerKind>) {
    let network = Network::new(input, 3, samples, kinds.clone());
    let (x, labels) = network.batch::<f64>(samples, 11);
    agree(
        &network,
        &Batch::classified(&x, &labels),
        &format!("{kinds:?}"),
    );
}

fn agree(network: &Network, batch: &Batch<'_, f64>, what: &str) {
    let mut engine = network.engine::<f64>();
    engine.initialize(5);
    engine.train(batch, 0).unwrap();
    let gradient = gradient(&engine, 0);
    for index in (0..gradient.len()).step_by(gradient.len().div_ceil(150)) {
        let value = engine.parameters()[index];
        let mut loss_at = |value: f64| {
            engine.parameters_mut()[index] = value;
            if engine.running_statistics().is_empty() {
                engine.evaluate(batch).unwrap().loss
            } else {
                // Evaluation would normalise by other statistics.
                engine.train(batch, 0).unwrap();
                let tail = 2 * engine.plan().tail_offset as usize;
                f64::from_le_bytes(*engine.slot_bytes(0)[tail..].first_chunk().unwrap())
            }
        };
        let mut rise = |step: f64| loss_at(value + step) - loss_at(value - step);
        // Batch norms over few samples bend sharply: five points leave out the third derivative too.
        let slope = (8.0 * rise(STEP) - rise(2.0 * STEP)) / (12.0 * STEP);
        loss_at(value);
        let far = (slope - gradient[index]).abs();
        assert!(
            far <= TOLERANCE * slope.abs().max(1.0),
            "parameter {index} of {what}: {slope} {}",
            gradient[index]
        );
    }
    assert!(
        gradient.iter().any(|value| value.abs() > 1e-3),
        "{what} has a gradient"
    );
}

#[test]
fn losses_are_the_sums_that_their_gradients_are_of() {
    let weights = || vec![0.5, 2.0, 1.25];
    let cross_entropy = |label_smoothing, ignore_index, weighs: bool| {
        Loss::CrossEntropy(CrossEntropy {
            label_smoothing,
            ignore_index,
            class_weights: weighs.then(|| ClassWeights::Given(weights())),
        })
    };
    let bce = |pos_weight| Loss::BceWithLogits { pos_weight };
    for loss in [
        cross_entropy(0.0, None, false),
        cross_entropy(0.2, None, false),
        cross_entropy(0.0, Some(1), true),
        cross_entropy(0.2, Some(2), true),
        Loss::Mse,
        Loss::L1,
        Loss::Huber { delta: 0.4 },
        bce(None),
        bce(Some(PosWeight::All(1.5))),
        bce(Some(PosWeight::Each(weights()))),
    ] {
        let mut network = Network::new(&[7], 3, 5, vec![linear(6), Relu, classes()]);
        network.loss = loss;
        let (x, labels) = network.batch::<f64>(5, 11);
        let classified = Batch::classified(&x, &labels);
        agree(&network, &classified, &format!("{:?}", network.loss));
        let values: Vec<f64> = x.iter().take(15).map(|value| value.abs() / 2.0).collect();
        let batch = Batch {
            targets: Targets::Values(&values),
            ..classified
        };
        agree(&network, &batch, &format!("{:?} of values", network.loss));
    }
}

#[test]
fn linear_layers_have_the_gradient_of_their_loss() {
    agrees(&[7], 1, vec![classes()]);
    agrees(&[1], 3, vec![linear(1), classes()]);
    agrees(&[13], 5, vec![linear(17), Relu, linear(9), Relu, classes()]);
    agrees(&[3, 2, 2], 4, vec![Flatten, Relu, linear(5), classes()]);
}

#[test]
fn activations_have_the_gradient_of_their_loss() {
    for kind in activations() {
        agrees(&[7], 3, vec![linear(6), kind.clone(), classes()]);
        let first = conv(3, [2, 2], [1, 1], [1, 1]);
        let twice = vec![first, kind.clone(), Relu, kind, Flatten, classes()];
        agrees(&[2, 4, 3], 2, twice);
    }
    // Each after each: what one keeps, the next may not write over.
    let mut all = vec![linear(5)];
    all.extend(activations());
    all.extend([Relu, linear(4)]);
    all.extend(activations().into_iter().rev());
    agrees(&[7], 4, [all, vec![linear(9), classes()]].concat());
}

#[test]
fn softmaxes_have_the_gradient_of_their_loss() {
    agrees(&[7], 3, vec![linear(19), Softmax, linear(4), classes()]);
    agrees(&[7], 3, vec![linear(5), Relu, LogSoftmax, classes()]);
    let [tanh, gelu] = [3, 0].map(|index| activations()[index].clone());
    let between = vec![linear(5), tanh, Softmax, gelu, LogSoftmax, Relu, LogSoftmax];
    agrees(&[7], 2, [between, vec![classes(), LogSoftmax]].concat());
}

#[test]
fn convolutions_have_the_gradient_of_their_loss() {
    let cases = [
        ([1, 1, 1], conv(2, [1, 1], [1, 1], [0, 0])),
        ([2, 5, 7], conv(3, [3, 3], [1, 1], [1, 1])),
        ([3, 6, 5], conv(2, [2, 3], [2, 1], [0, 2])),
        ([1, 9, 4], conv(4, [5, 1], [3, 2], [2, 0])),
        ([2, 4, 4], conv(5, [4, 4], [1, 1], [0, 0])),
        ([1, 3, 3], conv(2, [2, 2], [1, 1], [3, 4])),
        ([2, 7, 7], conv(2, [3, 2], [4, 5], [1, 3])),
    ];
    for (input, kind) in cases {
        for samples in [1, 3] {
            agrees(&input, samples, vec![kind.clone(), Flatten, classes()]);
            let second = conv(3, [2, 2], [1, 1], [1, 1]);
            agrees(
                &input,
                samples,
                vec![second, kind.clone(), Relu, Flatten, classes()],
            );
        }
    }
}

#[test]
fn poolings_have_the_gradient_of_their_loss() {
    let first = conv(3, [2, 2], [1, 1], [1, 1]);
    for kind in [
        pool([2, 2], [2, 2], [0, 0]),
        pool([3, 3], [1, 1], [1, 1]),
        pool([3, 2], [2, 3], [1, 0]),
        pool([1, 1], [2, 2], [0, 0]),
        pool([2, 5], [3, 1], [1, 2]),
    ] {
        agrees(
            &[2, 6, 7],
            2,
            vec![first.clone(), kind.clone(), Flatten, classes()],
        );
        for norms in [vec![], vec![batch_norm()]] {
            let mut kinds = vec![first.clone()];
            kinds.extend(norms);
            kinds.extend([Relu, kind.clone(), Flatten, classes()]);
            agrees(&[2, 6, 7], 2, kinds);
        }
        agrees(
            &[2, 6, 7],
            2,
            vec![
                first.clone(),
                Relu,
                kind.clone(),
                Relu,
                kind.clone(),
                Flatten,
                classes(),
            ],
        );
        agrees(
            &[2, 6, 7],
            2,
            vec![
                kind.clone(),
                first.clone(),
                Flatten,
                linear(4),
                Relu,
                classes(),
            ],
        );
        agrees(
            &[2, 6, 7],
            9,
            vec![
                first.clone(),
                kind.clone(),
                first.clone(),
                kind,
                Relu,
                Flatten,
                classes(),
            ],
        );
    }
}

#[test]
fn average_poolings_have_the_gradient_of_their_loss() {
    let first = conv(3, [2, 2], [1, 1], [1, 1]);
    for kind in [
        average([2, 2], [2, 2], [0, 0]),
        average([3, 3], [1, 1], [1, 1]),
        average([3, 2], [2, 3], [1, 0]),
        average([6, 7], [1, 1], [0, 0]),
        average([2, 5], [3, 1], [1, 2]),
    ] {
        let tail = [Relu, Flatten, classes()];
        let kinds = [&[first.clone(), kind.clone()], &tail[..]].concat();
        agrees(&[2, 6, 7], 3, kinds);
        let kinds = [&[kind, first.clone()], &tail[..]].concat();
        agrees(&[2, 6, 7], 3, kinds);
    }
    agrees(&[2, 6, 7], 3, vec![first, GlobalAvgPool, classes()]);
}

#[test]
fn the_largest_of_whole_channels_has_the_gradient_of_its_loss() {
    for shape in [[2, 6, 7], [2, 2, 2], [1, 3, 2], [2, 17, 18]] {
        for first in [
            conv(3, [2, 2], [1, 1], [1, 1]),
            conv(3, [1, 1], [1, 1], [0, 0]),
        ] {
            agrees(&shape, 3, vec![first.clone(), GlobalMaxPool, classes()]);
            let smooth = average([2, 2], [1, 1], [0, 0]);
            agrees(&shape, 1, vec![first, smooth, GlobalMaxPool, classes()]);
        }
    }
}

#[test]
fn layer_and_group_norms_have_the_gradient_of_their_loss() {
    for affine in [true, false] {
        let layer = layer_norm(affine);
        let tail = [linear(4), layer.clone(), Relu, classes()];
        agrees(&[7], 1, [&[linear(5), layer.clone()], &tail[..]].concat());
        agrees(&[19], 4, [std::slice::from_ref(&layer), &tail[..]].concat());
        let first = conv(6, [2, 2], [1, 1], [1, 1]);
        for kind in [layer, group_norm(3, affine), group_norm(1, affine)] {
            let kinds = vec![first.clone(), kind.clone(), Relu, Flatten, classes()];
            agrees(&[2, 4, 5], 3, kinds);
            let kinds = vec![kind.clone(), first.clone(), Relu, GlobalAvgPool, classes()];
            if !matches!(kind, LayerKind::GroupNorm(ref norm) if norm.groups == 3) {
                agrees(&[2, 4, 5], 2, kinds);
            }
        }
        let flat = vec![linear(8), group_norm(2, affine), linear(4), classes()];
        agrees(&[7], 3, flat);
    }
}

#[test]
fn batch_norms_have_the_gradient_of_their_loss() {
    let first = conv(3, [2, 2], [1, 1], [1, 1]);
    for samples in [4, 9] {
        let norm = batch_norm();
        let flat = vec![
            linear(5),
            norm.clone(),
            Relu,
            linear(4),
            norm.clone(),
            classes(),
        ];
        agrees(&[7], samples, flat);
        agrees(&[19], samples, vec![norm.clone(), classes()]);
        let images = vec![
            first.clone(),
            norm.clone(),
            Relu,
            first.clone(),
            norm.clone(),
        ];
        let images = [
            images,
            vec![pool([2, 2], [2, 2], [0, 0]), Flatten, classes()],
        ]
        .concat();
        agrees(&[2, 4, 5], samples, images);
        let pooled = vec![norm.clone(), first.clone(), norm, GlobalAvgPool, classes()];
        agrees(&[2, 3, 3], samples, pooled);
    }
    // One sample has a variance where a channel has several values.
    agrees(
        &[2, 4, 5],
        1,
        vec![first, batch_norm(), Relu, Flatten, classes()],
    );
}
