//! Graphs are the ones that `onnx.checker` and onnxruntime have seen, node by node and byte by byte of their constants.

use prost::Message;

use super::{Case, fixture};
use crate::onnx::message::{Dimension, Graph, Model};
use crate::{Input, onnx};

fn written(case: &Case, input: Input) -> Model {
    Model::decode(onnx(&case.exported(), input).unwrap().as_slice()).unwrap()
}

fn operators(graph: &Graph) -> Vec<&str> {
    let nodes = graph.node.iter();
    nodes.map(|node| node.op_type.as_deref().unwrap()).collect()
}

#[test]
fn the_graphs_are_those_that_onnxruntime_has_run() {
    for case in Case::all() {
        let seen = Model::decode(fixture(&format!("{}.onnx", case.name)).as_slice()).unwrap();
        let written = written(&case, Input::Raw);
        let heads = [&seen, &written].map(|model| (model.ir_version, model.opset_import.clone()));
        assert_eq!(heads[0], heads[1], "{}", case.name);
        let [seen, written] = [seen, written].map(|model| model.graph.unwrap());
        assert_eq!(operators(&seen), operators(&written), "{}", case.name);
        assert!(
            seen == written,
            "{}: run `cargo xtask torch export --make`",
            case.name
        );
    }
}

#[test]
fn a_graph_takes_raw_samples_or_those_that_are_preprocessed() {
    let case = Case::named("shares");
    let raw = written(&case, Input::Raw).graph.unwrap();
    assert_eq!(
        operators(&raw),
        ["Sub", "Mul", "Gemm", "Softmax", "Identity"]
    );
    let preprocessed = written(&case, Input::Preprocessed).graph.unwrap();
    assert_eq!(operators(&preprocessed), ["Gemm", "Softmax", "Identity"]);
    for graph in [raw, preprocessed] {
        let shape = |value: &crate::onnx::message::ValueInfo| -> Vec<Option<Dimension>> {
            let kind = value.kind.clone().unwrap().tensor.unwrap();
            kind.shape
                .unwrap()
                .extent
                .into_iter()
                .map(|extent| extent.value)
                .collect()
        };
        let batch = Some(Dimension::Free("batch".to_string()));
        assert_eq!(graph.input[0].name.as_deref(), Some("input"));
        assert_eq!(
            shape(&graph.input[0]),
            [batch.clone(), Some(Dimension::Fixed(4))]
        );
        assert_eq!(graph.output[0].name.as_deref(), Some("logits"));
        assert_eq!(shape(&graph.output[0]), [batch, Some(Dimension::Fixed(3))]);
    }
}

#[test]
fn preprocessing_that_changes_nothing_is_left_out() {
    let mut case = Case::named("shares");
    case.manifest.preprocessing.shift.fill(0.0);
    let graph = written(&case, Input::Raw).graph.unwrap();
    assert_eq!(operators(&graph), ["Mul", "Gemm", "Softmax", "Identity"]);
    case.manifest.preprocessing.scale.fill(1.0);
    let graph = written(&case, Input::Raw).graph.unwrap();
    assert_eq!(operators(&graph), ["Gemm", "Softmax", "Identity"]);
}

#[test]
fn a_layer_may_be_called_as_a_value_of_the_graph_is() {
    let mut case = Case::named("log-shares");
    let names = ["input", "logits", "scale"];
    let layers = &mut case.manifest.job.model.layers;
    for (layer, name) in layers.iter_mut().zip(names) {
        layer.name = Some(name.to_string());
    }
    case.plan = plan::to_evaluate(&case.manifest.job, &case.manifest.data, 1, 1, false).unwrap();
    let graph = written(&case, Input::Raw).graph.unwrap();
    let mut values: Vec<&String> = graph.node.iter().flat_map(|node| &node.output).collect();
    values.extend(
        graph
            .initializer
            .iter()
            .map(|tensor| tensor.name.as_ref().unwrap()),
    );
    values.extend(graph.input.iter().map(|input| input.name.as_ref().unwrap()));
    let count = values.len();
    values.sort();
    values.dedup();
    assert_eq!(values.len(), count, "{values:?}");
}
