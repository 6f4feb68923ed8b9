//! Residuals and repeats: names, shapes, and what does not fit.

use spec::model::{self, LayerKind, Repeat, Residual};

use super::{batch_norm, classes, conv, linear, planned};
use crate::{Error, Op, StageKind};

fn layers(kinds: Vec<LayerKind>) -> Vec<model::Layer> {
    let layer = |kind| model::Layer { name: None, kind };
    kinds.into_iter().map(layer).collect()
}

/// A residual.
pub fn residual(body: Vec<LayerKind>, projection: Vec<LayerKind>) -> LayerKind {
    LayerKind::Residual(Residual {
        layers: layers(body),
        projection: layers(projection),
    })
}

/// Layers several times.
pub fn repeat(times: u32, kinds: Vec<LayerKind>) -> LayerKind {
    let layers = layers(kinds);
    LayerKind::Repeat(Repeat { times, layers })
}

#[test]
fn nested_parameters_have_pytorchs_names() {
    let body = vec![
        conv(4, 3, 2, 1),
        batch_norm(),
        LayerKind::Relu,
        conv(4, 3, 1, 1),
    ];
    let blocks = repeat(
        2,
        vec![residual(vec![conv(4, 3, 1, 1)], vec![]), LayerKind::Relu],
    );
    let kinds = vec![
        conv(2, 3, 1, 1),
        residual(body, vec![conv(4, 1, 2, 0), batch_norm()]),
        blocks,
        LayerKind::GlobalAvgPool,
        classes(),
    ];
    let plan = planned("1x8x8", kinds, |_| ()).unwrap();
    let names: Vec<&str> = plan
        .parameters
        .iter()
        .map(|parameter| parameter.name.trim_end_matches(".bias"))
        .filter(|name| !name.ends_with(".weight"))
        .collect();
    let layers = ["0", "1.0", "1.1", "1.3", "1.projection.0", "1.projection.1"];
    assert_eq!(
        names,
        [&layers[..], &["2.0.0.0", "2.1.0.0", "4"]].concat(),
        "each has a bias"
    );
    let statistics: Vec<&str> = (plan.running_statistics.iter())
        .map(|statistic| statistic.name.as_str())
        .collect();
    assert_eq!(
        statistics,
        [
            "1.1.running_mean",
            "1.1.running_var",
            "1.projection.1.running_mean",
            "1.projection.1.running_var"
        ]
    );
    let add = plan.layers.iter().find(|layer| layer.kind == Op::Add);
    let add = add.expect("an add");
    assert_eq!((&*add.path, add.word, add.entry), ("1", "residual", 1));
    assert_eq!(
        (add.output.to_string(), add.flops_forward),
        ("4x4x4".into(), 64)
    );
    // What is repeated is written once.
    let entries: Vec<usize> = plan.layers.iter().map(|layer| layer.entry).collect();
    assert_eq!(
        entries,
        [
            0, 1, 2, 3, 4, 5, 1, 6, 7, 1, 9, 10, 9, 11, 9, 10, 9, 11, 12, 13
        ]
    );
}

#[test]
fn branches_that_cannot_be_added_are_refused_with_what_would_fit() {
    let head = || [LayerKind::Flatten, classes()];
    let cases = [
        (
            residual(vec![conv(6, 3, 2, 1)], vec![]),
            "layer 0 (residual) adds 6x4x4, which its layers give, to its input of 2x8x8, but only equal shapes can be added: write \
             projection = { conv2d = { filters = 6, kernel = 1, stride = 2 } }",
        ),
        (
            residual(vec![conv(6, 3, 1, 1)], vec![]),
            "write projection = { conv2d = { filters = 6, kernel = 1 } }",
        ),
        (
            residual(vec![conv(6, 3, 1, 1)], vec![conv(5, 1, 1, 0)]),
            "to 5x8x8, which its projection gives, but only equal shapes can be added: write projection = { conv2d = { filters = 6",
        ),
        (
            residual(vec![conv(2, 3, 1, 0)], vec![]),
            "adds 2x6x6, which its layers give, to its input of 2x8x8, but only equal shapes can be added: make its layers give 2x8x8",
        ),
        (
            residual(vec![LayerKind::Flatten, linear(3)], vec![]),
            "adds 3, which its layers give, to its input of 2x8x8",
        ),
        (
            residual(vec![LayerKind::Flatten], vec![]),
            "layer 0 (residual) has no layer that computes anything",
        ),
    ];
    for (first, words) in cases {
        let kinds = [vec![first], head().to_vec()].concat();
        let error = planned("2x8x8", kinds, |_| ()).unwrap_err();
        assert_eq!(error.layer(), Some(0), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let flat = vec![linear(4), residual(vec![linear(7)], vec![]), classes()];
    let error = planned("5", flat, |_| ()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("write projection = { linear = 7 }"),
        "{error}"
    );
    // A mistake deep inside is told at its own entry.
    let inner = residual(vec![conv(2, 3, 1, 1), conv(2, 11, 1, 0)], vec![]);
    let kinds = vec![LayerKind::Relu, repeat(2, vec![inner])];
    let error = planned("2x8x8", kinds, |_| ()).unwrap_err();
    assert_eq!(error.layer(), Some(4));
    assert!(
        error.to_string().contains("layer 1.0.0.1 (conv2d)"),
        "{error}"
    );
}

#[test]
fn a_layer_is_not_called_as_the_projection() {
    let mut body = layers(vec![linear(4)]);
    body[0].name = Some("projection".into());
    let projection = layers(vec![linear(4)]);
    let kinds = vec![
        LayerKind::Residual(Residual {
            layers: body,
            projection,
        }),
        classes(),
    ];
    let error = planned("5", kinds, |_| ()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::DuplicateName {
                layer: 1,
                first: 0,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_basic_block_copies_no_gradient_and_adds_in_place() {
    let ends_in = |last: LayerKind| {
        let body = vec![
            conv(4, 3, 1, 1),
            batch_norm(),
            LayerKind::Relu,
            conv(4, 3, 1, 1),
            last,
        ];
        let kinds = vec![
            conv(4, 3, 1, 1),
            residual(body, vec![]),
            LayerKind::Relu,
            LayerKind::Flatten,
            classes(),
        ];
        let plan = planned("1x8x8", kinds, |_| ()).unwrap();
        let stage = |kind| plan.stages.iter().find(|stage| stage.kind == kind);
        let (fork, add) = (stage(StageKind::Fork), stage(StageKind::Add));
        (fork.unwrap().clone(), add.unwrap().clone())
    };
    let (fork, add) = ends_in(batch_norm());
    assert_eq!((fork.input, add.input), (fork.output, add.output));
    assert_eq!(add.input_gradient, add.output_gradient);
    assert_eq!(add.shortcut_gradient, add.output_gradient);
    assert_eq!(fork.input_gradient, fork.output_gradient);
    // A relu writes over its gradient, which the shortcut takes as it is.
    let (fork, add) = ends_in(LayerKind::Relu);
    assert_ne!(add.input_gradient, add.output_gradient);
    assert_eq!(add.shortcut_gradient, add.output_gradient);
    assert_eq!(fork.shortcut_gradient, add.output_gradient);
}
