//! Norms over all samples of a step: the training of several microbatches is that of the whole batch as one.

use std::convert::Infallible;

use engine::{Batch, Engine, Float, Joint, WaveError};
use spec::model::{BatchNorm, LayerKind};

use super::networks::{Network, classes, conv, linear, pool, residual, step};

fn norm(sync: bool) -> LayerKind {
    LayerKind::BatchNorm(BatchNorm {
        eps: 1e-5,
        momentum: 0.1,
        sync,
    })
}

fn network(sync: bool, microbatch: usize, microbatches: u32) -> Network {
    let kinds = vec![
        norm(sync),
        conv(3, [3, 3], [1, 1], [1, 1]),
        norm(sync),
        LayerKind::Relu,
        residual(vec![conv(3, [1, 1], [1, 1], [0, 0]), norm(sync)], vec![]),
        pool([2, 2], [2, 2], [0, 0]),
        LayerKind::Flatten,
        linear(5),
        norm(sync),
        LayerKind::Relu,
        classes(),
    ];
    Network {
        microbatches,
        ..Network::new(&[2, 4, 4], 4, microbatch, kinds)
    }
}

/// Adds all parts to the first, in order.
fn fold(joint: Joint<'_>) -> Result<(), Infallible> {
    let words = joint.total.len();
    let (first, others) = joint.parts.split_at_mut(words);
    for other in others.chunks_exact(words) {
        joint.meeting.add(first, other);
    }
    joint.total.copy_from_slice(first);
    Ok(())
}

/// One step over samples cut into microbatches.
fn step_in_parts<T: Float>(engine: &mut Engine<T>, x: &[T], labels: &[u32], cuts: &[usize]) -> f64 {
    let (mut wave, mut first) = (Vec::new(), 0);
    let sample = x.len() / labels.len();
    for (slot, &samples) in cuts.iter().enumerate() {
        let end = first + samples;
        let batch = Batch::classified(&x[sample * first..sample * end], &labels[first..end]);
        wave.push((batch, slot));
        first = end;
    }
    assert_eq!(first, labels.len(), "all samples are in a microbatch");
    engine.train_wave(&wave, fold).expect("a wave that fits");
    (1..cuts.len()).for_each(|slot| engine.add(0, slot));
    engine.fold_alone(0);
    let result = engine.apply(0.05).expect("finite numbers");
    result.loss.expect("a loss")
}

fn assert_near(got: &[f64], want: &[f64], what: &str) {
    assert_eq!(got.len(), want.len());
    for (index, (got, want)) in got.iter().zip(want).enumerate() {
        let most = 1e-9 * want.abs().max(1.0);
        assert!(
            (got - want).abs() <= most,
            "{what} {index}: {got}, not {want}"
        );
    }
}

#[test]
fn several_microbatches_train_as_the_whole_batch_does() {
    let cases: [&[usize]; 6] = [
        &[7],
        &[4, 4, 4],
        &[4, 4, 1],
        &[3, 0, 2],
        &[1, 1],
        &[5, 5, 5, 2],
    ];
    for cuts in cases {
        let (total, most) = (cuts.iter().sum::<usize>(), cuts.iter().max().copied());
        let mut parts = network(true, most.unwrap_or(1), cuts.len() as u32).engine::<f64>();
        let mut whole = network(false, total, 1).engine::<f64>();
        parts.initialize(3);
        whole.initialize(3);
        for number in 0..4 {
            let (x, labels) = network(true, 1, 2).batch::<f64>(total, number);
            let loss = step_in_parts(&mut parts, &x, &labels, cuts);
            let expected = step(&mut whole, &x, &labels, 0.05).loss.expect("a loss");
            assert_near(&[loss], &[expected], "loss");
            assert_near(
                parts.parameters(),
                whole.parameters(),
                &format!("{cuts:?}: parameter"),
            );
            let running = [&parts, &whole].map(Engine::running_statistics);
            assert_near(running[0], running[1], &format!("{cuts:?}: statistic"));
        }
    }
}

/// All words as f64, those of other engines to compare with.
fn wide<T: Float>(engine: &Engine<T>) -> Vec<f64> {
    let words = engine
        .parameters()
        .iter()
        .chain(engine.running_statistics());
    words.map(|word| word.wide()).collect()
}

