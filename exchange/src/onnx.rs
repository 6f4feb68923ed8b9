//! The network as an ONNX graph: raw samples in, logits out, any number of samples at once. The values of preprocessing
//! stand in the graph as constants, so that whoever runs it feeds what the dataset held.

mod graph;
mod layer;
pub(crate) mod message;
mod sequence;

use plan::Per;
use prost::Message;
use spec::checkpoint::Preprocessing;

use crate::error::Error;
use crate::exported::Exported;
use graph::Builder;
use message::{Dimension, Element, IR_VERSION, Model, Note, OPERATOR_SET, OperatorSet};

/// The most bytes that a message of protobuf may have.
const MOST_BYTES: u64 = i32::MAX as u64;

/// What the graph's input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Values as the dataset holds them; the graph preprocesses them.
    Raw,
    /// Values that are preprocessed already.
    Preprocessed,
}

/// The bytes of an ONNX file. Input `input`: `(batch, …sample)` in f32, of tokens `(batch, time)` in i64, beside which `lengths`,
/// `(batch)` in i32, says how many steps each sample has where that makes a difference; output `logits`: `(batch, classes)` in
/// f32, with a target for each step `(batch, time, classes)`.
///
/// # Errors
/// A model larger than such a file can be.
pub fn onnx(exported: &Exported<'_>, input: Input) -> Result<Vec<u8>, Error> {
    let plan = exported.plan;
    let fixed = |extent: usize| Dimension::Fixed(extent as i64);
    let batch = || Dimension::Free("batch".to_string());
    let mut graph = Builder::new(exported);
    let is_sequence = plan.input.steps.is_some();
    let mut x = if is_sequence {
        sequence::inputs(&mut graph, plan)
    } else {
        let sample = plan.input.shape.extents();
        let extents = [batch()]
            .into_iter()
            .chain(sample.iter().copied().map(fixed));
        let x = graph.input("input", Element::Float, extents.collect());
        match input {
            Input::Raw => {
                let constants = &exported.manifest.preprocessing;
                preprocess(&mut graph, constants, sample.len(), x)
            }
            Input::Preprocessed => x,
        }
    };
    for layer in &plan.layers {
        x = layer::add(&mut graph, layer, &x);
    }
    let mut extents = vec![batch(), fixed(plan.classes)];
    if plan.per == Per::Step {
        x = sequence::outputs(&mut graph, plan.classes, &x);
        extents.insert(1, Dimension::Free("time".to_string()));
    }
    let model = Model {
        ir_version: Some(IR_VERSION),
        producer_name: Some("trainyard".to_string()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_string()),
        graph: Some(graph.finish(&x, "logits", Element::Float, extents)),
        opset_import: vec![OperatorSet {
            domain: Some(String::new()),
            version: Some(OPERATOR_SET),
        }],
        metadata_props: exported
            .notes()
            .into_iter()
            .map(|(key, value)| Note {
                key: Some(key.to_string()),
                value: Some(value),
            })
            .collect(),
    };
    let bytes = model.encoded_len() as u64;
    if bytes > MOST_BYTES {
        return Err(Error::TooLargeForOnnx { bytes });
    }
    Ok(model.encode_to_vec())
}

/// `(x - shift) * scale` by channel; what changes nothing is left out.
fn preprocess(
    graph: &mut Builder<'_>,
    constants: &Preprocessing,
    extents: usize,
    mut x: String,
) -> String {
    let Preprocessing { shift, scale } = constants;
    // (C, 1, 1) over (batch, C, H, W)
    let mut shape = vec![1; extents];
    shape[0] = shift.len();
    if shift.iter().any(|&value| value != 0.0) {
        let shift = graph.floats("shift", &shape, shift);
        x = graph.node("shifted", "Sub", &[&x, &shift], Vec::new());
    }
    if scale.iter().any(|&value| value != 1.0) {
        let scale = graph.floats("scale", &shape, scale);
        x = graph.node("scaled", "Mul", &[&x, &scale], Vec::new());
    }
    x
}
