//! Initial values by name: moments over many draws, orthogonality, and that a draw depends on seed, parameter and position alone.

use engine::{Engine, Float};
use spec::init::{Fan, Gain, InitRule, Kaiming, Nonlinearity, Values};

use crate::networks::{Network, classes, conv, linear};

fn rule(pattern: &str, values: Values) -> InitRule {
    InitRule {
        patterns: vec![pattern.to_string()],
        values,
    }
}

/// The first parameter of a linear layer of these extents, initialised.
fn weight<T: Float>(outputs: u32, inputs: usize, values: Values, seed: u64) -> Vec<f64> {
    let mut network = Network::new(&[inputs], 2, 1, vec![linear(outputs), classes()]);
    network.init = vec![rule("0.weight", values)];
    let mut engine: Engine<T> = network.engine();
    engine.initialize(seed);
    let words = engine.plan().parameters[0].words();
    let words = &engine.parameters()[words];
    words.iter().map(|word| word.wide()).collect()
}

#[test]
fn values_have_the_moments_and_the_range_of_their_distribution() {
    // 400 x 300 values: a mean strays by deviation / 346, and 5 of those happen once in millions; a variance by variance times
    // sqrt(2 / 120,000) = 0.004 where it is normal, and less where it is uniform.
    let (outputs, inputs) = (400u32, 300usize);
    let kaiming = Kaiming {
        mode: Fan::In,
        nonlinearity: Nonlinearity::Relu,
        slope: 0.0,
    };
    let one = Gain::Number(1.0);
    let uniform = |bound: f64| (0.0, bound / 3f64.sqrt(), Some(bound));
    let cases = [
        (
            Values::XavierUniform { gain: one },
            uniform((6.0 / 700f64).sqrt()),
        ),
        (
            Values::XavierNormal { gain: one },
            (0.0, (2.0 / 700f64).sqrt(), None),
        ),
        (
            Values::KaimingUniform(kaiming),
            uniform((6.0 / 300f64).sqrt()),
        ),
        (
            Values::KaimingNormal(kaiming),
            (0.0, (2.0 / 300f64).sqrt(), None),
        ),
        (
            Values::Normal {
                mean: 0.5,
                std: 0.02,
            },
            (0.5, 0.02, None),
        ),
        (
            Values::Uniform {
                low: -0.1,
                high: 0.1,
            },
            uniform(0.1),
        ),
    ];
    for (values, (mean, deviation, bound)) in cases {
        let drawn = weight::<f32>(outputs, inputs, values, 11);
        let count = drawn.len() as f64;
        let average = drawn.iter().sum::<f64>() / count;
        let variance = drawn
            .iter()
            .map(|x| (x - average) * (x - average))
            .sum::<f64>()
            / count;
        assert!(
            (average - mean).abs() < 5.0 * deviation / count.sqrt(),
            "{values:?}: {average}"
        );
        assert!(
            (variance / (deviation * deviation) - 1.0).abs() < 0.02,
            "{values:?}: {variance}"
        );
        let most = drawn
            .iter()
            .fold(0.0, |most: f64, x| most.max((x - mean).abs()));
        match bound {
            Some(bound) => assert!(
                most <= bound * 1.000001 && most > 0.99 * bound,
                "{values:?}"
            ),
            // Of so many normal values the largest lies about 4.5 deviations out.
            None => {
                assert!(
                    (3.8..6.0).contains(&(most / deviation)),
                    "{values:?}: {most}"
                );
                let within = drawn
                    .iter()
                    .filter(|x| (*x - mean).abs() < deviation)
                    .count();
                assert!((within as f64 / count - 0.6827).abs() < 0.01, "{values:?}");
            }
        }
    }
    let constant = weight::<f32>(3, 4, Values::Constant { value: 0.25 }, 1);
    assert_eq!(constant, [0.25; 12]);
}

#[test]
fn orthogonal_weights_are_orthogonal_along_their_shorter_side() {
    for (outputs, inputs) in [(7u32, 7usize), (24, 8), (8, 24), (1, 5), (130, 67)] {
        let gain = Gain::Of(Nonlinearity::Relu);
        let drawn = weight::<f32>(outputs, inputs, Values::Orthogonal { gain }, 3);
        let rows = outputs as usize;
        let (vectors, length) = (rows.min(inputs), rows.max(inputs));
        let at = |vector: usize, place: usize| {
            if rows <= inputs {
                drawn[vector * inputs + place]
            } else {
                drawn[place * inputs + vector]
            }
        };
        for one in 0..vectors {
            for other in 0..vectors {
                let product: f64 = (0..length)
                    .map(|place| at(one, place) * at(other, place))
                    .sum();
                let expected = 2.0 * f64::from(u8::from(one == other));
                assert!(
                    (product - expected).abs() < 1e-6,
                    "{outputs}x{inputs}: {product}"
                );
            }
        }
    }
}

#[test]
fn what_is_drawn_depends_on_seed_parameter_and_place_alone() {
    let normal = Values::Normal {
        mean: 0.0,
        std: 1.0,
    };
    let gain = Gain::Number(1.0);
    for values in [normal, Values::Orthogonal { gain }] {
        let drawn = weight::<f32>(6, 5, values, 3);
        assert_ne!(weight::<f32>(6, 5, values, 4), drawn);
        let wide = weight::<f64>(6, 5, values, 3);
        let near = |(narrow, wide): (&f64, &f64)| (narrow - wide).abs() < 1e-6;
        assert!(drawn.iter().zip(&wide).all(near), "f32 and f64 draw alike");
    }
    // Other layers, threads and rules for others change nothing.
    let alone = weight::<f32>(6, 5, normal, 3);
    let kinds = vec![linear(6), linear(9), classes()];
    let mut network = Network::new(&[5], 2, 1, kinds);
    network.init = vec![
        rule("1.weight", Values::Orthogonal { gain }),
        rule("*.weight", normal),
    ];
    network.threads = 2;
    let mut engine: Engine<f32> = network.engine();
    engine.initialize(3);
    let words: Vec<f64> = engine.parameters()[..30]
        .iter()
        .map(|word| word.wide())
        .collect();
    assert_eq!(words, alone);
    // A kernel of a convolution is a row of its values.
    let mut network = Network::new(
        &[2, 6, 6],
        2,
        1,
        vec![
            conv(4, [3, 3], [1, 1], [1, 1]),
            spec::model::LayerKind::Flatten,
            classes(),
        ],
    );
    network.init = vec![rule("0.weight", Values::Orthogonal { gain })];
    let mut engine: Engine<f64> = network.engine();
    engine.initialize(3);
    let rows: Vec<&[f64]> = engine.parameters()[..4 * 18].chunks(18).collect();
    for (one, x) in rows.iter().enumerate() {
        for (other, y) in rows.iter().enumerate() {
            let product: f64 = x.iter().zip(*y).map(|(x, y)| x * y).sum();
            assert!((product - f64::from(u8::from(one == other))).abs() < 1e-12);
        }
    }
}
