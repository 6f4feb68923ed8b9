//! Layers of sequences: gradients, fast kernels against plain ones, packing, and what is refused.

use std::ops::Range;

use engine::{Engine, Error, Samples};
use plan::{Mode, Per};
use spec::model::{LayerKind, Linear, Size};
use spec::recurrent::{Cell, Embedding, Nonlinearity, Output};

use crate::given::{both_ways, embedding, given, on_tokens, on_values, recurrent, without_bias};
use crate::networks::{Network, SGD, classes, dropout, gradient, layer_norm, linear};

const CELLS: [Cell; 4] = [
    Cell::Rnn(Nonlinearity::Tanh),
    Cell::Rnn(Nonlinearity::Relu),
    Cell::Lstm,
    Cell::Gru,
];

/// The words of the vector of the padding token, where the first layer has one: it gets no gradient.
fn padding_words(network: &Network) -> Range<usize> {
    match network.model.layers[0].kind {
        LayerKind::Embedding(Embedding {
            size,
            padding_index: Some(index),
        }) => (index * size) as usize..((index + 1) * size) as usize,
        _ => 0..0,
    }
}

fn agrees(network: &Network, lengths: &[u32]) {
    let mut engine = network.engine::<f64>();
    engine.initialize(5);
    let given = given::<f64>(network, lengths, 11);
    engine.train(&given.batch(), 0).expect("what fits");
    let gradient = gradient(&engine, 0);
    let kinds = &network.model;
    let padding = padding_words(network);
    assert!(gradient[padding.clone()].iter().all(|&value| value == 0.0));
    for index in (0..gradient.len()).step_by(gradient.len().div_ceil(150)) {
        if padding.contains(&index) {
            continue;
        }
        let value = engine.parameters()[index];
        let mut loss_at = |value: f64| {
            engine.parameters_mut()[index] = value;
            engine.evaluate(&given.batch()).expect("what fits").loss
        };
        let slope = (loss_at(value + 1e-5) - loss_at(value - 1e-5)) / 2e-5;
        loss_at(value);
        let far = (slope - gradient[index]).abs();
        assert!(
            far <= 2e-8 * slope.abs().max(1.0),
            "parameter {index} of {kinds:?}: {slope} {}",
            gradient[index]
        );
    }
    assert!(
        gradient.iter().any(|value| value.abs() > 1e-3),
        "{kinds:?} has a gradient"
    );
}

#[test]
fn recurrent_layers_have_the_gradient_of_their_loss() {
    for cell in CELLS {
        let plain = |output| recurrent(cell, 4, 1, output);
        for kind in [
            plain(Output::All),
            both_ways(plain(Output::All)),
            without_bias(plain(Output::All)),
        ] {
            agrees(
                &on_values([3, 5, 4], Per::Step, vec![kind, classes()]),
                &[5, 1, 3, 3],
            );
        }
        // Later steps read what a relu behind the layer cuts.
        let cut = vec![plain(Output::All), LayerKind::Relu, classes()];
        agrees(&on_values([3, 5, 4], Per::Step, cut), &[5, 1, 3, 3]);
        for output in [Output::Last, Output::Mean] {
            for kind in [plain(output), both_ways(recurrent(cell, 3, 2, output))] {
                let network = on_values([2, 4, 3], Per::Sample, vec![kind, classes()]);
                agrees(&network, &[2, 4, 1]);
                agrees(&network, &[3, 3, 3]);
            }
        }
        // One sequence of one step.
        agrees(
            &on_values([1, 1, 1], Per::Step, vec![plain(Output::All), classes()]),
            &[1],
        );
    }
}

/// Of each feature the largest, wherever in the sequence it stands.
fn largest_over_time() -> Vec<Network> {
    let most = LayerKind::GlobalMaxPool;
    let both = both_ways(recurrent(Cell::Gru, 3, 1, Output::All));
    vec![
        on_tokens(
            [19, 5, 4],
            Per::Sample,
            vec![embedding(7, None), most.clone(), classes()],
        ),
        on_tokens(
            [6, 5, 4],
            Per::Sample,
            vec![embedding(3, Some(2)), both.clone(), most.clone(), classes()],
        ),
        on_values([3, 5, 4], Per::Sample, vec![both, most, classes()]),
        on_values(
            [4, 5, 4],
            Per::Sample,
            vec![linear(9), LayerKind::GlobalMaxPool, classes()],
        ),
    ]
}

#[test]
fn the_largest_over_time_has_the_gradient_of_its_loss() {
    for network in largest_over_time() {
        for lengths in [&[5, 3, 3, 1][..], &[1], &[4, 4], &[5]] {
            agrees(&network, lengths);
        }
    }
}

