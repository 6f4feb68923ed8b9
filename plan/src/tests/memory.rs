//! What a plan's memory is for.

use super::{batch_norm, classes, conv, linear, planned, pool, simple_cnn};
use crate::{Mode, Plan};
use spec::model::LayerKind::{Flatten, Relu};

fn by_layer(plan: &Plan) -> Vec<u64> {
    plan.layers.iter().map(|layer| layer.memory_bytes).collect()
}

#[test]
fn a_layer_keeps_what_it_gives_unless_it_is_joined_or_works_in_place() {
    // 4 samples: a convolution with its relu and its pooling, whose places take a byte a value.
    let plan = planned("3x32x32", simple_cnn(), |request| request.microbatch = 4).unwrap();
    let pooled = 4 * 12 * 16 * 16;
    let expected = [0, 0, 5 * pooled, 0, 0, 4 * 4 * 64, 4 * 4 * 10];
    assert_eq!(by_layer(&plan), expected);
    let counts: Vec<usize> = plan
        .layers
        .iter()
        .map(|layer| layer.parameter_count)
        .collect();
    assert_eq!(counts[0], 12 * 27 + 12);
    assert_eq!(counts.iter().sum::<usize>(), plan.parameter_count);

    // A batch norm keeps two numbers a channel, and what it was given; a convolution takes it along.
    let kinds = vec![
        conv(5, 3, 1, 1),
        batch_norm(),
        Relu,
        pool(2, 2, 0),
        Flatten,
        classes(),
    ];
    let plan = planned("1x8x8", kinds, |request| request.microbatch = 2).unwrap();
    let map = 2 * 4 * 5 * 64;
    let stage = map + 4 * 2 * 5 + 5 * 2 * 5 * 16;
    let expected = [0, 0, 0, stage, 0, 4 * 2 * 10];
    assert_eq!(by_layer(&plan), expected);
}

#[test]
fn the_kinds_of_memory_are_exact_and_add_up_to_the_total() {
    let plan = planned("3x32x32", simple_cnn(), |request| {
        request.microbatch = 8;
        request.microbatches = 4;
        request.host_bytes = 12_345;
    })
    .unwrap();
    let kinds = plan.memory.kinds;
    let words = 4 * plan.parameter_count as u64;
    assert_eq!(kinds.parameters, words);
    assert_eq!(kinds.optimizer, words, "one momentum");
    let records = (plan.slots as u64 + 1) * plan.record_bytes;
    assert_eq!(kinds.gradients, records + plan.tail.bytes() as u64);
    assert_eq!(kinds.data, 12_345);
    assert_eq!(kinds.total(), plan.memory.total);
    assert!(kinds.workspace > 0 && kinds.activations > 0);

    let plan = planned("3x32x32", simple_cnn(), |request| {
        request.mode = Mode::Evaluate
    })
    .unwrap();
    let kinds = plan.memory.kinds;
    let sums = plan.tail.bytes() as u64;
    assert_eq!((kinds.gradients, kinds.optimizer), (sums, 0));
    assert_eq!(kinds.total(), plan.memory.total);
}

#[test]
fn more_samples_take_more_activations_and_no_more_parameters() {
    let kinds = vec![Flatten, linear(20), Relu, classes()];
    let of = |samples| {
        planned("1x8x8", kinds.clone(), |request| {
            request.microbatch = samples
        })
        .unwrap()
        .memory
        .kinds
    };
    let (few, many) = (of(2), of(64));
    assert!(many.activations > few.activations);
    assert_eq!(
        (many.parameters, many.gradients),
        (few.parameters, few.gradients)
    );
}
