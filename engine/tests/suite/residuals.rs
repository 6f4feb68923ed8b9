//! Residuals, inside each other and repeated: their gradients, and the fast kernels beside the plain loops.

use engine::{Batch, Engine};
use plan::Mode;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use spec::model::LayerKind::{self, Flatten, GlobalAvgPool, LogSoftmax, Relu};

use crate::differences::agrees;
use crate::networks::{
    Network, activations, average, batch_norm, classes, conv, dropout, gradient, group_norm,
    layer_norm, linear, pool, repeat, residual,
};

/// A convolution of three channels that keeps the shape.
fn same() -> LayerKind {
    conv(3, [3, 3], [1, 1], [1, 1])
}

fn halve() -> LayerKind {
    conv(3, [3, 3], [2, 2], [1, 1])
}

#[test]
fn residuals_have_the_gradient_of_their_loss() {
    let block = |body: Vec<LayerKind>| residual(body, vec![]);
    let basic = vec![same(), batch_norm(), Relu, same(), batch_norm()];
    let projected = residual(
        [vec![halve()], basic[1..].to_vec()].concat(),
        vec![conv(3, [1, 1], [2, 2], [0, 0]), batch_norm()],
    );
    let cases = [
        vec![same(), block(basic.clone()), Relu],
        vec![block(basic.clone()), Relu, projected.clone(), Relu],
        vec![
            same(),
            Relu,
            block(vec![Relu]),
            block(vec![Relu, same(), Relu]),
            Relu,
        ],
        vec![
            same(),
            block(vec![same(), Relu, pool([3, 3], [1, 1], [1, 1])]),
        ],
        // Two adds end at once, and two forks begin at once.
        vec![
            same(),
            block(vec![block(vec![same(), Relu]), block(vec![Relu, same()])]),
        ],
        vec![
            same(),
            block(vec![block(vec![block(vec![batch_norm()])])]),
            Relu,
        ],
        // What a branch keeps, the other may not write over.
        vec![
            same(),
            activations()[3].clone(),
            residual(vec![same()], vec![Relu]),
            same(),
        ],
        vec![
            same(),
            residual(vec![activations()[0].clone()], vec![Relu, same()]),
            Relu,
        ],
        vec![
            same(),
            residual(
                vec![Relu, activations()[3].clone()],
                vec![batch_norm(), Relu],
            ),
        ],
        vec![
            residual(
                vec![same(), Relu],
                vec![average([3, 3], [1, 1], [1, 1]), Relu],
            ),
            same(),
        ],
        vec![
            repeat(3, vec![block(vec![group_norm(3, true), Relu, same()])]),
            layer_norm(true),
        ],
    ];
    for (number, first) in cases.into_iter().enumerate() {
        let kinds = [first, vec![GlobalAvgPool, classes()]].concat();
        agrees(&[3, 5, 4], 3 + number % 3, kinds);
    }
    let flat = residual(vec![Flatten, linear(6), Relu], vec![Flatten]);
    agrees(
        &[6, 1, 1],
        4,
        vec![
            flat,
            linear(4),
            LogSoftmax,
            residual(vec![linear(3)], vec![linear(3)]),
            LogSoftmax,
        ],
    );
    // The last stage is an add, and the first is a fork.
    agrees(
        &[3],
        2,
        vec![residual(vec![linear(5), Relu, linear(3)], vec![])],
    );
}

fn keeping() -> impl Strategy<Value = LayerKind> {
    prop_oneof![
        3 => prop::sample::select(vec![same(), conv(3, [1, 1], [1, 1], [0, 0])]),
        2 => Just(Relu),
        1 => Just(dropout(0.3)),
        1 => prop::sample::select(vec![batch_norm(), group_norm(3, true), layer_norm(false)]),
        2 => prop::sample::select(activations()),
    ]
}

