//! Poolings by averages, and normalisations.

use spec::model::{self, LayerKind};

use super::{average, batch_norm, classes, conv, linear, norm, planned};
use crate::{Error, Init, Mode, Plan, StageKind, Warning};

#[test]
fn the_largest_of_channels_is_a_number_for_each_and_takes_images() {
    let kinds = vec![norm(3), LayerKind::GlobalMaxPool, classes()];
    let plan = planned("6x8x4", kinds.clone(), |_| ()).unwrap();
    assert_eq!(plan.layers[1].output.to_string(), "6");
    assert_eq!(plan.layers[1].parameter_count, 0);
    let refused = planned("8", kinds[1..].to_vec(), |_| ()).unwrap_err();
    let expected = "layer 0 (global_max_pool) needs samples of C x H x W";
    assert!(refused.to_string().contains(expected), "{refused}");
}

#[test]
fn poolings_and_norms_have_pytorchs_shapes_and_parameters() {
    let kinds = vec![
        norm(3),
        average(2, 2),
        LayerKind::LayerNorm(model::LayerNorm {
            eps: 1e-5,
            affine: true,
        }),
        LayerKind::GlobalAvgPool,
        classes(),
    ];
    let plan = planned("6x8x4", kinds, |_| ()).unwrap();
    let outputs: Vec<String> = plan
        .layers
        .iter()
        .map(|layer| layer.output.to_string())
        .collect();
    assert_eq!(outputs, ["6x8x4", "6x4x2", "6x4x2", "6", "10"]);
    let parameters: Vec<(&str, &[usize], Init)> = plan
        .parameters
        .iter()
        .take(4)
        .map(|parameter| (&*parameter.name, &*parameter.shape, parameter.init))
        .collect();
    let [one, zero] = [1.0, 0.0].map(|value| Init::Constant { value });
    let expected: [(&str, &[usize], Init); 4] = [
        ("0.weight", &[6], one),
        ("0.bias", &[6], zero),
        ("2.weight", &[6, 4, 2], one),
        ("2.bias", &[6, 4, 2], zero),
    ];
    assert_eq!(parameters, expected);
}

#[test]
fn batch_norms_have_running_statistics_that_a_record_sums() {
    let kinds = vec![
        batch_norm(),
        LayerKind::Flatten,
        linear(5),
        batch_norm(),
        classes(),
    ];
    let plan = planned("6x8x4", kinds.clone(), |_| ()).unwrap();
    let statistics: Vec<(&str, std::ops::Range<usize>, f64)> = plan
        .running_statistics
        .iter()
        .map(|statistic| (&*statistic.name, statistic.words.clone(), statistic.initial))
        .collect();
    let expected = [
        ("0.running_mean", 0..6, 0.0),
        ("0.running_var", 6..12, 1.0),
        ("3.running_mean", 12..17, 0.0),
        ("3.running_var", 17..22, 1.0),
    ];
    assert_eq!(statistics, expected);
    let numbers = plan.parameter_count + plan.statistic_count;
    assert_eq!(plan.tail_offset, (4 * numbers as u64).next_multiple_of(64));
    let evaluates = planned("6x8x4", kinds, |request| request.mode = Mode::Evaluate).unwrap();
    let buffer = evaluates.places.running_statistics.expect("a buffer");
    assert_eq!(evaluates.buffers[buffer].bytes, 4 * 22);
}

#[test]
fn a_batch_norm_over_one_value_is_refused_where_it_trains() {
    let kinds = || vec![linear(5), batch_norm(), classes()];
    let error = planned("7", kinds(), |request| request.microbatch = 1).unwrap_err();
    assert!(matches!(error, Error::OneValue { layer: 1, .. }));
    assert!(error.to_string().contains("raise training.batch_size"));
    planned("7", kinds(), |request| request.microbatch = 2).unwrap();
    let evaluates = planned("7", kinds(), |request| {
        (request.microbatch, request.mode) = (1, Mode::Evaluate);
    });
    evaluates.unwrap();
    let wide = vec![batch_norm(), LayerKind::Flatten, classes()];
    planned("1x2x1", wide, |request| request.microbatch = 1).unwrap();
}

#[test]
fn batch_norms_over_few_samples_are_warned_of_where_they_train() {
    let kinds = || vec![linear(5), batch_norm(), linear(5), batch_norm(), classes()];
    let of = |microbatch, mode| {
        planned("7", kinds(), |request| {
            (request.microbatch, request.mode) = (microbatch, mode);
        })
        .unwrap()
    };
    let few = of(7, Mode::Train);
    let warning = Warning::FewSamples {
        path: "1".into(),
        more: 1,
        samples: 7,
    };
    assert_eq!(few.warnings(), [warning]);
    assert_eq!(
        few.warnings()[0].to_string(),
        "layer 1 (batch_norm) and 1 more: statistics over the 7 samples of a microbatch are mostly chance: raise \
         training.batch_size or lower training.microbatches until a microbatch has at least 8"
    );
    assert_eq!(few.normalised_samples(7), Some(7));
    assert!(of(8, Mode::Train).warnings().is_empty());
    assert!(of(7, Mode::Evaluate).warnings().is_empty());
    let without = planned("7", vec![classes()], |request| request.microbatch = 1).unwrap();
    assert_eq!(
        (without.warnings(), without.normalised_samples(1)),
        (vec![], None)
    );
}

