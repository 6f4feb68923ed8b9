//! What must not change a bit, and what must agree within rounding.

use engine::{Batch, Engine, Fault, Samples};
use plan::Mode;
use spec::model::LayerKind::{Flatten, GlobalAvgPool, LogSoftmax, Relu, Softmax};

use crate::networks::{
    ADAM, Network, SGD, activations, average, batch_norm, classes, conv, gradient, group_norm,
    layer_norm, linear, pool, simple_cnn, step,
};

fn networks() -> Vec<Network> {
    let strided = vec![
        conv(5, [3, 2], [2, 1], [1, 1]),
        Relu,
        conv(7, [3, 3], [1, 1], [1, 1]),
        Relu,
        pool([3, 2], [2, 2], [1, 0]),
        Flatten,
        linear(33),
        Relu,
        classes(),
    ];
    let mut activated = vec![conv(9, [3, 3], [1, 1], [1, 1])];
    activated.extend(activations());
    activated.extend([Flatten, linear(301), Softmax, linear(40)]);
    activated.extend(activations());
    activated.extend([LogSoftmax, classes()]);
    let batch_normalised = vec![
        conv(12, [3, 3], [1, 1], [1, 1]),
        batch_norm(),
        Relu,
        pool([2, 2], [2, 2], [0, 0]),
        conv(70, [3, 3], [1, 1], [1, 1]),
        batch_norm(),
        Relu,
        Flatten,
        linear(333),
        batch_norm(),
        classes(),
    ];
    let normalised = vec![
        conv(12, [3, 3], [1, 1], [1, 1]),
        group_norm(4, true),
        Relu,
        average([3, 2], [2, 1], [1, 0]),
        layer_norm(true),
        conv(70, [3, 3], [1, 1], [1, 1]),
        group_norm(7, false),
        GlobalAvgPool,
        linear(333),
        layer_norm(true),
        classes(),
    ];
    vec![
        simple_cnn([3, 32, 32], 12, 64, 19),
        Network::new(&[2, 9, 11], 5, 19, normalised),
        Network::new(&[2, 9, 11], 5, 19, batch_normalised),
        Network::new(&[2, 9, 11], 5, 19, activated),
        Network::new(&[2, 11, 9], 5, 19, strided),
        Network::new(
            &[50],
            7,
            19,
            vec![linear(300), Relu, linear(65), Relu, classes()],
        ),
    ]
}

#[test]
fn the_number_of_threads_changes_no_bit_of_any_result() {
    for network in networks() {
        let run = |threads: usize| {
            let mut network = network.clone();
            network.threads = threads;
            network.optimizer = ADAM;
            let mut engine = network.engine::<f32>();
            engine.initialize(9);
            let mut seen = Vec::new();
            for number in 0..4 {
                let (x, labels) = network.batch::<f32>(19 - number, number as u64);
                let result = step(&mut engine, &x, &labels, 0.01);
                let sums = engine.evaluate(&Batch::classified(&x, &labels)).unwrap();
                let bits =
                    [result.loss.unwrap(), result.gradient_norm, sums.loss].map(f64::to_bits);
                seen.push((
                    bits,
                    engine.slot_bytes(0).to_vec(),
                    engine.parameters_digest(),
                    engine.state_digest(&[7]),
                ));
            }
            seen
        };
        let one = run(1);
        assert!(one == run(2), "2 threads");
        assert!(one == run(3), "3 threads");
    }
}

#[test]
fn what_ran_before_and_which_slot_is_used_change_no_bit() {
    for mut network in networks() {
        network.microbatches = 8;
        let mut fresh = network.engine::<f32>();
        let mut used = network.engine::<f32>();
        fresh.initialize(4);
        used.initialize(4);
        let (x, labels) = network.batch::<f32>(13, 3);
        for (samples, slot) in [(19, 1), (1, 2), (0, 3), (7, 1)] {
            let (x, labels) = network.batch::<f32>(samples, 77);
            used.train(&Batch::classified(&x, &labels), slot).unwrap();
            used.evaluate(&Batch::classified(&x, &labels)).unwrap();
        }
        fresh.train(&Batch::classified(&x, &labels), 0).unwrap();
        used.train(&Batch::classified(&x, &labels), 2).unwrap();
        assert!(fresh.slot_bytes(0) == used.slot_bytes(2));
    }
}

#[test]
fn the_logits_of_a_sample_do_not_depend_on_the_samples_beside_it() {
    for network in networks() {
        let mut engine = network.engine::<f32>();
        engine.initialize(4);
        let (x, _) = network.batch::<f32>(19, 3);
        let all = engine.logits(Samples::Values(&x)).unwrap().to_vec();
        let sample = x.len() / 19;
        for samples in [1, 2, 5, 18] {
            let first = 19 - samples;
            let some = engine
                .logits(Samples::Values(&x[first * sample..]))
                .unwrap();
            assert_eq!(some, &all[first * network.classes..]);
        }
    }
}