fn nested() -> impl Strategy<Value = LayerKind> {
    keeping().prop_recursive(3, 16, 4, |inner| {
        let list = || prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            3 => (list(), prop_oneof![Just(vec![]), list()])
                .prop_map(|(body, shortcut)| residual(body, shortcut)),
            1 => (1u32..3, list()).prop_map(|(times, kinds)| repeat(times, kinds)),
        ]
    })
}

/// Gradients by finite differences along one direction through all parameters, in f64, and by the fast kernels, at a point
/// of parameters and samples. A wrong gradient is wrong everywhere; a kink (of a relu) lies in the way now and then.
fn consistent(network: &Network, samples: usize, seed: u64) -> Result<(), String> {
    let plan = network.plan(Mode::Train).expect("a plan");
    let mut plain = Engine::<f64>::reference(plan.clone()).expect("an engine");
    plain.initialize(seed);
    // Biases of norms begin as 0, where a relu that follows has its kink.
    for (index, value) in plain.parameters_mut().iter_mut().enumerate() {
        *value += ((index * 6277) % 17) as f64 / 85.0 - 0.09;
    }
    let (x, labels) = network.batch::<f64>(samples, seed);
    plain
        .train(&Batch::classified(&x, &labels), 0)
        .expect("a microbatch");
    let exact = gradient(&plain, 0);
    let start = plain.parameters().to_vec();
    let tail = 2 * plan.tail_offset as usize;
    let mut loss = |step: f64| {
        for (index, (value, start)) in plain.parameters_mut().iter_mut().zip(&start).enumerate() {
            let direction = ((index * 7919) % 13) as f64 / 6.5 - 0.9;
            *value = start + step * direction;
        }
        plain
            .train(&Batch::classified(&x, &labels), 0)
            .expect("a microbatch");
        f64::from_le_bytes(*plain.slot_bytes(0)[tail..].first_chunk().expect("a loss"))
    };
    let mut rise = |step: f64| loss(step) - loss(-step);
    let step = 1e-6;
    let slope = (8.0 * rise(step) - rise(2.0 * step)) / (12.0 * step);
    let along = |(index, value): (usize, &f64)| value * (((index * 7919) % 13) as f64 / 6.5 - 0.9);
    let expected: f64 = exact.iter().enumerate().map(along).sum();
    let size: f64 = exact.iter().map(|value| value.abs()).sum();
    if (slope - expected).abs() > 1e-6 * size.max(1.0) {
        return Err(format!("{slope} {expected}"));
    }
    let mut fast = Engine::<f32>::new(plan, network.threads).expect("an engine");
    for (fast, &plain) in fast.parameters_mut().iter_mut().zip(&start) {
        *fast = plain as f32;
    }
    let (x, labels) = network.batch::<f32>(samples, seed);
    fast.train(&Batch::classified(&x, &labels), 0)
        .expect("a microbatch");
    let largest = exact
        .iter()
        .fold(1e-2, |largest: f64, value| largest.max(value.abs()));
    for (index, (fast, exact)) in gradient(&fast, 0).iter().zip(&exact).enumerate() {
        if (fast - exact).abs() > 5e-3 * largest {
            return Err(format!("{index}: {fast} {exact}"));
        }
    }
    Ok(())
}

#[test]
fn random_nested_networks_have_the_gradient_of_their_loss() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::with_cases(300), rng);
    let list = |least| prop::collection::vec(nested(), least..4);
    let networks = ((list(1), list(0), list(0)), 2usize..6, 1usize..3);
    let result = runner.run(
        &networks,
        |((mut kinds, body, beside), samples, threads)| {
            let shortcut = [vec![conv(3, [1, 1], [2, 2], [0, 0])], beside].concat();
            kinds.push(residual([vec![halve()], body].concat(), shortcut));
            kinds.extend([GlobalAvgPool, classes()]);
            let mut network = Network::new(&[3, 4, 5], 4, samples, kinds);
            network.threads = threads;
            let tried = [5, 6, 7].map(|seed| consistent(&network, samples, seed));
            prop_assert!(tried.iter().any(Result::is_ok), "{tried:?} {network:?}");
            Ok(())
        },
    );
    result.expect("every network agrees");
}
