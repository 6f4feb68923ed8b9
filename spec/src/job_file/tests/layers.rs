//! The list of layers: what is read, and what is refused.

use super::{SMALL, mistakes_of};
use crate::job_file::spelling::listed;
use crate::job_file::{keys, layer_positions, parse};
use crate::model::{
    Activation, AvgPool2d, BatchNorm, Gelu, GroupNorm, Layer, LayerKind, LayerNorm, Linear,
    MaxPool2d, Pair, Repeat, Residual, Size,
};
use crate::recurrent::{Cell, Embedding, Nonlinearity, Output, Recurrent};

/// The mistakes of the small file with these layers, without their place in the file.
fn layers(layers: &str) -> Vec<String> {
    let all = mistakes_of(
        &SMALL.replace(r#"["flatten", { linear = "classes" }]"#, layers),
        &[],
    );
    all.into_iter()
        .map(|line| {
            line.strip_prefix("job.toml:5:")
                .expect("its line")
                .to_string()
        })
        .collect()
}

#[test]
fn layers_are_checked_one_by_one() {
    let known = listed(keys::LAYERS);
    let layer =
        "a layer, as \"relu\", { linear = 10 } or { linear = { units = 10, bias = false } }";
    for (text, expected) in [
        ("[]", "10: model.layers is empty: name at least one layer, as [\"flatten\", { linear = \"classes\" }]".to_string()),
        ("3", "10: model.layers: expected a list of layers, as [\"flatten\", { linear = \"classes\" }], got 3".to_string()),
        ("[3]", format!("11: model.layers[0]: expected {layer}, got 3")),
        ("[{}]", format!("11: model.layers[0]: no layer is named here, expected one of {known}")),
        ("[{ name = \"a\" }]", format!("11: model.layers[0]: no layer is named here, expected one of {known}")),
        ("[{ transformer = 3 }]", format!("13: model.layers[0]: unknown layer \"transformer\", expected {known}")),
        ("[\"conv2d\"]", "11: model.layers[0]: \"conv2d\" needs values, as { conv2d = { filters = 32, kernel = 3 } }".to_string()),
        ("[\"max_pool2d\"]", "11: model.layers[0]: \"max_pool2d\" needs values, as { max_pool2d = 2 }".to_string()),
        ("[{ conv2d = 32 }]", "22: missing key model.layers[0].conv2d.kernel: expected a whole number from 1 to 1024, or two of them as [height, width]".to_string()),
        ("[{ conv2d = { filters = 1, kernel = 1, groups = 0 } }]", "58: model.layers[0].conv2d.groups: expected a whole number from 1 to 1048576, got 0".to_string()),
        ("[{ conv2d = { filters = 1, kernel = 1, dilation = [1, 0] } }]", "64: model.layers[0].conv2d.dilation[1]: expected a whole number from 1 to 1024, got 0".to_string()),
        ("[{ conv2d = { kernel = 3 } }]", "22: missing key model.layers[0].conv2d.filters: expected a whole number from 1 to 1048576".to_string()),
        ("[{ linear = {} }]", "22: missing key model.layers[0].linear.units: expected a whole number from 1 to 1048576, \"classes\" or \"vocabulary\"".to_string()),
        ("[{ linear = 0 }]", "22: model.layers[0].linear: expected a whole number from 1 to 1048576, \"classes\" or \"vocabulary\", got 0".to_string()),
        ("[{ linear = 1048577 }]", "22: model.layers[0].linear: expected a whole number from 1 to 1048576, \"classes\" or \"vocabulary\", got 1048577".to_string()),
        ("[{ linear = [1] }]", "22: model.layers[0].linear: expected a whole number from 1 to 1048576, \"classes\" or \"vocabulary\", got a list".to_string()),
        ("[{ relu = {}, flatten = {} }]", "24: model.layers[0]: relu and flatten are two layers, write each in its own { }".to_string()),
        ("[{ linear = 3, nam = \"a\" }]", "25: unknown key \"nam\" in model.layers[0], did you mean \"name\"? (known: linear, name)".to_string()),
        ("[{ conv2d = { filters = 1, kernel = 1 }, padding = 1 }]", "51: unknown key \"padding\" in model.layers[0], did you mean \"conv2d.padding\"? (known: conv2d, name)".to_string()),
        ("[{ gelu = \"erff\" }]", "20: model.layers[0].gelu: unknown word \"erff\", did you mean \"erf\"? (known: erf, tanh)".to_string()),
        ("[{ gelu = { aproximate = \"tanh\" } }]", "22: unknown key \"aproximate\" in model.layers[0].gelu, did you mean \"approximate\"? (known: approximate)".to_string()),
        ("[{ leaky_relu = -0.1 }]", "26: model.layers[0].leaky_relu: expected a number of at least 0.0 and at most 1000000.0, got -0.1".to_string()),
        ("[{ elu = { alpha = nan } }]", "29: model.layers[0].elu.alpha: expected a number of at least 0.0 and at most 1000000.0, got nan".to_string()),
        ("[\"dropout\"]", "11: model.layers[0]: \"dropout\" needs values, as { dropout = 0.25 }".to_string()),
        ("[{ dropout = 1 }]", "23: model.layers[0].dropout: expected a number of at least 0.0 and below 1.0, got 1".to_string()),
        ("[{ dropout = {} }]", "23: missing key model.layers[0].dropout.rate: expected a number of at least 0.0 and below 1.0".to_string()),
        ("[{ dropout = { rate = -0.5 } }]", "32: model.layers[0].dropout.rate: expected a number of at least 0.0 and below 1.0, got -0.5".to_string()),
        ("[{ dropout = { p = 0.5, rate = 0.5 } }]", "25: unknown key \"p\" in model.layers[0].dropout (known: rate)".to_string()),
        ("[\"group_norm\"]", "11: model.layers[0]: \"group_norm\" needs values, as { group_norm = 8 }".to_string()),
        ("[{ batch_norm = { momentum = 1.5 } }]", "39: model.layers[0].batch_norm.momentum: expected a number of at least 0.0 and at most 1.0, got 1.5".to_string()),
        ("[{ layer_norm = { eps = 0 } }]", "34: model.layers[0].layer_norm.eps: expected a number of at least 1e-30 and at most 1.0, got 0".to_string()),
        ("[{ avg_pool2d = { kernel = 2, padding = 2 } }]", "50: model.layers[0].avg_pool2d.padding: padding of 2 is more than half the kernel of 2: at most 1".to_string()),
        ("[\"lstm\"]", "11: model.layers[0]: \"lstm\" needs values, as { lstm = 128 }".to_string()),
        ("[{ embedding = 0 }]", "25: model.layers[0].embedding: expected a whole number from 1 to 1048576, got 0".to_string()),
        ("[{ gru = { layers = 2 } }]", "19: missing key model.layers[0].gru.hidden: expected a whole number from 1 to 1048576".to_string()),
        ("[{ lstm = { hidden = 3, output = \"lst\" } }]", "43: model.layers[0].lstm.output: unknown word \"lst\", did you mean \"last\"? (known: all, last, mean)".to_string()),
        ("[{ lstm = { hidden = 3, nonlinearity = \"relu\" } }]", "34: unknown key \"nonlinearity\" in model.layers[0].lstm (known: hidden, layers, bidirectional, dropout, output, bias)".to_string()),
        ("[{ rnn = { hidden = 3, dropout = 0.5 } }]", "43: model.layers[0].rnn.dropout: there is only one layer, and so no place between two: set layers, or add { dropout = .. } behind it".to_string()),
        ("[{ swish = 3 }]", "21: model.layers[0].swish: expected \"swish\" alone or { swish = {} }, since it takes no values, got 3".to_string()),
        ("[{ relu = { inplace = true } }]", "22: unknown key \"inplace\" in model.layers[0].relu (no key is known here)".to_string()),
        ("[{ max_pool2d = [1, 2, 3] }]", "26: model.layers[0].max_pool2d: expected a whole number from 1 to 1024, or two of them as [height, width], got a list".to_string()),
        ("[{ max_pool2d = { kernel = [2, 3], padding = [1, 2] } }]", "55: model.layers[0].max_pool2d.padding: padding of 2 is more than half the kernel of 3: at most 1".to_string()),
        ("[{ max_pool2d = { kernel = 1025 } }]", "37: model.layers[0].max_pool2d.kernel: expected a whole number from 1 to 1024, or two of them as [height, width], got 1025".to_string()),
    ] {
        assert_eq!(layers(text), [expected], "{text}");
    }
}

#[test]
fn mistakes_inside_nested_lists_have_their_places() {
    let list = "a list of layers, as [\"flatten\", { linear = \"classes\" }]";
    let times = "a whole number from 1 to 10000";
    let deep = |depth: usize| {
        format!(
            "[{}\"relu\"{}]",
            "{ residual = [".repeat(depth),
            "] }".repeat(depth)
        )
    };
    for (text, expected) in [
        ("[\"residual\"]", "11: model.layers[0]: \"residual\" needs values, as { residual = [{ linear = 64 }, \"relu\"] }".to_string()),
        ("[\"repeat\"]", "11: model.layers[0]: \"repeat\" needs values, as { repeat = { times = 2, layers = [{ linear = 64 }, \"relu\"] } }".to_string()),
        ("[{ residual = 3 }]", "24: model.layers[0].residual: expected a list of layers, or a table, as { layers = [{ linear = 64 }, \"relu\"] }, got 3".to_string()),
        ("[{ residual = [] }]", "24: model.layers[0].residual is empty: name at least one layer, as [\"flatten\", { linear = \"classes\" }]".to_string()),
        ("[{ residual = {} }]", format!("24: missing key model.layers[0].residual.layers: expected {list}")),
        ("[{ residual = { layers = \"relu\" } }]", format!("35: model.layers[0].residual.layers: expected {list}, got \"relu\"")),
        ("[{ residual = { layers = [\"relu\"], projektion = [] } }]", "45: unknown key \"projektion\" in model.layers[0].residual, did you mean \"projection\"? (known: layers, projection)".to_string()),
        ("[{ residual = { layers = [\"relu\"], projection = 1 } }]", "58: model.layers[0].residual.projection: expected a list of layers, or one layer, as { conv2d = { filters = 64, kernel = 1 } }, got 1".to_string()),
        ("[{ residual = { layers = [\"relu\"], projection = { linear = 0 } } }]", "69: model.layers[0].residual.projection.linear: expected a whole number from 1 to 1048576, \"classes\" or \"vocabulary\", got 0".to_string()),
        ("[\"relu\", { residual = [\"relu\", { linear = { unit = 3 , units = 4} }] }]", "54: unknown key \"unit\" in model.layers[1].residual[1].linear, did you mean \"units\"? (known: units, bias, tied)".to_string()),
        ("[{ residual = [{ relu = {}, name = \"a\" }, { tanh = {}, name = \"a\" }] }]", "72: model.layers[0].residual[1].name: the name \"a\" is taken by model.layers[0].residual[0]: layer names are unique".to_string()),
        ("[{ residual = [{ relu = {}, name = \"projection\" }] }]", "45: model.layers[0].residual[0].name: \"projection\" is what the residual's projection is called: choose another name".to_string()),
        ("[{ repeat = 2 }]", "22: model.layers[0].repeat: expected a table, got 2".to_string()),
        ("[{ repeat = { times = 0, layers = [\"relu\"] } }]", format!("32: model.layers[0].repeat.times: expected {times}, got 0")),
        ("[{ repeat = { layers = [\"relu\"] } }]", format!("22: missing key model.layers[0].repeat.times: expected {times}")),
        ("[{ repeat = { times = 2, layers = [{ repeat = { times = 2, layers = [\"rleu\"] } }] } }]", format!("79: model.layers[0].repeat.layers[0].repeat.layers[0]: unknown layer \"rleu\", did you mean \"relu\"? (known: {})", keys::LAYERS.join(", "))),
        ("[{ repeat = { times = 10000, layers = [\"relu\", { residual = [\"relu\"] }] } }]", "10: model.layers comes to 30000 layers with its repeats: at most 10000, lower times".to_string()),
        ("[{ repeat = { times = 10000, layers = [{ repeat = { times = 10000, layers = [{ repeat = { times = 10000, layers = [{ repeat = { times = 10000, layers = [{ repeat = { times = 10000, layers = [\"relu\"] } }] } }] } }] } }] } }]", format!("10: model.layers comes to {} layers with its repeats: at most 10000, lower times", usize::MAX)),
        (&deep(9), format!("{}: model.layers{}: layers lie at most 8 lists deep inside model.layers: write it flatter", 10 + 14 * 9, "[0].residual".repeat(9))),
    ] {
        assert_eq!(layers(text), [expected], "{text}");
    }
    assert_eq!(kinds(&deep(8)).len(), 1);
}

#[test]
fn residuals_and_repeats_are_lists_or_tables() {
    let relu = || Layer {
        name: None,
        kind: LayerKind::Relu,
    };
    let residual = |projection| {
        LayerKind::Residual(Residual {
            layers: vec![relu(), relu()],
            projection,
        })
    };
    assert_eq!(
        kinds(
            r#"[{ residual = ["relu", "relu"] }, { residual = { layers = ["relu", "relu"] } },
                { residual = { layers = ["relu", "relu"], projection = "relu" } },
                { residual = { projection = ["relu", "relu"], layers = ["relu", { relu = {} }] } }]"#
        ),
        [
            residual(vec![]),
            residual(vec![]),
            residual(vec![relu()]),
            residual(vec![relu(), relu()])
        ]
    );
    let repeated = kinds(r#"[{ repeat = { times = 3, layers = ["relu"] }, name = "blocks" }]"#);
    let layers = vec![relu()];
    assert_eq!(repeated, [LayerKind::Repeat(Repeat { times: 3, layers })]);
}

#[test]
fn every_entry_of_the_lists_has_its_position() {
    let text = SMALL.replace(
        r#"["flatten", { linear = "classes" }]"#,
        r#"["flatten", { residual = { projection = [{ linear = 3 }], layers = [{ repeat = { times = 2, layers = ["relu"] } }, "tanh"] } },
{ residual = ["relu"] }, { residual = { layers = ["relu"], projection = { linear = 3 } } }, "relu"]"#,
    );
    let job = parse(&text).expect("a job");
    let entries = job.model.layers.iter().map(Layer::entries);
    let positions = layer_positions(&text);
    assert_eq!(positions.len(), entries.sum::<usize>());
    let lines: Vec<&str> = text.lines().collect();
    let texts = positions
        .iter()
        .map(|&(line, column)| &lines[line - 1][column - 1..]);
    let expected = [
        "\"flatten\"",
        "{ residual = { projection",
        "{ repeat",
        "\"relu\"] } }, \"tanh",
        "\"tanh\"",
        "{ linear = 3 }], layers",
        "{ residual = [",
        "\"relu\"] },",
        "{ residual = { layers",
        "\"relu\"], projection",
        "{ linear = 3 } } }",
        "\"relu\"]",
    ];
    for (text, expected) in texts.zip(expected) {
        assert!(text.starts_with(expected), "{text} {expected}");
    }
}