#[test]
fn eight_microbatches_give_the_gradient_of_one() {
    let mut whole = simple_cnn([3, 10, 10], 6, 20, 32);
    let mut parts = whole.clone();
    (parts.microbatch, parts.microbatches) = (4, 8);
    whole.optimizer = SGD;
    let (x, labels) = whole.batch::<f32>(32, 8);
    let (mut whole, mut parts) = (whole.engine::<f32>(), parts.engine::<f32>());
    whole.initialize(2);
    parts.initialize(2);
    whole.train(&Batch::classified(&x, &labels), 0).unwrap();
    let sample = x.len() / 32;
    for part in 0..8 {
        let slot = usize::from(part > 0);
        parts
            .train(
                &Batch::classified(
                    &x[part * 4 * sample..(part + 1) * 4 * sample],
                    &labels[part * 4..(part + 1) * 4],
                ),
                slot,
            )
            .unwrap();
        if part > 0 {
            parts.add(0, 1);
        }
    }
    let (one, eight) = (gradient(&whole, 0), gradient(&parts, 0));
    let largest = one
        .iter()
        .fold(0.0, |largest: f64, value| largest.max(value.abs()));
    for (one, eight) in one.iter().zip(&eight) {
        assert!((one - eight).abs() < 1e-5 * largest, "{one} {eight}");
    }
    let tail = |engine: &Engine<f32>| {
        engine.slot_bytes(0)[engine.plan().tail_offset as usize + 8..].to_vec()
    };
    assert_eq!(tail(&whole), tail(&parts));
    assert_eq!(tail(&whole)[8..16], 32u64.to_le_bytes());
}

#[test]
fn slots_are_added_value_by_value_on_any_number_of_threads() {
    // More values than one thread takes at a time, and no multiple of that.
    let network = Network {
        threads: 2,
        microbatches: 2,
        ..Network::new(&[200], 5, 4, vec![linear(173), classes()])
    };
    let tail = network.engine::<f32>().plan().tail_offset as usize;
    let records = [1, 2].map(|threads| {
        let plan = network.plan(Mode::Train).expect("a plan");
        let mut engine = Engine::<f32>::new(plan, threads).expect("an engine");
        engine.initialize(3);
        for slot in 0..2 {
            let (x, labels) = network.batch::<f32>(4, slot as u64);
            engine.train(&Batch::classified(&x, &labels), slot).unwrap();
        }
        let mut expected = engine.slot_bytes(0).to_vec();
        engine::add_record(tail, 0, &mut expected, engine.slot_bytes(1));
        engine.add(0, 1);
        assert!(engine.slot_bytes(0) == expected, "{threads} threads");
        expected
    });
    assert!(records[0] == records[1]);
}

#[test]
fn a_step_without_samples_has_no_loss_and_a_gradient_of_zero_and_counts() {
    let network = simple_cnn([1, 4, 4], 2, 3, 4);
    let mut engine = network.engine::<f32>();
    engine.initialize(1);
    let before: Vec<f32> = engine.parameters().to_vec();
    let result = step(&mut engine, &[], &[], 0.1);
    assert_eq!(
        (
            result.loss,
            result.accuracy,
            result.samples,
            result.gradient_norm
        ),
        (None, None, 0, 0.0)
    );
    assert_eq!(engine.step(), 1);
    let decayed: Vec<f32> = before
        .iter()
        .map(|value| value - 0.1 * (1e-4 * value))
        .collect();
    assert_eq!(engine.parameters(), decayed);
}

#[test]
fn a_record_that_is_handed_over_is_the_record_that_is_copied() {
    let network = simple_cnn([1, 8, 8], 4, 6, 4);
    let mut engines = [(); 2].map(|()| network.engine::<f32>());
    for engine in &mut engines {
        engine.initialize(1);
    }
    let [copied, handed] = &mut engines;
    for number in 0..3 {
        let (x, labels) = network.batch::<f32>(4, number);
        copied.train(&Batch::classified(&x, &labels), 0).unwrap();
        let (slots, record) = copied.fold_views(&[0]);
        record.copy_from_slice(slots[0]);
        handed.train(&Batch::classified(&x, &labels), 0).unwrap();
        handed.fold_alone(0);
        assert_eq!(handed.record_bytes(), copied.record_bytes());
        assert_eq!(handed.apply(0.1).unwrap(), copied.apply(0.1).unwrap());
        assert_eq!(handed.state_digest(&[]), copied.state_digest(&[]));
    }
}

