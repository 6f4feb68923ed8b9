//! State dicts of PyTorch: the same logits, and the same file again.

use std::collections::BTreeMap;

use ::safetensors::tensor::TensorView;
use ::safetensors::{Dtype, SafeTensors};
use engine::{Engine, Samples};
use plan::to_evaluate;
use spec::model::LayerKind;

use super::{Case, SAMPLES, fixture};
use crate::state_dict::entries;
use crate::{Exported, import, safetensors};

/// What the project promises between its logits and PyTorch's.
const LOGITS: f32 = 1e-5;

fn floats(tensor: &TensorView<'_>) -> Vec<f32> {
    assert_eq!(tensor.dtype(), Dtype::F32);
    let words = tensor.data().as_chunks::<4>().0.iter();
    words.map(|&word| f32::from_le_bytes(word)).collect()
}

fn wholes(tensor: &TensorView<'_>) -> Vec<u32> {
    assert_eq!(tensor.dtype(), Dtype::I64);
    let words = tensor.data().as_chunks::<8>().0.iter();
    words.map(|&word| i64::from_le_bytes(word) as u32).collect()
}

/// Tokens of samples, the longest first, step after step without those that fill up.
fn packed(padded: &[u32], lengths: &[u32]) -> Vec<u32> {
    let time = padded.len() / lengths.len();
    let row = |step: usize| {
        let long = lengths.iter().enumerate();
        let long = long.filter(move |(_, length)| step < **length as usize);
        long.map(move |(sample, _)| padded[sample * time + step])
    };
    (0..time).flat_map(row).collect()
}

#[test]
fn the_logits_are_those_of_pytorch_with_the_same_state_dict() {
    for case in Case::all() {
        let bytes = fixture(&format!("{}.io.safetensors", case.name));
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let expected = floats(&file.tensor("logits").unwrap());
        let input = file.tensor("input").unwrap();
        let lengths = file.tensor("lengths").ok();
        let lengths = lengths.map_or(Vec::new(), |lengths| wholes(&lengths));
        let (x, ids) = if lengths.is_empty() {
            (floats(&input), Vec::new())
        } else {
            (Vec::new(), packed(&wholes(&input), &lengths))
        };
        let mut engine: Engine<f32> = Engine::new(case.plan.clone(), 1).unwrap();
        let parameters = engine.parameters_mut();
        parameters.copy_from_slice(&case.weights.parameters);
        let running = engine.running_statistics_mut();
        running.copy_from_slice(&case.weights.running_statistics);
        let logits = engine
            .logits(if lengths.is_empty() {
                Samples::Values(&x)
            } else {
                Samples::Tokens {
                    ids: &ids,
                    lengths: &lengths,
                }
            })
            .unwrap();
        assert_eq!(logits.len(), expected.len());
        for (ours, theirs) in logits.iter().zip(&expected) {
            assert!(
                (ours - theirs).abs() <= LOGITS,
                "{}: {ours} {theirs}",
                case.name
            );
        }
        let spread = |values: &[f32]| values.iter().fold(0.0, |most: f32, x| x.abs().max(most));
        assert!(
            spread(&expected) > 0.1,
            "{}: too little to compare",
            case.name
        );
    }
}

#[test]
fn what_is_exported_is_the_state_dict_that_pytorch_saved() {
    for case in Case::all() {
        let saved = fixture(&format!("{}.safetensors", case.name));
        let saved = SafeTensors::deserialize(&saved).unwrap();
        let written = safetensors(&case.exported());
        let written = SafeTensors::deserialize(&written).unwrap();
        let tensors = |file: &SafeTensors<'_>| -> BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> {
            let tensors = file.tensors().into_iter();
            tensors
                .map(|(name, tensor)| {
                    let steps = 100i64.to_le_bytes().to_vec();
                    let is_counter = name.ends_with(".num_batches_tracked");
                    let data = if is_counter {
                        steps
                    } else {
                        tensor.data().to_vec()
                    };
                    (name, (tensor.dtype(), tensor.shape().to_vec(), data))
                })
                .collect()
        };
        assert_eq!(tensors(&written), tensors(&saved), "{}", case.name);
        for (name, tensor) in written.tensors() {
            if name.ends_with(".num_batches_tracked") {
                assert_eq!(tensor.data(), 100i64.to_le_bytes(), "{name}");
            }
        }
    }
}

