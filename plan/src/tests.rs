use proptest::prelude::*;
use spec::loss::Loss;
use spec::model::{self, Activation, Gelu, LayerKind, Model, Pair, Size};
use spec::{Shape, job::Optimizer};

use crate::{Error, Init, Mode, Objective, Per, Plan, Request, Rules, Stage, StageKind, plan};

const MOMENTUM: Optimizer = Optimizer::Sgd {
    lr: 0.1,
    momentum: 0.9,
    nesterov: false,
    weight_decay: 0.0,
};

fn conv(filters: u32, kernel: u32, stride: u32, padding: u32) -> LayerKind {
    let [kernel, stride, padding] = [kernel, stride, padding].map(Pair::both);
    LayerKind::Conv2d(model::Conv2d {
        filters,
        kernel,
        stride,
        padding,
        dilation: Pair::both(1),
        groups: 1,
        bias: true,
    })
}

fn pool(kernel: u32, stride: u32, padding: u32) -> LayerKind {
    let [kernel, stride, padding] = [kernel, stride, padding].map(Pair::both);
    LayerKind::MaxPool2d(model::MaxPool2d {
        kernel,
        stride,
        padding,
    })
}

fn average(kernel: u32, stride: u32) -> LayerKind {
    let [kernel, stride, padding] = [kernel, stride, 0].map(Pair::both);
    LayerKind::AvgPool2d(model::AvgPool2d {
        kernel,
        stride,
        padding,
    })
}

fn batch_norm() -> LayerKind {
    LayerKind::BatchNorm(model::BatchNorm {
        eps: 1e-5,
        momentum: 0.1,
        sync: false,
    })
}

fn norm(groups: u32) -> LayerKind {
    LayerKind::GroupNorm(model::GroupNorm {
        groups,
        eps: 1e-5,
        affine: true,
    })
}

fn linear(units: u32) -> LayerKind {
    LayerKind::Linear(model::Linear {
        units: Size::Count(units),
        bias: true,
        tied: None,
    })
}

fn classes() -> LayerKind {
    LayerKind::Linear(model::Linear {
        units: Size::Classes,
        bias: true,
        tied: None,
    })
}

fn simple_cnn() -> Vec<LayerKind> {
    use LayerKind::{Flatten, Relu};
    vec![
        conv(12, 3, 1, 1),
        Relu,
        pool(2, 2, 0),
        Flatten,
        linear(64),
        Relu,
        classes(),
    ]
}

fn planned(
    input: &str,
    kinds: Vec<LayerKind>,
    change: impl Fn(&mut Request),
) -> Result<Plan, Error> {
    let model = Model {
        layers: kinds
            .into_iter()
            .map(|kind| model::Layer { name: None, kind })
            .collect(),
    };
    let mut request = Request {
        model: &model,
        input: input.parse::<Shape>().expect("a shape").into(),
        classes: 10,
        per: Per::Sample,
        microbatch: 64,
        microbatches: 1,
        share: 1,
        objective: Objective::CROSS_ENTROPY,
        optimizer: &MOMENTUM,
        rules: Rules::NONE,
        threads: 1,
        mode: Mode::Train,
        host_bytes: 0,
    };
    change(&mut request);
    plan(&request)
}

#[test]
fn the_simple_cnn_has_the_shapes_parameters_and_costs_that_pytorch_gives_it() {
    let plan = planned("3x32x32", simple_cnn(), |_| ()).unwrap();
    let outputs: Vec<String> = plan
        .layers
        .iter()
        .map(|layer| layer.output.to_string())
        .collect();
    assert_eq!(
        outputs,
        ["12x32x32", "12x32x32", "12x16x16", "3072", "64", "64", "10"]
    );
    let named = plan.parameters.iter().map(|parameter| &*parameter.name);
    let names: Vec<&str> = named.collect();
    assert_eq!(
        names,
        [
            "0.weight", "0.bias", "4.weight", "4.bias", "6.weight", "6.bias"
        ]
    );
    assert_eq!(
        plan.parameter_count,
        12 * 27 + 12 + 64 * 3072 + 64 + 10 * 64 + 10
    );
    assert_eq!(plan.layers[0].flops_forward, 2 * 27 * 12 * 1024 + 12 * 1024);
    assert_eq!(plan.layers[4].flops_backward, 4 * 64 * 3072 + 64);
    let Init::Uniform { bound } = plan.parameters[0].init else {
        panic!("weights are drawn")
    };
    assert_eq!((bound, plan.parameters[1].fan_in), (1.0 / 27f64.sqrt(), 27));
    assert_eq!(plan.stages.len(), 3);
    assert_eq!(plan.stages[0].input_gradient, None);
    assert_eq!((plan.slots, plan.places.optimizer.len()), (1, 1));
    assert_eq!(plan.record_bytes, plan.tail_offset + 64);
    assert_eq!(plan.memory.total, plan.arena_bytes);
}

