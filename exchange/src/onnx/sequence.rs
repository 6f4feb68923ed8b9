//! Sequences in a graph. Between layers there are rows, one for each step of each sample, step after step, so that a layer that
//! knows no time is the same as without it; recurrent layers see (steps, batch, features). Shorter samples are filled up at
//! their end, and what is computed there reaches no logit that counts.

use plan::{Op, OverTime, Per, Plan, Recurrent, TimeKind};
use spec::recurrent::{Cell, Nonlinearity};

use super::graph::{Builder, Sequences, int, text, texts};
use super::message::{Dimension, Element};

/// Whether the steps behind a sample's end could reach the logits of others.
fn needs_lengths(plan: &Plan) -> bool {
    let looks_back = |op: &Op| matches!(op, Op::Recurrent(layer) if layer.directions > 1);
    plan.per == Per::Sample || plan.layers.iter().any(|layer| looks_back(&layer.kind))
}

/// Adds the inputs of sequences: `input`, (batch, time) of tokens in i64 or (batch, time, …step) of values in f32, and
/// `lengths`. What goes on is tokens as (time, batch), or rows of values.
pub fn inputs(graph: &mut Builder<'_>, plan: &Plan) -> String {
    let free = |name: &str| Dimension::Free(name.to_string());
    let mut extents = vec![free("batch"), free("time")];
    let mut order = vec![1, 0];
    let element = if plan.input.vocabulary.is_some() {
        Element::Int64
    } else {
        let step = plan.input.shape.extents();
        extents.extend(step.iter().map(|&extent| Dimension::Fixed(extent as i64)));
        order.extend(2..2 + step.len());
        Element::Float
    };
    let input = graph.input("input", element, extents);
    let lengths =
        needs_lengths(plan).then(|| graph.input("lengths", Element::Int32, vec![free("batch")]));
    let order = super::graph::ints("perm", &order);
    let x = graph.node("by time", "Transpose", &[&input], vec![order]);
    let attributes = vec![int("start", 0), int("end", 2)];
    let extents = graph.node("time and batch", "Shape", &[&x], attributes);
    graph.sequences = Some(Sequences {
        extents,
        lengths,
        hidden: None,
    });
    if plan.input.vocabulary.is_some() {
        x
    } else {
        rows(graph, "rows", plan.input.shape.extents(), &x)
    }
}

fn shared<'a>(graph: &'a Builder<'_>) -> &'a Sequences {
    graph
        .sequences
        .as_ref()
        .expect("a plan of sequences begins with one")
}

/// (time, batch, …step) as rows.
pub fn rows(graph: &mut Builder<'_>, name: &str, step: &[usize], x: &str) -> String {
    let mut extents = vec![-1];
    extents.extend(step.iter().map(|&extent| extent as i64));
    let extents = graph.ints(&format!("{name}/extents"), &extents);
    graph.node(name, "Reshape", &[x, &extents], Vec::new())
}

/// Rows as (time, batch, features).
fn steps(graph: &mut Builder<'_>, name: &str, features: usize, x: &str) -> String {
    let features = graph.ints(&format!("{name}/features"), &[features as i64]);
    let outer = shared(graph).extents.clone();
    let extents = graph.node(
        &format!("{name}/extents"),
        "Concat",
        &[&outer, &features],
        vec![int("axis", 0)],
    );
    graph.node(name, "Reshape", &[x, &extents], Vec::new())
}

/// Rows of logits as (batch, time, classes).
pub fn outputs(graph: &mut Builder<'_>, classes: usize, x: &str) -> String {
    let steps = steps(graph, "logits by time", classes, x);
    let order = vec![super::graph::ints("perm", &[1, 0, 2])];
    graph.node("logits by sample", "Transpose", &[&steps], order)
}

/// The vectors of tokens.
pub fn embedding(graph: &mut Builder<'_>, path: &str, size: usize, tokens: &str) -> String {
    let table = graph.parameter(&format!("{path}.weight"));
    let vectors = graph.node(
        &format!("{path}/vectors"),
        "Gather",
        &[&table, tokens],
        Vec::new(),
    );
    rows(graph, &format!("{path}/out"), &[size], &vectors)
}

