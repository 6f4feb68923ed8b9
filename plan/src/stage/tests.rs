use spec::Shape;
use spec::loss::Loss;
use spec::model::{self, LayerKind, Model, Pair, Size};

use super::*;
use crate::resolve::resolve;
use crate::signal::Per;

fn stages_of(kinds: Vec<LayerKind>) -> Vec<Stage> {
    let model = Model {
        layers: kinds
            .into_iter()
            .map(|kind| model::Layer { name: None, kind })
            .collect(),
    };
    let input = Shape::new(vec![1, 8, 8]).unwrap().into();
    let (layers, parameters) =
        resolve(&model, &input, (10, Per::Sample), &[], &Loss::CROSS_ENTROPY).unwrap();
    stages(&layers, &parameters, 4, 1).unwrap()
}

fn conv() -> LayerKind {
    let (kernel, stride, padding) = (Pair::both(3), Pair::both(1), Pair::both(1));
    LayerKind::Conv2d(model::Conv2d {
        filters: 2,
        kernel,
        stride,
        padding,
        dilation: Pair::both(1),
        groups: 1,
        bias: true,
    })
}

fn pool() -> LayerKind {
    LayerKind::MaxPool2d(model::MaxPool2d {
        kernel: Pair::both(2),
        stride: Pair::both(2),
        padding: Pair::both(0),
    })
}

fn linear(units: Size) -> LayerKind {
    LayerKind::Linear(model::Linear {
        units,
        bias: true,
        tied: None,
    })
}

#[test]
fn a_convolution_takes_its_relu_and_its_pooling_along() {
    let stages = stages_of(vec![
        conv(),
        LayerKind::Relu,
        pool(),
        LayerKind::Flatten,
        linear(Size::Count(5)),
        LayerKind::Relu,
        linear(Size::Classes),
    ]);
    assert_eq!(
        stages
            .iter()
            .map(|stage| stage.layers.clone())
            .collect::<Vec<_>>(),
        [0..3, 4..6, 6..7]
    );
    assert!(
        matches!(&stages[0].kind, StageKind::Window(window) if window.relu && window.pool.is_some())
    );
    assert!(matches!(
        &stages[2].kind,
        StageKind::Dense(Dense { relu: false, .. })
    ));
}

#[test]
fn a_convolution_takes_its_norm_along_with_its_parameters() {
    let norm = LayerKind::BatchNorm(model::BatchNorm {
        eps: 1e-5,
        momentum: 0.1,
        sync: false,
    });
    let stages = stages_of(vec![
        conv(),
        norm.clone(),
        LayerKind::Relu,
        pool(),
        norm,
        LayerKind::Flatten,
        linear(Size::Classes),
    ]);
    let of = |stage: &Stage| {
        let running = stage.running.clone();
        (stage.layers.clone(), stage.parameters.clone(), running)
    };
    assert_eq!(
        stages.iter().map(of).collect::<Vec<_>>(),
        [(0..4, 0..4, 0..4), (4..5, 4..6, 4..8), (6..7, 6..8, 8..8)]
    );
    assert!(!stages[0].kind.reads_output() && stages[0].kind.norm().is_some());
}

#[test]
fn what_stands_before_the_first_parameter_has_no_backward_pass() {
    let stages = stages_of(vec![
        pool(),
        LayerKind::Relu,
        conv(),
        pool(),
        LayerKind::Flatten,
        linear(Size::Classes),
    ]);
    assert_eq!(
        stages
            .iter()
            .map(|stage| stage.backward)
            .collect::<Vec<_>>(),
        [false, false, true, true]
    );
}
