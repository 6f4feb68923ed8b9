//! Dropouts from outside: the same values are dropped whoever computes them, others at another time or place.

use engine::{Batch, Engine, Moment};
use spec::model::LayerKind::Relu;

use crate::networks::{Network, classes, dropout, gradient, linear};

const SAMPLES: usize = 12;

fn network(microbatch: usize, threads: usize) -> Network {
    let kinds = vec![
        linear(301),
        Relu,
        dropout(0.4),
        linear(70),
        dropout(0.25),
        classes(),
    ];
    let mut network = Network::new(&[9], 3, microbatch, kinds);
    network.threads = threads;
    network
}

/// The gradient of all samples, in microbatches of so many.
fn gradients(engine: &mut Engine<f64>, microbatch: usize, moment: Moment) -> Vec<f64> {
    let (x, labels) = network(SAMPLES, 1).batch::<f64>(SAMPLES, 5);
    let mut sums = vec![0.0; engine.plan().parameter_count];
    for first in (0..SAMPLES).step_by(microbatch) {
        let last = (first + microbatch).min(SAMPLES);
        let batch = Batch {
            moment: Moment {
                position: first as u64,
                ..moment
            },
            ..Batch::classified(&x[9 * first..9 * last], &labels[first..last])
        };
        engine.train(&batch, 0).expect("a microbatch");
        let part = gradient(engine, 0);
        sums.iter_mut()
            .zip(part)
            .for_each(|(sum, part)| *sum += part);
    }
    sums
}

fn at(seed: u64, step: u64) -> Moment {
    Moment {
        seed,
        step,
        position: 0,
    }
}

#[test]
fn the_same_values_are_dropped_in_any_number_of_microbatches() {
    let gradient_of = |microbatch: usize, moment: Moment| {
        let mut engine = network(microbatch, 1).engine::<f64>();
        engine.initialize(5);
        gradients(&mut engine, microbatch, moment)
    };
    let whole = gradient_of(SAMPLES, at(42, 1));
    let largest = whole
        .iter()
        .fold(0.0, |most: f64, value| most.max(value.abs()));
    let apart = |other: Vec<f64>| {
        let far = whole
            .iter()
            .zip(other)
            .map(|(one, other)| (one - other).abs());
        far.fold(0.0, f64::max) / largest
    };
    for microbatch in [1, 4, 5, 12] {
        assert!(
            apart(gradient_of(microbatch, at(42, 1))) < 1e-12,
            "{microbatch}"
        );
    }
    for moment in [at(42, 2), at(43, 1), at(42, 1 << 39)] {
        assert!(apart(gradient_of(SAMPLES, moment)) > 1e-2, "{moment:?}");
    }
}

#[test]
fn an_evaluation_drops_nothing() {
    let mut with = network(SAMPLES, 1).engine::<f32>();
    let kinds = vec![linear(301), Relu, linear(70), classes()];
    let mut without = Network::new(&[9], 3, SAMPLES, kinds).engine::<f32>();
    with.initialize(5);
    without.parameters_mut().copy_from_slice(with.parameters());
    let (x, labels) = network(SAMPLES, 1).batch::<f32>(SAMPLES, 5);
    let batch = Batch::classified(&x, &labels);
    assert_eq!(
        with.evaluate(&batch).unwrap(),
        without.evaluate(&batch).unwrap()
    );
}

#[test]
fn threads_and_kernels_drop_the_same_values() {
    let (x, labels) = network(SAMPLES, 1).batch::<f32>(SAMPLES, 5);
    let batch = Batch {
        moment: Moment {
            position: 1 << 20,
            ..at(7, 3)
        },
        ..Batch::classified(&x, &labels)
    };
    let bits = |threads: usize| {
        let mut engine = network(SAMPLES, threads).engine::<f32>();
        engine.initialize(5);
        engine.train(&batch, 0).unwrap();
        engine.slot_bytes(0).to_vec()
    };
    assert_eq!(bits(1), bits(3));
}