#[test]
fn the_largest_over_time_is_the_plain_one_with_the_same_bits_for_any_threads() {
    for mut network in largest_over_time() {
        network.optimizer = SGD;
        for lengths in [&[5, 3, 3, 1][..], &[1], &[4, 4], &[5]] {
            fast_and_plain(&network, lengths);
            let given = given::<f32>(&network, lengths, 7);
            let run = |threads: usize| {
                let mut network = network.clone();
                network.threads = threads;
                let mut engine = network.engine::<f32>();
                engine.initialize(2);
                engine.train(&given.batch(), 0).unwrap();
                let logits = engine.logits(given.batch().samples).unwrap().to_vec();
                (engine.slot_bytes(0).to_vec(), logits)
            };
            assert!(run(1) == run(2), "{lengths:?}");
        }
    }
}

#[test]
fn embeddings_alone_and_before_recurrent_layers_have_the_gradient_of_their_loss() {
    let mean = LayerKind::GlobalAvgPool;
    for padding in [None, Some(2)] {
        let kinds = vec![embedding(3, padding), mean.clone(), classes()];
        agrees(&on_tokens([7, 4, 3], Per::Sample, kinds), &[4, 1, 2]);
        for cell in CELLS {
            let kinds = || {
                vec![
                    embedding(3, padding),
                    both_ways(recurrent(cell, 2, 1, Output::All)),
                    classes(),
                ]
            };
            // More tokens than rows, and fewer: then they are projected once each.
            agrees(&on_tokens([19, 3, 3], Per::Step, kinds()), &[3, 1, 2]);
            agrees(&on_tokens([5, 6, 4], Per::Step, kinds()), &[6, 6, 2, 1]);
        }
    }
    let kinds = vec![
        embedding(6, None),
        layer_norm(true),
        linear(4),
        LayerKind::Softmax,
        classes(),
    ];
    agrees(&on_tokens([9, 3, 2], Per::Step, kinds), &[3, 2]);
}

fn tied(name: &str) -> LayerKind {
    LayerKind::Linear(Linear {
        units: Size::Vocabulary,
        bias: true,
        tied: Some(name.into()),
    })
}

#[test]
fn a_tied_weight_gets_the_gradient_of_both_its_uses() {
    for vocabulary in [5, 30] {
        let kinds = vec![
            embedding(3, None),
            recurrent(Cell::Lstm, 3, 1, Output::All),
            tied("0"),
        ];
        let mut network = on_tokens([vocabulary, 4, 3], Per::Step, kinds);
        network.classes = vocabulary;
        let plan = network.plan(Mode::Train).unwrap();
        let names: Vec<&str> = plan.parameters.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "0.weight",
                "1.weight_ih_l0",
                "1.weight_hh_l0",
                "1.bias_ih_l0",
                "1.bias_hh_l0",
                "2.bias"
            ]
        );
        agrees(&network, &[4, 4, 2]);
    }
}

fn assert_close(what: &str, got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len());
    let largest = expected
        .iter()
        .fold(1e-3, |most: f64, value| most.max(value.abs()));
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        // A few hundred roundings in f32, of sums of some hundred terms.
        assert!(
            (got - expected).abs() <= 2e-5 * largest,
            "{what} {index}: {got} {expected}"
        );
    }
}

/// The fast kernels against the plain ones in f64, from the same parameters.
fn fast_and_plain(network: &Network, lengths: &[u32]) {
    let plan = network.plan(Mode::Train).expect("what fits");
    let mut fast = Engine::<f32>::new(plan.clone(), network.threads).expect("what fits");
    let mut plain = Engine::<f64>::reference(plan).expect("what fits");
    fast.initialize(3);
    for (wide, &narrow) in plain.parameters_mut().iter_mut().zip(fast.parameters()) {
        *wide = f64::from(narrow);
    }
    let (narrow, wide) = (
        given::<f32>(network, lengths, 5),
        given::<f64>(network, lengths, 5),
    );
    let logits: Vec<f64> = fast
        .logits(narrow.batch().samples)
        .expect("what fits")
        .iter()
        .map(|&value| f64::from(value))
        .collect();
    assert_close(
        "logit",
        &logits,
        plain.logits(wide.batch().samples).expect("what fits"),
    );
    fast.train(&narrow.batch(), 0).expect("what fits");
    plain.train(&wide.batch(), 0).expect("what fits");
    assert_close("gradient", &gradient(&fast, 0), &gradient(&plain, 0));
}

