//! Each kind of layer as ONNX's operators. The match is over all kinds: a new one must say what it is here.

use plan::{Conv2d, Geometry, Layer, Op, Scale};
use spec::model::{Activation, Gelu};

use super::graph::{Builder, float, int, ints, text};
use super::sequence;

/// Adds a layer's nodes on the value `x`; the name of what comes out.
pub fn add(graph: &mut Builder<'_>, layer: &Layer, x: &str) -> String {
    let path = layer.path.as_str();
    match &layer.kind {
        Op::Linear(linear) => {
            let weight = match linear.tied {
                // An embedding's table, under its name.
                Some(table) => graph.numbered(table),
                None => graph.parameter(&format!("{path}.weight")),
            };
            let transposed = vec![int("transB", 1)];
            if linear.bias {
                let bias = graph.parameter(&format!("{path}.bias"));
                graph.node(&out(path), "Gemm", &[x, &weight, &bias], transposed)
            } else {
                graph.node(&out(path), "Gemm", &[x, &weight], transposed)
            }
        }
        Op::Conv2d(conv) => convolution(graph, path, conv, x),
        Op::MaxPool2d(pool) => largest(graph, layer, pool, x),
        Op::AvgPool2d(pool) => average(graph, layer, pool, x),
        Op::BatchNorm(norm) => {
            let [weight, bias] = weight_and_bias(graph, path);
            let mean = graph.statistic(&format!("{path}.running_mean"));
            let variance = graph.statistic(&format!("{path}.running_var"));
            let inputs = [x, &weight, &bias, &mean, &variance];
            let attributes = vec![float("epsilon", norm.eps)];
            graph.node(&out(path), "BatchNormalization", &inputs, attributes)
        }
        Op::LayerNorm(norm) => {
            let shape = layer.input.extents();
            let [weight, bias] = if norm.affine {
                weight_and_bias(graph, path)
            } else {
                let ones = vec![1.0; layer.input.elements()];
                let zeros = vec![0.0; ones.len()];
                [
                    graph.floats(&format!("{path}.ones"), shape, &ones),
                    graph.floats(&format!("{path}.zeros"), shape, &zeros),
                ]
            };
            // The axes from here on are those of a sample.
            let attributes = vec![
                int("axis", -(shape.len() as i64)),
                float("epsilon", norm.eps),
            ];
            graph.node(
                &out(path),
                "LayerNormalization",
                &[x, &weight, &bias],
                attributes,
            )
        }
        Op::GroupNorm(norm) => {
            let [weight, bias] = if norm.affine {
                weight_and_bias(graph, path)
            } else {
                let ones = vec![1.0; layer.input.channels()];
                let zeros = vec![0.0; ones.len()];
                [
                    graph.floats(&format!("{path}.ones"), &[ones.len()], &ones),
                    graph.floats(&format!("{path}.zeros"), &[ones.len()], &zeros),
                ]
            };
            let attributes = vec![
                float("epsilon", norm.eps),
                int("num_groups", norm.groups as i64),
            ];
            graph.node(
                &out(path),
                "GroupNormalization",
                &[x, &weight, &bias],
                attributes,
            )
        }
        Op::Relu => graph.node(&out(path), "Relu", &[x], Vec::new()),
        Op::Activation(function) => activation(graph, path, *function, x),
        Op::Softmax(softmax) => {
            let operator = match softmax.scale {
                Scale::Linear => "Softmax",
                Scale::Logarithmic => "LogSoftmax",
            };
            graph.node(&out(path), operator, &[x], vec![int("axis", -1)])
        }
        Op::Embedding(table) => sequence::embedding(graph, path, table.size, x),
        Op::Recurrent(recurrent) => sequence::recurrent(graph, path, recurrent, x),
        Op::OverTime(over) => sequence::over_time(graph, path, over, x),
        Op::Fork => graph.fork(x),
        Op::Shortcut => graph.shortcut(x),
        Op::Add => {
            let other = graph.join();
            graph.node(&out(path), "Add", &[x, &other], Vec::new())
        }
        // In use nothing is dropped.
        Op::Dropout(_) => x.to_string(),
        Op::Flatten => graph.node(&out(path), "Flatten", &[x], vec![int("axis", 1)]),
    }
}

/// The name of what a layer gives. No layer's name has a slash, so no other value is called so.
fn out(path: &str) -> String {
    format!("{path}/out")
}