fn sync_norm() -> LayerKind {
    LayerKind::BatchNorm(model::BatchNorm {
        eps: 1e-5,
        momentum: 0.1,
        sync: true,
    })
}

/// A convolution and a linear layer, each with a norm behind it, in 8 microbatches.
fn with_norms(norms: [LayerKind; 2], share: u32) -> Plan {
    let [first, second] = norms;
    let kinds = vec![
        conv(6, 3, 1, 1),
        first,
        LayerKind::Relu,
        LayerKind::Flatten,
        linear(5),
        second,
        classes(),
    ];
    planned("2x8x4", kinds, |request| {
        (request.microbatch, request.microbatches) = (13, 8);
        request.share = share;
    })
    .unwrap()
}

#[test]
fn every_microbatch_of_a_share_has_a_lane_and_a_slot_where_norms_meet_all_samples() {
    for share in [1, 3, 8] {
        let plan = with_norms([sync_norm(), sync_norm()], share);
        let lanes = share as usize;
        assert_eq!((plan.lanes, plan.slots), (lanes, lanes));
        assert_eq!(plan.places.slots.len(), lanes);
        assert_eq!(plan.lane_bytes > 0, share > 1);
        // The lanes lie behind all that they share, each as long as the last one's end says.
        let end = |in_lane: bool| {
            let buffers = plan.buffers.iter();
            let some = buffers.filter(|buffer| buffer.in_lane == in_lane);
            some.map(|buffer| buffer.offset + buffer.bytes).max()
        };
        if share > 1 {
            let first = plan.arena_bytes - plan.lane_bytes * u64::from(share);
            assert!(end(false).unwrap() <= first);
            assert!(end(true).unwrap() <= first + plan.lane_bytes);
            let in_lane = plan.buffers.iter().filter(|buffer| buffer.in_lane);
            assert!(in_lane.clone().all(|buffer| buffer.offset >= first));
            for slot in &plan.places.slots {
                assert!(!plan.buffers[*slot].in_lane);
            }
        }
        // Four words of 8 bytes a channel of the widest norm, for each lane and their sum.
        assert_eq!(plan.joint_bytes(), 32 * 6);
        assert_eq!(plan.memory.host, 32 * 6 * (u64::from(share) + 1));
    }
    let [one, all] = [1, 8].map(|share| with_norms([sync_norm(), sync_norm()], share).memory.total);
    assert!(all > one, "what a rank needs grows with its share");
    // Without such norms the share changes nothing.
    let [one, all] = [1, 8].map(|share| with_norms([batch_norm(), batch_norm()], share));
    assert_eq!((one.lanes, one.lane_bytes, one.slots), (1, 0, 5));
    assert_eq!(one.memory, all.memory);
}

#[test]
fn a_norm_over_all_samples_is_a_stage_of_its_own_and_folded_both_ways() {
    let apart = with_norms([sync_norm(), sync_norm()], 4);
    let fused = with_norms([batch_norm(), batch_norm()], 4);
    let has_norm = |stage: &crate::Stage| match &stage.kind {
        StageKind::BatchNorm(_) => true,
        kind => kind.norm().is_some(),
    };
    let [norms, other] = [&apart, &fused].map(|plan| {
        let stages = plan.stages.iter().filter(|stage| has_norm(stage));
        stages.map(|stage| stage.layers.clone()).collect::<Vec<_>>()
    });
    assert!(
        norms[0].start == 1 && other[0].start == 0,
        "{norms:?} {other:?}"
    );
    let channels: Vec<usize> = apart.sync_norms().map(|(_, channels)| channels).collect();
    assert_eq!(channels, [6, 5]);
    let folds: Vec<u64> = apart.folds().collect();
    let record = apart.record_bytes;
    assert_eq!(folds, [32 * 6, 16 * 6, 32 * 5, 16 * 5, record]);
    assert_eq!(fused.folds().collect::<Vec<_>>(), [fused.record_bytes]);
    assert_eq!(
        (apart.record_bytes, apart.fold_bytes()),
        (fused.record_bytes, record)
    );
    // Names and shapes are those of any batch norm.
    assert_eq!(apart.parameters, fused.parameters);
    assert_eq!(apart.running_statistics, fused.running_statistics);
}

#[test]
fn norms_over_all_samples_count_the_batch_and_are_not_warned_of() {
    let counted = |norms| with_norms(norms, 8).normalised_samples(100);
    assert_eq!(counted([sync_norm(), sync_norm()]), Some(100));
    assert_eq!(counted([sync_norm(), batch_norm()]), Some(13));
    assert_eq!(counted([batch_norm(), batch_norm()]), Some(13));
    let small = |norm: LayerKind, microbatches| {
        planned("7", vec![linear(5), norm, classes()], |request| {
            (request.microbatch, request.microbatches) = (1, microbatches);
            request.share = microbatches;
        })
    };
    assert!(small(sync_norm(), 2).unwrap().warnings().is_empty());
    // One value is one value, over all samples of a step too.
    for (norm, microbatches) in [(sync_norm(), 1), (batch_norm(), 2)] {
        let error = small(norm, microbatches).unwrap_err();
        assert!(matches!(error, Error::OneValue { layer: 1, .. }), "{error}");
    }
}