#[test]
fn fast_recurrent_layers_are_the_plain_ones_at_any_extents() {
    for cell in CELLS {
        for hidden in [1, 7, 16, 33] {
            let kind = |layers| both_ways(recurrent(cell, hidden, layers, Output::All));
            let network = on_values([5, 6, 9], Per::Step, vec![kind(1), classes()]);
            for lengths in [
                &[6, 6, 6][..],
                &[1],
                &[6, 5, 5, 4, 4, 3, 2, 1, 1],
                &[2, 2, 2, 2, 1],
            ] {
                fast_and_plain(&network, lengths);
            }
            let kinds = vec![embedding(9, Some(1)), kind(2), classes()];
            fast_and_plain(
                &on_tokens([70, 6, 9], Per::Step, kinds.clone()),
                &[6, 6, 4, 1],
            );
            fast_and_plain(&on_tokens([3, 6, 9], Per::Step, kinds), &[6, 6, 4, 1]);
        }
    }
}

#[test]
fn a_dropout_over_steps_drops_the_same_values_on_both_devices() {
    let layer = recurrent(Cell::Gru, 40, 1, Output::All);
    let kinds = vec![layer, dropout(0.4), classes()];
    fast_and_plain(&on_values([7, 5, 4], Per::Step, kinds), &[5, 1, 3, 3]);
}

#[test]
fn threads_and_the_samples_beside_change_no_bit_of_a_recurrent_layer() {
    for cell in CELLS {
        let kinds = vec![
            embedding(12, None),
            both_ways(recurrent(cell, 20, 2, Output::Last)),
            classes(),
        ];
        let mut network = on_tokens([40, 9, 13], Per::Sample, kinds);
        network.optimizer = SGD;
        let lengths = [9, 9, 8, 7, 7, 6, 4, 4, 3, 2, 2, 1, 1];
        let given = given::<f32>(&network, &lengths, 7);
        let run = |threads: usize| {
            let mut network = network.clone();
            network.threads = threads;
            let mut engine = network.engine::<f32>();
            engine.initialize(2);
            engine.train(&given.batch(), 0).unwrap();
            let logits = engine.logits(given.batch().samples).unwrap().to_vec();
            (engine.slot_bytes(0).to_vec(), logits)
        };
        let one = run(1);
        assert!(one == run(2) && one == run(3));
        // The longest alone: its tokens stand at the beginning of every step.
        let mut engine = network.engine::<f32>();
        engine.initialize(2);
        let ids = given.ids.clone().unwrap();
        let (mut at, mut alone) = (0, Vec::new());
        for step in 0..9 {
            alone.push(ids[at]);
            at += lengths.iter().filter(|&&length| length > step).count();
        }
        let samples = Samples::Tokens {
            ids: &alone,
            lengths: &[9],
        };
        let logits = engine.logits(samples).unwrap();
        assert_eq!(logits, &one.1[..5]);
    }
}

#[test]
fn sequences_that_do_not_fit_are_refused() {
    let kinds = vec![
        embedding(2, None),
        recurrent(Cell::Gru, 2, 1, Output::Last),
        classes(),
    ];
    let network = on_tokens([6, 3, 2], Per::Sample, kinds);
    let mut engine = network.engine::<f32>();
    engine.initialize(1);
    let refused = |engine: &mut Engine<f32>, ids: &[u32], lengths: &[u32]| {
        let samples = Samples::Tokens { ids, lengths };
        engine
            .logits(samples)
            .expect_err("what does not fit")
            .to_string()
    };
    assert_eq!(
        refused(&mut engine, &[1, 2], &[2, 0]),
        "sequence 1 of the microbatch has 0 steps: 1 to 3 are planned for"
    );
    assert_eq!(
        refused(&mut engine, &[1, 2, 3, 4], &[4]),
        "sequence 0 of the microbatch has 4 steps: 1 to 3 are planned for"
    );
    assert_eq!(
        refused(&mut engine, &[1, 2, 3], &[1, 2]),
        "sequence 1 of the microbatch is longer than the one before it: the longest come first"
    );
    assert_eq!(
        refused(&mut engine, &[1, 2, 6], &[2, 1]),
        "row 2 of the microbatch has token 6, but the vocabulary has 6, 0 to 5"
    );
    assert_eq!(
        refused(&mut engine, &[1, 2], &[2, 1]),
        "the sequences have 3 steps together, but 2 rows were given"
    );
    assert!(matches!(
        engine.logits(Samples::Values(&[1.0])),
        Err(Error::SampleKind {
            expected: "sequences of tokens"
        })
    ));
    let Err(error) = Network::new(
        &[4],
        5,
        2,
        vec![recurrent(Cell::Lstm, 3, 1, Output::Last), classes()],
    )
    .plan(Mode::Train) else {
        panic!("values are no sequence");
    };
    assert_eq!(
        error.to_string(),
        "layer 0 (lstm) needs a sequence of values, but gets 4: put { embedding = 64 } before it, on a dataset of text"
    );
}