/// One recurrent layer of those that may lie on each other. PyTorch's order of gates becomes ONNX's.
pub fn recurrent(graph: &mut Builder<'_>, path: &str, layer: &Recurrent, x: &str) -> String {
    let inner = |what: &str| format!("{path}/l{}/{what}", layer.number);
    let (operator, order): (&str, &[usize]) = match layer.cell {
        Cell::Rnn(_) => ("RNN", &[0]),
        // input, forget, cell, output -> input, output, forget, cell
        Cell::Lstm => ("LSTM", &[0, 3, 1, 2]),
        // reset, update, new -> update, reset, hidden
        Cell::Gru => ("GRU", &[1, 0, 2]),
    };
    let (directions, hidden) = (layer.directions, layer.hidden);
    let gates = order.len() * hidden;
    let gathered = |graph: &Builder<'_>, parts: &[&str], width: usize| -> Vec<f32> {
        let mut values = Vec::new();
        for direction in 0..directions {
            let reverse = if direction == 0 { "" } else { "_reverse" };
            for part in parts {
                let name = format!("{path}.{part}_l{}{reverse}", layer.number);
                let block = hidden * width;
                let given = graph.values(&name);
                for &gate in order {
                    values.extend_from_slice(&given[gate * block..(gate + 1) * block]);
                }
            }
        }
        values
    };
    let weights = gathered(graph, &["weight_ih"], layer.inputs);
    let recurrence = gathered(graph, &["weight_hh"], hidden);
    let weights = graph.floats(&inner("W"), &[directions, gates, layer.inputs], &weights);
    let recurrence = graph.floats(&inner("R"), &[directions, gates, hidden], &recurrence);
    let biases = if layer.bias {
        let biases = gathered(graph, &["bias_ih", "bias_hh"], 1);
        graph.floats(&inner("B"), &[directions, 2 * gates], &biases)
    } else {
        String::new()
    };
    let lengths = shared(graph).lengths.clone().unwrap_or_default();
    let direction = if directions == 1 {
        "forward"
    } else {
        "bidirectional"
    };
    let mut attributes = vec![
        text("direction", direction),
        int("hidden_size", hidden as i64),
    ];
    match layer.cell {
        Cell::Rnn(function) => {
            let function = match function {
                Nonlinearity::Tanh => "Tanh",
                Nonlinearity::Relu => "Relu",
            };
            attributes.push(texts("activations", &vec![function; directions]));
        }
        // The reset gate is applied behind the product.
        Cell::Gru => attributes.push(int("linear_before_reset", 1)),
        Cell::Lstm => {}
    }
    let x = steps(graph, &inner("steps"), layer.inputs, x);
    let [states, last] = ["states", "last"].map(inner);
    // (time, directions, batch, hidden), and (directions, batch, hidden)
    graph.nodes(
        &[&states, &last],
        operator,
        &[&x, &weights, &recurrence, &biases, &lengths],
        attributes,
    );
    if let Some(sequences) = &mut graph.sequences {
        sequences.hidden = Some(last);
    }
    let order = vec![super::graph::ints("perm", &[0, 2, 1, 3])];
    let by_sample = graph.node(&inner("by sample"), "Transpose", &[&states], order);
    rows(graph, &inner("out"), &[layer.outputs()], &by_sample)
}

/// One value for all steps of each sample.
pub fn over_time(graph: &mut Builder<'_>, path: &str, over: &OverTime, x: &str) -> String {
    let inner = |what: &str| format!("{path}/over/{what}");
    let out = format!("{path}/out");
    match over.kind {
        TimeKind::Last { .. } => {
            let hidden = shared(graph).hidden.clone();
            let hidden = hidden.expect("last states are those of the recurrent layer before");
            let order = vec![super::graph::ints("perm", &[1, 0, 2])];
            let by_sample = graph.node(&inner("by sample"), "Transpose", &[&hidden], order);
            rows(graph, &out, &[over.features], &by_sample)
        }
        TimeKind::Mean => {
            let (x, counts, axis) = masked(graph, path, over, x, 0.0);
            let sum = graph.node(
                &inner("sum"),
                "ReduceSum",
                &[&x, &axis],
                vec![int("keepdims", 0)],
            );
            graph.node(&out, "Div", &[&sum, &counts], Vec::new())
        }
        TimeKind::Max => {
            let (x, _, axis) = masked(graph, path, over, x, f32::NEG_INFINITY);
            graph.node(&out, "ReduceMax", &[&x, &axis], vec![int("keepdims", 0)])
        }
    }
}

/// Rows as (time, batch, features) with `filler` behind each sample's end; how many steps each sample has, (batch, 1) in f32;
/// and the axis of time.
fn masked(
    graph: &mut Builder<'_>,
    path: &str,
    over: &OverTime,
    x: &str,
    filler: f32,
) -> (String, String, String) {
    let inner = |what: &str| format!("{path}/over/{what}");
    let lengths = shared(graph).lengths.clone();
    let lengths = lengths.expect("one value a sample needs lengths");
    let x = steps(graph, &inner("steps"), over.features, x);
    let [time, batch] =
        [0, 1].map(|axis| graph.ints(["first axis", "second axis"][axis], &[axis as i64]));
    let none = graph.whole("zero", 0);
    let each = graph.whole("one step", 1);
    let extents = shared(graph).extents.clone();
    let most = graph.node(&inner("most"), "Gather", &[&extents, &none], Vec::new());
    let numbers = graph.node(
        &inner("numbers"),
        "Range",
        &[&none, &most, &each],
        Vec::new(),
    );
    // (time, 1) below (batch)
    let column = graph.node(
        &inner("column"),
        "Unsqueeze",
        &[&numbers, &batch],
        Vec::new(),
    );
    let wide = vec![int("to", Element::Int64 as i64)];
    let wide = graph.node(&inner("lengths"), "Cast", &[&lengths], wide);
    let inside = graph.node(&inner("inside"), "Less", &[&column, &wide], Vec::new());
    let last = graph.ints("last axis", &[-1]);
    let inside = graph.node(&inner("mask"), "Unsqueeze", &[&inside, &last], Vec::new());
    let filler = graph.floats(&inner("filler"), &[], &[filler]);
    let masked = graph.node(
        &inner("masked"),
        "Where",
        &[&inside, &x, &filler],
        Vec::new(),
    );
    let float = vec![int("to", Element::Float as i64)];
    let counts = graph.node(&inner("counts"), "Cast", &[&lengths], float);
    let counts = graph.node(
        &inner("divisors"),
        "Unsqueeze",
        &[&counts, &last],
        Vec::new(),
    );
    (masked, counts, time)
}