fn furthest(one: &[f64], other: &[f64]) -> f64 {
    assert_eq!(one.len(), other.len());
    let apart = one
        .iter()
        .zip(other)
        .map(|(one, other)| (one - other).abs());
    apart.fold(0.0, f64::max)
}

#[test]
fn kernels_in_f32_come_near_the_reference_and_threads_change_no_bit() {
    for cuts in [&[5, 5, 5, 2][..], &[9, 9], &[16]] {
        let (total, most) = (cuts.iter().sum::<usize>(), cuts[0]);
        let network = network(true, most, cuts.len() as u32);
        let mut reference = network.engine::<f64>();
        reference.initialize(3);
        let mut engines = [1, 2, 3].map(|threads| {
            let mut engine = Network {
                threads,
                ..network.clone()
            }
            .engine::<f32>();
            engine.initialize(3);
            engine
        });
        let begin = engines[0].parameters().to_vec();
        for (to, from) in reference.parameters_mut().iter_mut().zip(begin) {
            *to = f64::from(from);
        }
        for number in 0..4 {
            let (x, labels) = network.batch::<f64>(total, number);
            let (narrow, _) = network.batch::<f32>(total, number);
            let expected = step_in_parts(&mut reference, &x, &labels, cuts);
            let losses = engines
                .each_mut()
                .map(|engine| step_in_parts(engine, &narrow, &labels, cuts));
            assert!(
                (losses[0] - expected).abs() < 1e-5 * expected.max(1.0),
                "{losses:?} {expected}"
            );
            assert_eq!([losses[0]; 3], losses, "{cuts:?}");
            for other in &engines[1..] {
                assert_eq!(engines[0].parameters(), other.parameters());
                assert_eq!(engines[0].running_statistics(), other.running_statistics());
            }
            let far = furthest(&wide(&engines[0]), &wide(&reference));
            assert!(far < 2e-5, "{cuts:?}, step {number}: {far:e}");
        }
    }
}

#[test]
fn one_microbatch_trains_as_the_norm_of_a_microbatch_does_but_for_rounding() {
    let [mut synced, mut plain] = [true, false].map(|sync| {
        let mut engine = network(sync, 16, 1).engine::<f32>();
        engine.initialize(3);
        engine
    });
    for number in 0..6 {
        let (x, labels) = network(true, 16, 1).batch::<f32>(16, number);
        let loss = step_in_parts(&mut synced, &x, &labels, &[16]);
        let expected = step(&mut plain, &x, &labels, 0.05).loss.expect("a loss");
        assert!((loss - expected).abs() < 1e-5, "{loss} {expected}");
        let far = furthest(&wide(&synced), &wide(&plain));
        assert!(far < 2e-5, "step {number}: {far:e}");
    }
}

#[test]
fn more_microbatches_than_lanes_and_a_fold_that_fails_end_a_wave() {
    let mut engine = network(true, 2, 2).engine::<f32>();
    engine.initialize(3);
    let (x, labels) = network(true, 2, 2).batch::<f32>(2, 0);
    let batch = Batch::classified(&x, &labels);
    let three = [(batch, 0), (batch, 1), (batch, 0)];
    let refused = engine.train_wave(&three, fold).unwrap_err();
    let WaveError::Engine(error) = refused;
    let expected = "3 microbatches were given at once, but the plan has room for 2";
    assert_eq!(error.to_string(), expected);
    // In the middle of a step: what is committed stays, and the next step is as any other.
    let before = wide(&engine);
    let mut folds = 0;
    let failed = engine.train_wave(&[(batch, 0), (batch, 1)], |joint| {
        folds += 1;
        let done: Result<(), Infallible> = fold(joint);
        if folds == 6 {
            Err("gone")
        } else {
            done.map_err(|never| match never {})
        }
    });
    assert!(matches!(failed, Err(WaveError::Fold("gone"))), "{failed:?}");
    assert_eq!(wide(&engine), before);
    let mut fresh = network(true, 2, 2).engine::<f32>();
    fresh.initialize(3);
    let (x, labels) = network(true, 2, 2).batch::<f32>(4, 1);
    for engine in [&mut engine, &mut fresh] {
        step_in_parts(engine, &x, &labels, &[2, 2]);
    }
    assert_eq!(wide(&engine), wide(&fresh));
}