#[test]
fn the_number_of_layers_is_bounded() {
    let many = |count: usize| format!("[{}]", "\"relu\",".repeat(count));
    assert_eq!(
        layers(&many(10_001)),
        ["10: model.layers has 10001 layers: at most 10000"]
    );
    let text = SMALL.replace(r#"["flatten", { linear = "classes" }]"#, &many(10_000));
    assert_eq!(parse(&text).expect("a job").model.layers.len(), 10_000);
}

/// The layers of the small job with others in their place.
fn kinds(layers: &str) -> Vec<LayerKind> {
    let text = SMALL.replace(r#"["flatten", { linear = "classes" }]"#, layers);
    let layers = parse(&text).expect("a job").model.layers;
    layers.into_iter().map(|layer| layer.kind).collect()
}

#[test]
fn an_activation_is_a_word_or_has_its_value() {
    let read = kinds(
        r#"["gelu", { gelu = "tanh" }, { gelu = { approximate = "erf" } }, "silu", "swish", "leaky_relu",
            { leaky_relu = 0.2 }, { elu = {} }, { elu = { alpha = 2 } }, { softplus = {} }]"#,
    );
    let expected = [
        Activation::Gelu(Gelu::Erf),
        Activation::Gelu(Gelu::Tanh),
        Activation::Gelu(Gelu::Erf),
        Activation::Silu,
        Activation::Silu,
        Activation::LeakyRelu { slope: 0.01 },
        Activation::LeakyRelu { slope: 0.2 },
        Activation::Elu { alpha: 1.0 },
        Activation::Elu { alpha: 2.0 },
        Activation::Softplus,
    ];
    assert_eq!(read, expected.map(LayerKind::Activation));
    assert_eq!(
        kinds(r#"["softmax", { log_softmax = {} }]"#),
        [LayerKind::Softmax, LayerKind::LogSoftmax]
    );
}

#[test]
fn a_pooling_steps_by_its_kernel_unless_told_otherwise() {
    let pool = |kernel, padding| {
        LayerKind::MaxPool2d(MaxPool2d {
            kernel,
            stride: kernel,
            padding,
        })
    };
    let zero = Pair::both(0);
    assert_eq!(
        kinds(
            "[{ max_pool2d = 2 }, { max_pool2d = [2, 3] }, { max_pool2d = { kernel = 4, padding = 2 } }]"
        ),
        [
            pool(Pair::both(2), zero),
            pool(Pair { h: 2, w: 3 }, zero),
            pool(Pair::both(4), Pair::both(2))
        ]
    );
}

#[test]
fn average_poolings_and_norms_have_a_main_value_or_a_table() {
    let average = |kernel, stride, padding| {
        LayerKind::AvgPool2d(AvgPool2d {
            kernel: Pair::both(kernel),
            stride: Pair::both(stride),
            padding: Pair::both(padding),
        })
    };
    let layer = |eps, affine| LayerKind::LayerNorm(LayerNorm { eps, affine });
    let group = |groups, eps, affine| {
        LayerKind::GroupNorm(GroupNorm {
            groups,
            eps,
            affine,
        })
    };
    assert_eq!(
        kinds(
            r#"[{ avg_pool2d = 3 }, { avg_pool2d = { kernel = 4, stride = 1, padding = 2 } }, "global_avg_pool", "global_max_pool",
                "batch_norm", { batch_norm = { momentum = 0.25 } }, "layer_norm", { layer_norm = { eps = 1e-3, affine = false } }, { group_norm = 4 },
                { group_norm = { groups = 2, eps = 0.5 } }]"#
        ),
        [
            average(3, 3, 0),
            average(4, 1, 2),
            LayerKind::GlobalAvgPool,
            LayerKind::GlobalMaxPool,
            LayerKind::BatchNorm(BatchNorm {
                eps: 1e-5,
                momentum: 0.1,
                sync: false,
            }),
            LayerKind::BatchNorm(BatchNorm {
                eps: 1e-5,
                momentum: 0.25,
                sync: false,
            }),
            layer(1e-5, true),
            layer(1e-3, false),
            group(4, 1e-5, true),
            group(2, 0.5, true),
        ]
    );
}

#[test]
fn layers_of_sequences_have_a_main_value_or_a_table() {
    let plain = |cell| Recurrent {
        cell,
        hidden: 128,
        layers: 1,
        bidirectional: false,
        dropout: 0.0,
        output: Output::All,
        bias: true,
    };
    assert_eq!(
        kinds(
            r#"[{ embedding = 64 }, { embedding = { size = 8, padding_index = 0 } }, { lstm = 128 }, { gru = { hidden = 128 } },
                { rnn = { hidden = 128, nonlinearity = "relu", bias = false } }, { lstm = { hidden = 128, layers = 2, bidirectional = true,
                dropout = 0.25, output = "last" } }, { gru = { hidden = 128, output = "mean" } }, { linear = "vocabulary" },
                { linear = { units = "vocabulary", tied = "words" } }]"#
        ),
        [
            LayerKind::Embedding(Embedding {
                size: 64,
                padding_index: None
            }),
            LayerKind::Embedding(Embedding {
                size: 8,
                padding_index: Some(0)
            }),
            LayerKind::Recurrent(plain(Cell::Lstm)),
            LayerKind::Recurrent(plain(Cell::Gru)),
            LayerKind::Recurrent(Recurrent {
                bias: false,
                ..plain(Cell::Rnn(Nonlinearity::Relu))
            }),
            LayerKind::Recurrent(Recurrent {
                layers: 2,
                bidirectional: true,
                dropout: 0.25,
                output: Output::Last,
                ..plain(Cell::Lstm)
            }),
            LayerKind::Recurrent(Recurrent {
                output: Output::Mean,
                ..plain(Cell::Gru)
            }),
            LayerKind::Linear(Linear {
                units: Size::Vocabulary,
                bias: true,
                tied: None,
            }),
            LayerKind::Linear(Linear {
                units: Size::Vocabulary,
                bias: true,
                tied: Some("words".into()),
            }),
        ]
    );
}
