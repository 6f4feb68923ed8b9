//! Norms over all samples of a step: the training of several microbatches is that of the whole batch as one.

use std::convert::Infallible;

use engine::{Batch, Engine, Joint};
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
fn step_in_parts(engine: &mut Engine<f64>, x: &[f64], labels: &[u32], cuts: &[usize]) -> f64 {
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
