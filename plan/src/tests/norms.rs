//! Poolings by averages, and normalisations.

use spec::model::{self, LayerKind};

use super::{average, batch_norm, classes, linear, norm, planned};
use crate::{Error, Init, Mode, Warning};

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
    assert_eq!(few.normalised_samples(), Some(7));
    assert!(of(8, Mode::Train).warnings().is_empty());
    assert!(of(7, Mode::Evaluate).warnings().is_empty());
    let without = planned("7", vec![classes()], |request| request.microbatch = 1).unwrap();
    assert_eq!(
        (without.warnings(), without.normalised_samples()),
        (vec![], None)
    );
}