fn weight_and_bias(graph: &mut Builder<'_>, path: &str) -> [String; 2] {
    ["weight", "bias"].map(|suffix| graph.parameter(&format!("{path}.{suffix}")))
}

fn convolution(graph: &mut Builder<'_>, path: &str, conv: &Conv2d, x: &str) -> String {
    let weight = graph.parameter(&format!("{path}.weight"));
    let mut attributes = window(
        &conv.geometry.kernel,
        &conv.geometry.stride,
        &conv.geometry.padding,
    );
    if conv.dilation != [1, 1] {
        attributes.push(ints("dilations", &conv.dilation));
    }
    if conv.groups != 1 {
        attributes.push(int("group", conv.groups as i64));
    }
    if conv.bias {
        let bias = graph.parameter(&format!("{path}.bias"));
        graph.node(&out(path), "Conv", &[x, &weight, &bias], attributes)
    } else {
        graph.node(&out(path), "Conv", &[x, &weight], attributes)
    }
}

/// The largest of windows, or of whole channels, of which one number is left.
fn largest(graph: &mut Builder<'_>, layer: &Layer, pool: &Geometry, x: &str) -> String {
    if layer.output.extents().len() == 1 {
        return whole_planes(graph, layer, "ReduceMax", x);
    }
    let attributes = window(&pool.kernel, &pool.stride, &pool.padding);
    graph.node(&out(&layer.path), "MaxPool", &[x], attributes)
}

/// One number for each channel.
fn whole_planes(graph: &mut Builder<'_>, layer: &Layer, operator: &str, x: &str) -> String {
    let axes = graph.ints("axes of height and width", &[2, 3]);
    let attributes = vec![int("keepdims", 0)];
    graph.node(&out(&layer.path), operator, &[x, &axes], attributes)
}

/// A mean over windows, or over whole channels, of which one number is left.
fn average(graph: &mut Builder<'_>, layer: &Layer, pool: &Geometry, x: &str) -> String {
    let path = layer.path.as_str();
    if layer.output.extents().len() == 1 {
        return whole_planes(graph, layer, "ReduceMean", x);
    }
    let mut attributes = window(&pool.kernel, &pool.stride, &pool.padding);
    attributes.push(int("count_include_pad", 1));
    graph.node(&out(path), "AveragePool", &[x], attributes)
}

/// How a window moves. ONNX wants all paddings before the values, then all behind.
fn window(kernel: &[usize], stride: &[usize], padding: &[usize]) -> Vec<super::message::Attribute> {
    vec![
        ints("kernel_shape", kernel),
        ints("pads", &[padding, padding].concat()),
        ints("strides", stride),
    ]
}

fn activation(graph: &mut Builder<'_>, path: &str, function: Activation, x: &str) -> String {
    let inner = |part: &str| format!("{path}/{part}");
    match function {
        Activation::Gelu(gelu) => {
            let approximate = match gelu {
                Gelu::Erf => "none",
                Gelu::Tanh => "tanh",
            };
            graph.node(
                &out(path),
                "Gelu",
                &[x],
                vec![text("approximate", approximate)],
            )
        }
        Activation::Silu => {
            let sigmoid = graph.node(&inner("sigmoid"), "Sigmoid", &[x], Vec::new());
            graph.node(&out(path), "Mul", &[x, &sigmoid], Vec::new())
        }
        Activation::Tanh => graph.node(&out(path), "Tanh", &[x], Vec::new()),
        Activation::Sigmoid => graph.node(&out(path), "Sigmoid", &[x], Vec::new()),
        Activation::LeakyRelu { slope } => {
            graph.node(&out(path), "LeakyRelu", &[x], vec![float("alpha", slope)])
        }
        Activation::Elu { alpha } => {
            graph.node(&out(path), "Elu", &[x], vec![float("alpha", alpha)])
        }
        Activation::Softplus => graph.node(&out(path), "Softplus", &[x], Vec::new()),
        Activation::Hardtanh => {
            let least = graph.floats("minus one", &[], &[-1.0]);
            let most = graph.floats("one", &[], &[1.0]);
            graph.node(&out(path), "Clip", &[x, &least, &most], Vec::new())
        }
        Activation::Logsigmoid => {
            // ln sigmoid(x) = -softplus(-x)
            let negative = graph.node(&inner("negative"), "Neg", &[x], Vec::new());
            let softplus = graph.node(&inner("softplus"), "Softplus", &[&negative], Vec::new());
            graph.node(&out(path), "Neg", &[&softplus], Vec::new())
        }
    }
}
