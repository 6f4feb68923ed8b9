use spec::ema::Ema;
use spec::group::{Group, GroupRate};
use spec::model::LayerKind;

use super::{batch_norm, classes, conv, linear, planned, simple_cnn};
use crate::{Error, Mode, Plan, Rules, Stretch};

fn group(patterns: &[&str]) -> Group {
    Group {
        patterns: patterns.iter().map(ToString::to_string).collect(),
        rate: GroupRate::Same,
        weight_decay: None,
        frozen: false,
    }
}

fn frozen(patterns: &[&str]) -> Group {
    Group {
        frozen: true,
        ..group(patterns)
    }
}

fn grouped(kinds: Vec<LayerKind>, groups: &[Group]) -> Result<Plan, Error> {
    planned("3x32x32", kinds, |request| {
        // A test's own groups live as long as the test.
        request.rules = Rules {
            groups: Vec::leak(groups.to_vec()),
            ema: None,
            init: &[],
        };
    })
}

/// The names of the parameters in the order of the flat buffer, which has no gaps.
fn order(plan: &Plan) -> Vec<&str> {
    let mut parameters: Vec<_> = plan.parameters.iter().collect();
    parameters.sort_by_key(|parameter| parameter.offset);
    let mut at = 0;
    for parameter in &parameters {
        assert_eq!(parameter.offset, at);
        at = parameter.words().end;
    }
    assert_eq!(at, plan.parameter_count);
    parameters
        .iter()
        .map(|parameter| parameter.name.as_str())
        .collect()
}

#[test]
fn groups_lie_side_by_side_and_what_is_frozen_lies_behind_them() {
    let biases = Group {
        rate: GroupRate::Own(0.3),
        weight_decay: Some(0.0),
        ..group(&["*.bias"])
    };
    let groups = [
        frozen(&["0.*"]),
        biases,
        Group {
            rate: GroupRate::Scaled(0.5),
            ..group(&["6.*"])
        },
    ];
    let plan = grouped(simple_cnn(), &groups).unwrap();
    assert_eq!(
        order(&plan),
        [
            "4.weight", "4.bias", "6.bias", "6.weight", "0.weight", "0.bias"
        ]
    );
    let weight = 64 * 3072;
    let ends = [weight, weight + 74, weight + 74 + 640];
    // The first group that takes a name is its group; rates are relative to the optimiser's 0.1.
    let stretch = |words, lr_scale, weight_decay| Stretch {
        words,
        lr_scale,
        weight_decay,
    };
    assert_eq!(
        plan.groups,
        [
            stretch(0..ends[0], 1.0, None),
            stretch(ends[0]..ends[1], 0.3 / 0.1, Some(0.0)),
            stretch(ends[1]..ends[2], 0.5, None),
        ]
    );
    assert_eq!(plan.trained_count, ends[2]);
    assert_eq!(plan.parameter_count, ends[2] + 12 * 27 + 12);
    let momentum = &plan.buffers[plan.places.optimizer[0].1];
    assert_eq!(momentum.bytes, 4 * ends[2] as u64);
    assert_eq!(plan.tail_offset, (4 * ends[2] as u64).next_multiple_of(64));
}

#[test]
fn the_loss_does_not_flow_back_to_what_is_frozen_at_the_front() {
    let all = grouped(simple_cnn(), &[]).unwrap();
    let head = grouped(simple_cnn(), &[frozen(&["0.*", "4.*"])]).unwrap();
    let backward: Vec<bool> = head.stages.iter().map(|stage| stage.backward).collect();
    assert_eq!(backward, [false, false, true]);
    assert_eq!(head.places.spare_gradients, None);
    assert!(head.arena_bytes < all.arena_bytes / 2);
    assert_eq!(head.flops_backward, 2 * 640 + 10);
    // In the middle a kernel gives gradients that nobody wants, and they lie outside of the records.
    let middle = grouped(simple_cnn(), &[frozen(&["4.weight"])]).unwrap();
    assert!(middle.stages.iter().all(|stage| stage.backward));
    let spare = middle.places.spare_gradients.expect("a buffer");
    assert_eq!(middle.buffers[spare].bytes, 4 * 64 * 3072);
}

#[test]
fn a_frozen_batch_norm_keeps_what_its_running_statistics_need() {
    // Behind its convolution, which takes it along, and on its own.
    for first in [conv(4, 3, 1, 1), LayerKind::Relu] {
        let kinds = vec![
            first,
            batch_norm(),
            LayerKind::Flatten,
            linear(5),
            classes(),
        ];
        let all = grouped(kinds.clone(), &[]).unwrap();
        let front = all.parameters[..all.parameters.len() - 2].iter();
        let names: Vec<&str> = front.map(|parameter| parameter.name.as_str()).collect();
        let plan = grouped(kinds, &[frozen(&names)]).unwrap();
        let norm = plan.stages.iter().find(|stage| stage.kind.norm().is_some());
        let norm = norm.expect("a stage with the norm");
        assert!(!norm.backward && norm.statistics.is_some());
        let taken_along = matches!(norm.kind, crate::StageKind::Window(_));
        assert_eq!(norm.convolved.is_some(), taken_along);
        let numbers = (plan.trained_count + plan.statistic_count) as u64;
        assert_eq!(plan.tail_offset, (4 * numbers).next_multiple_of(64));
        assert_eq!(plan.trained_count, 5 * 10 + 10);
    }
}

#[test]
fn averages_take_a_buffer_as_long_as_what_is_trained() {
    let ema = Ema {
        decay: 0.9,
        start_step: 1,
        every_steps: 1,
    };
    let groups: &'static [Group] = Vec::leak(vec![frozen(&["0.*"])]);
    let rules = Rules {
        groups,
        ema: Some(ema),
        init: &[],
    };
    let plan = planned("3x32x32", simple_cnn(), |request| request.rules = rules).unwrap();
    let averages = plan.places.averages.expect("a buffer");
    assert_eq!(plan.buffers[averages].bytes, 4 * plan.trained_count as u64);
    let evaluates = planned("3x32x32", simple_cnn(), |request| {
        (request.rules, request.mode) = (rules, Mode::Evaluate);
    });
    let evaluates = evaluates.unwrap();
    assert_eq!(evaluates.places.averages, None);
    assert_eq!(evaluates.parameters, plan.parameters);
}

#[test]
fn groups_that_take_nothing_are_refused_with_the_names_there_are() {
    let cases = [
        (
            vec![group(&["*"]), group(&["*.bias"])],
            Some(1),
            "training.groups[1]: those before it have already taken all that is called \"*.bias\": put it before them",
        ),
        (
            vec![group(&["*.bias", "conv1.*"])],
            Some(0),
            "training.groups[0]: no parameter is called \"conv1.*\": there are 0.weight, 0.bias, 4.weight, 4.bias, 6.weight, 6.bias",
        ),
        (
            vec![frozen(&["*"])],
            None,
            "every parameter is frozen, so there is nothing to train: leave some out of the training.groups that are frozen",
        ),
    ];
    for (groups, at, expected) in cases {
        let error = grouped(simple_cnn(), &groups).unwrap_err();
        assert_eq!(
            (
                error.rule().map(|(_, number)| number),
                error.to_string().as_str()
            ),
            (at, expected)
        );
    }
    let deep: Vec<LayerKind> = std::iter::once(LayerKind::Flatten)
        .chain((0..20).map(|_| linear(3)))
        .chain([classes()])
        .collect();
    let error = grouped(deep, &[group(&["x"])]).unwrap_err().to_string();
    assert!(
        error.ends_with(", 10.weight, 10.bias and 22 more"),
        "{error}"
    );
}