#[test]
fn a_number_that_is_none_stops_the_update_and_is_found_where_it_first_appeared() {
    let network = simple_cnn([1, 8, 8], 4, 6, 4);
    let mut engine = network.engine::<f32>();
    engine.initialize(1);
    let (clean, labels) = network.batch::<f32>(4, 1);
    let before = engine.state_digest(&[]);
    let refused = |engine: &mut Engine<f32>, x: &[f32]| {
        engine.train(&Batch::classified(x, &labels), 0).unwrap();
        let (slots, record) = engine.fold_views(&[0]);
        record.copy_from_slice(slots[0]);
        engine.apply(0.1).expect_err("no number").to_string()
    };
    let mut x = clean.clone();
    x[70] = f32::NAN;
    assert!(refused(&mut engine, &x).starts_with("the loss is not a finite number"));
    assert_eq!(engine.state_digest(&[]), before, "nothing has changed");
    assert_eq!(
        engine
            .forward_fault(&Batch::classified(&x, &labels))
            .unwrap(),
        Some(Fault::Samples)
    );
    assert_eq!(
        engine
            .forward_fault(&Batch::classified(&clean, &labels))
            .unwrap(),
        None
    );

    // The second linear layer overflows; relu, pooling and the first one do not.
    let [weight, last] = [2, 4].map(|number| engine.plan().parameters[number].words());
    engine.parameters_mut()[weight].fill(1.0);
    engine.parameters_mut()[last].fill(3e38);
    refused(&mut engine, &clean);
    let fault = engine
        .forward_fault(&Batch::classified(&clean, &labels))
        .unwrap();
    assert_eq!(fault, Some(Fault::Output(6)));
    engine.parameters_mut()[3] = f32::INFINITY;
    let fault = engine
        .forward_fault(&Batch::classified(&clean, &labels))
        .unwrap();
    assert_eq!(fault, Some(Fault::Parameters(0)));

    // A gradient that is none in the layers up to the first linear one.
    engine.initialize(1);
    engine
        .train(&Batch::classified(&clean, &labels), 0)
        .unwrap();
    let parameters = engine.plan().parameters.clone();
    let (slots, record) = engine.fold_views(&[0]);
    record.copy_from_slice(slots[0]);
    assert_eq!(engine.gradient_fault(), None);
    for number in [0, 2] {
        let at = 4 * parameters[number].words().start;
        engine.record_bytes_mut()[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    }
    assert_eq!(engine.gradient_fault(), Some(Fault::Gradient(4)));
    let error = engine.apply(0.1).expect_err("no number").to_string();
    assert!(error.starts_with("the gradient is not"), "{error}");
}

#[test]
fn initial_parameters_are_pytorchs_distributions_and_do_not_depend_on_other_layers() {
    let network = Network::new(&[400], 10, 1, vec![linear(100), Relu, classes()]);
    let mut engine = network.engine::<f32>();
    engine.initialize(6);
    let words = engine.parameters();
    let weight = &words[..40_000];
    let bound = 1.0 / 20.0;
    assert!(words[..40_100].iter().all(|value| value.abs() <= bound));
    assert!(weight.iter().cloned().fold(0.0, f32::max) > 0.999 * bound);
    let mean = weight.iter().map(|&value| f64::from(value)).sum::<f64>() / 40_000.0;
    let square = weight
        .iter()
        .map(|&value| f64::from(value) * f64::from(value))
        .sum::<f64>()
        / 40_000.0;
    assert!(mean.abs() < 5e-4, "{mean}");
    assert!(
        (square / (f64::from(bound) * f64::from(bound) / 3.0) - 1.0).abs() < 0.02,
        "{square}"
    );
    let larger = Network::new(
        &[400],
        10,
        1,
        vec![linear(100), Relu, linear(7), Relu, classes()],
    );
    let mut larger = larger.engine::<f32>();
    larger.initialize(6);
    assert_eq!(larger.parameters()[..40_100], words[..40_100]);
    larger.initialize(7);
    assert_ne!(larger.parameters()[..40_100], words[..40_100]);
}

#[test]
fn digests_see_every_part_of_the_state() {
    let network = simple_cnn([1, 4, 4], 2, 3, 4);
    let mut engine = network.engine::<f32>();
    engine.initialize(1);
    let (parameters, state) = (engine.parameters_digest(), engine.state_digest(&[1, 2]));
    assert_eq!((parameters.len(), state.len()), (32, 32));
    assert_ne!(engine.state_digest(&[2, 1]), state);
    engine.set_step(1);
    assert_ne!(engine.state_digest(&[1, 2]), state);
    engine.set_step(0);
    engine.optimizer_state_mut()[0].1[5] = 1.0;
    assert_ne!(engine.state_digest(&[1, 2]), state);
    assert_eq!(engine.parameters_digest(), parameters);
    engine.parameters_mut()[5] += 1.0;
    assert_ne!(engine.parameters_digest(), parameters);
}