#[test]
fn the_arena_is_smaller_than_its_buffers_and_evaluation_smaller_than_training() {
    let train = planned("3x32x32", simple_cnn(), |_| ()).unwrap();
    assert!(train.arena_bytes < train.buffers.iter().map(|buffer| buffer.bytes).sum());
    let evaluate = planned("3x32x32", simple_cnn(), |request| {
        request.mode = Mode::Evaluate
    })
    .unwrap();
    assert!(2 * evaluate.arena_bytes < train.arena_bytes);
    assert_eq!((evaluate.slots, evaluate.places.record), (0, None));
}

#[test]
fn a_name_replaces_the_position_in_the_names_of_parameters() {
    let model = Model {
        layers: vec![model::Layer {
            name: Some("head".into()),
            kind: classes(),
        }],
    };
    let request = Request {
        model: &model,
        input: Shape::new(vec![4]).unwrap().into(),
        classes: 3,
        per: Per::Sample,
        microbatch: 1,
        microbatches: 8,
        share: 8,
        objective: Objective::CROSS_ENTROPY,
        optimizer: &MOMENTUM,
        rules: Rules::NONE,
        threads: 1,
        mode: Mode::Train,
        host_bytes: 100,
    };
    let plan = plan(&request).unwrap();
    assert_eq!(plan.parameters[0].name, "head.weight");
    assert_eq!((plan.slots, plan.memory.host), (5, 100));
}