#[test]
fn a_file_says_where_it_comes_from_and_is_the_same_each_time() {
    let case = Case::named("cnn");
    let written = safetensors(&case.exported());
    assert_eq!(written, safetensors(&case.exported()));
    let (header, metadata) = SafeTensors::read_metadata(&written).unwrap();
    assert_eq!(header % 8, 0, "tensors lie aligned");
    let notes = metadata.metadata().as_ref().unwrap();
    assert_eq!(notes["format"], "pt");
    assert_eq!(notes["job"], "cnn");
    assert_eq!(notes["step"], "100");
    assert_eq!(notes["checkpoint"], case.manifest.digest().to_string());
    let classes = r#"["class 0","class 1","class 2","class 3","class 4"]"#;
    assert_eq!(notes["classes"], classes);
    let preprocessing = r#"{"shift":[0.5,1.5],"scale":[0.25,0.375]}"#;
    let read = |text: &str| -> serde_json::Value { serde_json::from_str(text).unwrap() };
    assert_eq!(read(&notes["preprocessing"]), read(preprocessing));
    let job = spec::job_file::parse(&notes["job_file"]).unwrap();
    assert_eq!(job, case.manifest.job);
}

#[test]
fn the_cases_have_every_kind_of_layer() {
    let mut missing = vec![
        "linear",
        "conv2d",
        "max_pool2d",
        "avg_pool2d",
        "global_avg_pool",
        "global_max_pool",
        "batch_norm",
        "layer_norm",
        "group_norm",
        "relu",
        "gelu",
        "silu",
        "tanh",
        "sigmoid",
        "leaky_relu",
        "elu",
        "softplus",
        "hardtanh",
        "logsigmoid",
        "softmax",
        "log_softmax",
        "flatten",
        "residual",
        "repeat",
        "embedding",
        "rnn",
        "lstm",
        "gru",
    ];
    for case in Case::all() {
        for layer in &case.manifest.job.model.layers {
            let word = LayerKind::word(&layer.kind);
            missing.retain(|known| *known != word);
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn norms_over_all_samples_of_a_step_have_the_names_and_tensors_of_batch_norms() {
    let case = Case::named("norms");
    let text = String::from_utf8(fixture("norms.toml")).unwrap();
    let synced = text.replace("\"batch_norm\"", "{ batch_norm = { sync = true } }");
    assert_ne!(synced, text, "the case has a batch norm");
    let mut manifest = case.manifest.clone();
    manifest.job = spec::job_file::parse(&synced).unwrap();
    let plan = to_evaluate(&manifest.job, &manifest.data, SAMPLES, 1, false).unwrap();
    assert!(plan.sync_norms().next().is_some());
    assert_eq!(entries(&plan), entries(&case.plan));
    let read = import(&fixture("norms.safetensors"), &plan).unwrap();
    assert_eq!(read.parameters, case.weights.parameters);
    assert_eq!(read.running_statistics, case.weights.running_statistics);
    // The file says which job it is of; its tensors are the same.
    let exported = Exported {
        plan: &plan,
        manifest: &manifest,
        parameters: &read.parameters,
        running_statistics: &read.running_statistics,
    };
    let tensors = |written: &[u8]| {
        let file = SafeTensors::deserialize(written).unwrap();
        let mut tensors: Vec<(String, Vec<u8>)> = file
            .tensors()
            .into_iter()
            .map(|(name, tensor)| (name, tensor.data().to_vec()))
            .collect();
        tensors.sort();
        tensors
    };
    let before = safetensors(&case.exported());
    assert_eq!(tensors(&safetensors(&exported)), tensors(&before));
}
