//! Models that come from PyTorch and go back, and checkpoints that are deleted.

use std::collections::BTreeMap;
use std::fs;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::main_road::{DIGITS_CNN, job};
use crate::yard::{Yard, repository, text};

/// Tensors by name: type, extents, bytes.
type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

/// The tensors of a file of the repository or of a yard.
pub fn tensors(bytes: &[u8]) -> Tensors {
    let file = SafeTensors::deserialize(bytes).expect("a safetensors file");
    let tensors = file.tensors().into_iter();
    let owned = |tensor: safetensors::tensor::TensorView<'_>| {
        let shape = tensor.shape().to_vec();
        (tensor.dtype(), shape, tensor.data().to_vec())
    };
    tensors
        .map(|(name, tensor)| (name, owned(tensor)))
        .collect()
}

/// A file of the models that PyTorch made.
pub fn fixture(name: &str) -> String {
    repository(&format!("tests/fixtures/exchange/{name}"))
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let words = bytes.as_chunks::<4>().0.iter();
    words.map(|&word| f32::from_le_bytes(word)).collect()
}

/// Imports the samples that PyTorch's logits of the model `cnn` are of, as they are; the mean loss by those logits.
pub fn import_samples(yard: &Yard) -> f64 {
    let bytes = fs::read(fixture("cnn.io.safetensors")).expect("a fixture");
    let io = tensors(&bytes);
    let (x, logits) = (floats(&io["input"].2), floats(&io["logits"].2));
    let samples = io["logits"].1[0];
    let (values, classes) = (x.len() / samples, logits.len() / samples);
    let mut csv = String::new();
    let mut loss = 0.0;
    for sample in 0..samples {
        let label = sample % classes;
        for value in &x[sample * values..(sample + 1) * values] {
            csv += &format!("{value},");
        }
        csv += &format!("{label}\n");
        let logits: Vec<f64> = logits[sample * classes..(sample + 1) * classes]
            .iter()
            .map(|&logit| f64::from(logit))
            .collect();
        let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
        loss += sum.ln() - logits[label];
    }
    let file = yard.file("samples.csv", csv);
    yard.json(&["data", "import", "samples", &file, "--shape", "2x9x8"]);
    loss / samples as f64
}

fn counters_apart(mut tensors: Tensors) -> Tensors {
    tensors.retain(|name, _| !name.ends_with(".num_batches_tracked"));
    tensors
}

#[test]
fn a_model_from_pytorch_is_evaluated_as_there_and_exported_as_it_came() {
    let yard = Yard::new(&[]);
    let expected = import_samples(&yard);
    let (weights, job) = (fixture("cnn.safetensors"), fixture("cnn.toml"));
    let import = ["checkpoint", "import", &weights, "--job", &job];
    let import = [&import[..], &["--set", "data.normalize=none"]].concat();
    let imported = yard.json(&import);
    assert_eq!(imported["job_id"], Value::Null);
    assert_eq!(imported["step"], 0);
    let digest = text(&imported["digest"]);

    let evaluated = yard.json(&["model", "evaluate", &digest, "--data", "samples/train"]);
    let loss = evaluated["loss"].as_f64().expect("a loss");
    assert!((loss - expected).abs() < 1e-5, "{loss} {expected}");
    assert_eq!(evaluated["samples"], 6);

    let output = yard.folder().join("again.safetensors");
    let written = yard.json(&[
        "checkpoint",
        "export",
        &digest[..8],
        "-o",
        "again.safetensors",
    ]);
    assert_eq!(written["checkpoint"], digest.as_str());
    assert_eq!(written["format"], "safetensors");
    let again = fs::read(output).expect("it is written");
    assert_eq!(written["bytes"], again.len());
    let came = tensors(&fs::read(&weights).expect("a fixture"));
    assert_eq!(
        counters_apart(tensors(&again)),
        counters_apart(came.clone())
    );
    let counter = (Dtype::I64, vec![], 0i64.to_le_bytes().to_vec());
    assert_eq!(tensors(&again)["bn1.num_batches_tracked"], counter);

    // The same again is the same checkpoint.
    assert_eq!(yard.json(&import)["digest"], digest.as_str());
    assert_eq!(yard.list(&["checkpoint", "list"]).len(), 1);
    let line = yard.run(&["checkpoint", "list"]).done().remove(1);
    assert!(line.trim_start().starts_with('-'), "of no job: {line}");
    assert_eq!(
        yard.json(&["checkpoint", "verify", &digest])["checkpoint"],
        digest.as_str()
    );
}