#[test]
fn what_does_not_fit_is_refused_with_layer_input_and_remedy() {
    use LayerKind::{Flatten, Relu};
    let flat = |units| vec![Flatten, linear(units), classes()];
    let cases: Vec<(&str, Vec<LayerKind>, Option<usize>, &str)> = vec![
        ("4", vec![], None, "no layers"),
        ("10", vec![Relu], None, "nothing to train"),
        (
            "784",
            vec![conv(4, 3, 1, 1), Flatten, classes()],
            Some(0),
            "--shape 1x28x28",
        ),
        (
            "1x8x8",
            vec![Flatten, Relu, pool(2, 2, 0), classes()],
            Some(2),
            "put it before \"flatten\"",
        ),
        (
            "1x8x8",
            vec![conv(4, 3, 1, 1), classes()],
            Some(1),
            "layer 1 (linear) needs flat samples, but gets 4x8x8",
        ),
        ("1x8x8", vec![conv(4, 11, 1, 1)], Some(0), "at most 10 fits"),
        ("1x8x8", vec![pool(4, 4, 3)], Some(0), "at most 2 fits"),
        ("1x8x8", vec![conv(4, 3, 0, 1)], Some(0), "stride = 0"),
        ("1x8x8", vec![conv(0, 3, 1, 1)], Some(0), "filters = 0"),
        ("1x8x8", vec![conv(4, 0, 1, 1)], Some(0), "kernel = 0"),
        (
            "1x8x8",
            vec![LayerKind::Softmax, Flatten, classes()],
            Some(0),
            "layer 0 (softmax) needs flat samples, but gets 1x8x8",
        ),
        (
            "6x8x8",
            vec![norm(4), Flatten, classes()],
            Some(0),
            "the 6 channels of its input 6x8x8 do not fall into so many equal groups",
        ),
        ("6x8x8", vec![norm(0)], Some(0), "groups = 0"),
        ("1x8x8", vec![average(9, 1)], Some(0), "at most 8 fits"),
        (
            "8",
            vec![LayerKind::GlobalAvgPool, classes()],
            Some(0),
            "layer 0 (global_avg_pool) needs samples of C x H x W",
        ),
        ("1x8x8", flat(0), Some(1), "units = 0"),
        (
            "1x8x8",
            vec![Flatten, linear(7)],
            Some(1),
            "gives 7, but cross_entropy needs 10 logits",
        ),
        (
            "1x8x8",
            vec![conv(10, 8, 1, 0)],
            Some(0),
            "linear = \"classes\"",
        ),
        (
            "1x8x8",
            vec![conv(4, 3, 1, u32::MAX), Flatten, classes()],
            Some(0),
            "too large",
        ),
        (
            "1x1048576x8",
            vec![Flatten, linear(u32::MAX), classes()],
            Some(1),
            "too large",
        ),
    ];
    for (input, kinds, layer, words) in cases {
        let error = planned(input, kinds.clone(), |_| ()).expect_err(&format!("{input} {kinds:?}"));
        assert_eq!(error.layer(), layer, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let error = planned("1x8x8", simple_cnn(), |request| request.threads = 0).unwrap_err();
    assert_eq!(
        error,
        Error::Zero {
            what: "the number of threads"
        }
    );
}

#[test]
fn two_layers_of_one_name_are_refused() {
    let layers = vec![
        model::Layer {
            name: Some("1".into()),
            kind: linear(4),
        },
        model::Layer {
            name: None,
            kind: LayerKind::Relu,
        },
    ];
    let model = Model { layers };
    let error = crate::resolve::resolve(
        &model,
        &Shape::new(vec![4]).unwrap().into(),
        (4, Per::Sample),
        &[],
        &Loss::CROSS_ENTROPY,
    )
    .unwrap_err();
    assert_eq!(
        error,
        Error::DuplicateName {
            layer: 1,
            first: 0,
            path: "1".into()
        }
    );
}

fn any_layer() -> impl Strategy<Value = LayerKind> {
    prop_oneof![
        (1u32..5, 1u32..4, 1u32..3, 0u32..3)
            .prop_map(|(filters, kernel, stride, padding)| conv(filters, kernel, stride, padding)),
        (1u32..4, 1u32..3).prop_map(|(kernel, stride)| pool(kernel, stride, kernel / 2)),
        Just(LayerKind::Relu),
        Just(batch_norm()),
        Just(LayerKind::LayerNorm(model::LayerNorm {
            eps: 1e-5,
            affine: true
        })),
        (1u32..4, 1u32..3).prop_map(|(kernel, stride)| average(kernel, stride)),
        prop::sample::select(vec![
            Activation::Gelu(Gelu::Erf),
            Activation::Silu,
            Activation::Tanh,
            Activation::Sigmoid,
            Activation::Softplus,
        ])
        .prop_map(LayerKind::Activation),
    ]
}

proptest! {
    #[test]
    fn whatever_a_stage_touches_is_alive_and_apart_while_it_runs(
        mut kinds in prop::collection::vec(any_layer(), 0..7),
        microbatch in 1usize..40,
        threads in 1usize..4,
    ) {
        kinds.extend([LayerKind::Flatten, linear(5), LayerKind::Relu, LayerKind::Softmax, classes(), LayerKind::LogSoftmax]);
        let Ok(plan) = planned("2x9x7", kinds, |request| {
            (request.microbatch, request.threads) = (microbatch, threads);
        }) else { return Ok(()) };
        let end = 2 * plan.stages.len() + 1;
        for (index, stage) in plan.stages.iter().enumerate() {
            let forward = [Some(stage.input), Some(stage.output), stage.indices, stage.convolved, stage.statistics, stage.forward_work];
            let backward = [
                Some(stage.input).filter(|_| stage.kind.reads_input()),
                Some(stage.output).filter(|_| stage.kind.reads_output()), stage.output_gradient, stage.input_gradient, stage.indices, stage.convolved, stage.statistics,
                stage.backward_work,
            ];
            prop_assert_eq!(stage.output_gradient.is_some(), stage.backward);
            // What a backward pass reads, no stage between has written over; a relu may, for it changes only what counts for
            // nothing.
            if stage.backward {
                let spoiled = |buffer: usize, stages: &[Stage]| stages.iter().any(|later| {
                    later.output == buffer && !matches!(later.kind, StageKind::Relu)
                });
                prop_assert!(!stage.kind.reads_output() || !spoiled(stage.output, &plan.stages[index + 1..]));
                prop_assert!(!stage.kind.reads_input() || !spoiled(stage.input, &plan.stages[index..]));
            }
            for (operation, touched) in [(index, &forward[..]), (end - 1 - index, &backward[..])] {
                if operation != index && !stage.backward {
                    continue;
                }
                let mut ids: Vec<usize> = touched.iter().flatten().copied().collect();
                ids.sort_unstable();
                ids.dedup();
                for (position, &id) in ids.iter().enumerate() {
                    let buffer = &plan.buffers[id];
                    prop_assert!((buffer.first..=buffer.last).contains(&operation), "{:?} at {}", buffer, operation);
                    for &other in &ids[..position] {
                        let other = &plan.buffers[other];
                        let apart = other.offset + other.bytes <= buffer.offset || buffer.offset + buffer.bytes <= other.offset;
                        prop_assert!(apart, "{:?} {:?}", buffer, other);
                    }
                }
            }
        }
    }
}

mod convolutions;
mod groups;
mod initials;
mod memory;
mod norms;
mod residuals;
mod time;
mod tokens;
