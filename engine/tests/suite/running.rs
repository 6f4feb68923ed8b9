//! Running statistics: moved by apply alone, once a step, by the count-weighted mean over microbatches.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use engine::{Batch, Engine, Samples, Synthetic};

use crate::networks::{Network, batch_norm, classes, step};

/// Statistics after one step from 0 and 1 over microbatches of these sizes, and the plain figures for them.
fn moved(sizes: &[usize]) -> (Vec<f64>, Vec<f64>) {
    let mut network = Network::new(&[3], 2, 4, vec![batch_norm(), classes()]);
    network.microbatches = 8;
    let mut engine = network.engine::<f64>();
    engine.initialize(1);
    let (mut means, mut variances) = ([0.0; 3], [0.0; 3]);
    let (mut count, mut varied) = (0.0, 0.0);
    for (number, &size) in sizes.iter().enumerate() {
        let (x, labels) = network.batch::<f64>(size, number as u64);
        let slot = usize::from(number > 0);
        engine.train(&Batch::classified(&x, &labels), slot).unwrap();
        if number > 0 {
            engine.add(0, 1);
        }
        let n = size as f64;
        count += n;
        varied += if size > 1 { n } else { 0.0 };
        for channel in 0..3 {
            let values: Vec<f64> = x.iter().skip(channel).step_by(3).copied().collect();
            let mean = values.iter().sum::<f64>() / n.max(1.0);
            means[channel] += n * mean;
            if size > 1 {
                let squares = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>();
                variances[channel] += n * squares / (n - 1.0);
            }
        }
    }
    assert_eq!(engine.running_statistics(), [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    let (slots, record) = engine.fold_views(&[0]);
    record.copy_from_slice(slots[0]);
    engine.apply(0.1).expect("finite numbers");
    let means = means.map(|sum| if count > 0.0 { 0.1 * sum / count } else { 0.0 });
    let variances = variances.map(|sum| match varied > 0.0 {
        true => 0.9 + 0.1 * sum / varied,
        false => 1.0,
    });
    (
        engine.running_statistics().to_vec(),
        [means, variances].concat(),
    )
}

#[test]
fn a_step_moves_them_by_the_mean_over_microbatches_weighted_by_their_samples() {
    // One sample counts for the mean and not for the variance; if all are such, the variance stays.
    for sizes in [&[4][..], &[4, 4], &[4, 2, 1], &[4, 4, 4, 3], &[1, 1], &[0]] {
        let (got, expected) = moved(sizes);
        for (got, expected) in got.iter().zip(&expected) {
            assert!(
                (got - expected).abs() < 1e-14,
                "{sizes:?}: {got} {expected}"
            );
        }
    }
}

#[test]
fn evaluation_goes_by_them_and_changes_nothing() {
    let network = Network::new(&[3], 2, 4, vec![batch_norm(), classes()]);
    let mut engine = network.engine::<f32>();
    engine.initialize(1);
    let (x, labels) = network.batch::<f32>(4, 7);
    let before = engine.logits(Samples::Values(&x)).unwrap().to_vec();
    let alone = engine.logits(Samples::Values(&x[3..6])).unwrap().to_vec();
    assert_eq!(alone, before[2..4]);
    let digests = |engine: &Engine<f32>| (engine.parameters_digest(), engine.state_digest(&[]));
    let state = digests(&engine);
    engine.train(&Batch::classified(&x, &labels), 0).unwrap();
    engine.evaluate(&Batch::classified(&x, &labels)).unwrap();
    assert_eq!(digests(&engine), state);
    engine.running_statistics_mut()[0] = 0.5;
    let changed = digests(&engine);
    assert!(changed.0 != state.0 && changed.1 != state.1);
    assert_ne!(engine.logits(Samples::Values(&x)).unwrap(), before);
}

#[test]
fn a_microbatch_of_one_value_per_channel_gives_the_bias_and_no_gradient_of_its_input() {
    let network = Network::new(&[3], 2, 4, vec![batch_norm(), classes()]);
    let mut engine = network.engine::<f32>();
    engine.initialize(1);
    let (x, labels) = network.batch::<f32>(1, 7);
    let result = step(&mut engine, &x, &labels, 0.0);
    let (other, _) = network.batch::<f32>(1, 8);
    let again = step(&mut engine, &other, &labels, 0.0);
    assert!(result.loss.is_some());
    assert_eq!(result.loss, again.loss);
    assert_eq!(engine.running_statistics()[3..], [1.0; 3]);
}

#[test]
fn stages_are_timed_where_that_is_asked_for_and_to_the_same_bits() {
    let network = Network::new(&[3], 2, 4, vec![batch_norm(), classes()]);
    let mut engine = network.engine::<f32>();
    engine.initialize(1);
    let made_up = Synthetic::new(engine.plan(), 4);
    engine.train(&made_up.batch(), 0).unwrap();
    assert_eq!(engine.stage_times(), None);
    let untimed = engine.slot_bytes(0).to_vec();

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    engine.time_stages(|| START.elapsed());
    let times = engine.train(&made_up.batch(), 0).unwrap();
    assert_eq!(engine.slot_bytes(0), untimed);
    let stages = engine.stage_times().expect("they are timed").clone();
    assert_eq!((stages.forward.len(), stages.backward.len()), (2, 2));
    let forward: Duration = stages.forward.iter().sum();
    let backward: Duration = stages.backward.iter().sum();
    assert!(!forward.is_zero() && !backward.is_zero());
    // What lies between the loss and the way back counts for one side here and for the other there.
    let all = stages.input + forward + stages.loss + backward;
    assert!(all <= times.forward + times.backward);
}