#[test]
fn a_trained_model_goes_to_pytorch_and_onnx_and_comes_back() {
    let yard = Yard::with_digits(&[1]);
    let layers = DIGITS_CNN.replacen("\"relu\"", "\"batch_norm\", \"relu\"", 1);
    let training = "steps = 5\n[checkpoint]\nevery_steps = 3";
    let data = "normalize = \"standard\"\nvalidation = 0.2";
    let file = yard.file("trained.toml", job(&layers, data, training));
    let id = yard.submit(&file, &[]);
    yard.succeeded(&id);
    let export = |checkpoint: &str, output: &str, flags: &[&str]| {
        let command = ["checkpoint", "export", checkpoint, "-o", output];
        yard.json(&[&command[..], flags].concat());
        fs::read(yard.folder().join(output)).expect("it is written")
    };
    let state = export(&id, "state.safetensors", &[]);
    let steps = |bytes: &[u8]| tensors(bytes)["1.num_batches_tracked"].2.clone();
    assert_eq!(steps(&state), 5i64.to_le_bytes());
    let earlier = export(&format!("{id}@3"), "earlier", &["--format", "safetensors"]);
    assert_eq!(steps(&earlier), 3i64.to_le_bytes());
    let names: Vec<String> = tensors(&state).into_keys().collect();
    let expected = [
        "0.bias",
        "0.weight",
        "1.bias",
        "1.num_batches_tracked",
        "1.running_mean",
        "1.running_var",
        "1.weight",
        "5.bias",
        "5.weight",
        "7.bias",
        "7.weight",
    ];
    assert_eq!(names, expected);

    // A file of that name is replaced.
    let graph = export(&id, "earlier", &["--format", "onnx"]);
    assert_ne!(graph, earlier);
    assert_eq!(export(&id, "model.onnx", &[]), graph, "the same each time");
    assert!(graph.windows(4).any(|word| word == b"Conv"));
    let fed = export(&id, "model.onnx", &["--preprocessed"]);
    assert!(fed.len() < graph.len(), "preprocessing is left out");

    let back = yard.json(&["checkpoint", "import", "state.safetensors", "--job", &file]);
    let back = text(&back["digest"]);
    let state = counters_apart(tensors(&state));
    let again = export(&back, "again.safetensors", &[]);
    assert_eq!(counters_apart(tensors(&again)), state);
    let evaluate = |checkpoint: &str| yard.json(&["model", "evaluate", checkpoint]);
    assert_eq!(evaluate(&back), evaluate(&id));
}

#[test]
fn a_checkpoint_is_deleted_once_its_job_has_ended_and_what_others_share_stays() {
    let yard = Yard::with_digits(&[1]);
    let layers = "\"flatten\", { linear = \"classes\" }";
    let training = "steps = 4\n[checkpoint]\nevery_steps = 2";
    let file = yard.file("short.toml", job(layers, "", training));
    let id = yard.submit(&file, &[]);
    yard.succeeded(&id);
    let export = ["checkpoint", "export", &id, "-o", "weights.safetensors"];
    yard.json(&export);
    // Two checkpoints of the same chunks: names are no part of them.
    let import = |name: &str| {
        let name = format!("name={name}");
        let command = [
            "checkpoint",
            "import",
            "weights.safetensors",
            "--job",
            &file,
        ];
        let imported = yard.json(&[&command[..], &["--set", &name]].concat());
        text(&imported["digest"])
    };
    let (first, second) = (import("first"), import("second"));
    assert_ne!(first, second);
    let gone = yard.json(&["checkpoint", "delete", &first]);
    assert_eq!(gone["checkpoint"], first.as_str());
    yard.json(&["checkpoint", "verify", &second]);
    let at = format!("{id}@2");
    assert_eq!(yard.json(&["checkpoint", "delete", &at])["step"], 2);
    yard.json(&["checkpoint", "delete", &id]);
    let left = yard.list(&["checkpoint", "list"]);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["digest"], second.as_str());
    yard.json(&["checkpoint", "delete", &second]);
    assert!(yard.list(&["checkpoint", "list"]).is_empty());
}
