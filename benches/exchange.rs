//! Our side of `cargo xtask torch export`: facts of a job for PyTorch's side, our logits, and the files that we export.
//!
//! ```text
//! facts  JOB.toml CxHxW CLASSES NAME       the facts of a job on made-up data, as JSON on stdout
//! export FACTS.json WEIGHTS.safetensors FOLDER
//!                                          NAME.safetensors, NAME.onnx and NAME.preprocessed.onnx
//! logits FACTS.json WEIGHTS.safetensors FOLDER
//!                                          our logits of the input in NAME.io.safetensors, as NAME.logits: f32,
//!                                          little-endian
//! ```

use std::fs;
use std::path::Path;

use engine::{Engine, Samples};
use exchange::{Exported, Imported, Input};
use plan::Plan;
use safetensors::SafeTensors;
use serde::Deserialize;
use serde_json::{Value, json};
use spec::checkpoint::{CheckpointManifest, DataFacts, Preprocessing, TokenFacts};
use spec::dataset::TokenForm;
use spec::{JobId, Shape};

const USAGE: &str = "usage: exchange facts JOB.toml CxHxW CLASSES NAME, or exchange export|logits FACTS.json \
     WEIGHTS.safetensors FOLDER; run by cargo xtask torch export";

/// Samples that one input may have.
const MOST_SAMPLES: usize = 64;

fn main() {
    // What cargo bench adds is no argument of ours.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["facts", job, input, classes, name] => println!("{}", facts(job, input, classes, name)),
        ["export", facts, weights, folder] => {
            export(&Given::read(facts, weights), Path::new(folder))
        }
        ["logits", facts, weights, folder] => {
            logits(&Given::read(facts, weights), Path::new(folder))
        }
        // `cargo bench` runs all benches without arguments.
        _ => eprintln!("{USAGE}"),
    }
}

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    let path = path.as_ref();
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A checkpoint's manifest without its sections.
fn facts(job: &str, input: &str, classes: &str, name: &str) -> Value {
    let text = String::from_utf8(read(job)).expect("a job file is text");
    let job = spec::job_file::parse(&text).expect("a job");
    let tokens = tokens(input);
    let shape = if tokens.is_some() { "1" } else { input };
    let shape: Shape = shape.parse().expect("a shape");
    let classes: u32 = classes.parse().expect("a number of classes");
    // Different in each channel, and none that would be left out.
    let channels = (0..shape.channels()).map(|channel| channel as f32);
    let preprocessing = Preprocessing {
        shift: channels.clone().map(|channel| 0.5 + channel).collect(),
        scale: channels.map(|channel| 0.25 + 0.125 * channel).collect(),
    };
    let manifest = CheckpointManifest {
        job_id: Some(JobId(1)),
        job,
        device_class: "none".to_string(),
        step: 100,
        commit: 100,
        watch: Default::default(),
        monitored: None,
        data: DataFacts {
            shape,
            classes: (0..classes).map(|class| format!("class {class}")).collect(),
            tokens,
        },
        preprocessing,
        sections: Vec::new(),
        state_digest: String::new(),
    };
    let mut facts = json!(manifest);
    facts["name"] = name.into();
    facts
}

/// Tokens as `stream:VOCABULARYxLENGTH` or `sequences:VOCABULARYxLENGTH`.
fn tokens(input: &str) -> Option<TokenFacts> {
    let (form, sizes) = input.split_once(':')?;
    let (vocabulary, length) = sizes.split_once('x').expect("a vocabulary and a length");
    let form = match form {
        "stream" => TokenForm::Stream,
        _ => TokenForm::Sequences,
    };
    Some(TokenFacts {
        form,
        vocabulary: vocabulary.parse().expect("a vocabulary"),
        sequence_length: length.parse().expect("a length"),
        tokenizer: None,
    })
}

/// A model with its values.
struct Given {
    name: String,
    manifest: CheckpointManifest,
    plan: Plan,
    weights: Imported,
}

impl Given {
    fn read(facts: &str, weights: &str) -> Given {
        let facts: Value = serde_json::from_slice(&read(facts)).expect("facts are JSON");
        let name = facts["name"]
            .as_str()
            .expect("facts have a name")
            .to_string();
        let manifest = CheckpointManifest::deserialize(&facts).expect("facts are a manifest");
        let plan = plan::to_evaluate(&manifest.job, &manifest.data, MOST_SAMPLES, 1, false)
            .expect("a model that fits its data");
        let weights = exchange::import(&read(weights), &plan).expect("weights of this model");
        Given {
            name,
            manifest,
            plan,
            weights,
        }
    }

    fn write(&self, folder: &Path, suffix: &str, bytes: &[u8]) {
        let path = folder.join(format!("{}{suffix}", self.name));
        fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

fn export(given: &Given, folder: &Path) {
    let exported = Exported {
        plan: &given.plan,
        manifest: &given.manifest,
        parameters: &given.weights.parameters,
        running_statistics: &given.weights.running_statistics,
    };
    let onnx = |input| exchange::onnx(&exported, input).expect("a graph of less than 2 GiB");
    given.write(folder, ".safetensors", &exchange::safetensors(&exported));
    given.write(folder, ".onnx", &onnx(Input::Raw));
    given.write(folder, ".preprocessed.onnx", &onnx(Input::Preprocessed));
}

fn wholes(data: &[u8]) -> Vec<u32> {
    let words = data.as_chunks::<8>().0.iter();
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

fn logits(given: &Given, folder: &Path) {
    let bytes = read(folder.join(format!("{}.io.safetensors", given.name)));
    let io = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let input = io.tensor("input").expect("an input");
    let words = input.data().as_chunks::<4>().0.iter();
    let x: Vec<f32> = words.map(|&word| f32::from_le_bytes(word)).collect();
    let (mut ids, mut lengths) = (Vec::new(), Vec::new());
    if let Ok(tensor) = io.tensor("lengths") {
        lengths = wholes(tensor.data());
        ids = packed(&wholes(input.data()), &lengths);
    }
    let mut engine: Engine<f32> = Engine::new(given.plan.clone(), 1).expect("an engine");
    let Imported {
        parameters,
        running_statistics,
        ..
    } = &given.weights;
    engine.parameters_mut().copy_from_slice(parameters);
    let running = engine.running_statistics_mut();
    running.copy_from_slice(running_statistics);
    let logits = engine
        .logits(if lengths.is_empty() {
            Samples::Values(&x)
        } else {
            Samples::Tokens {
                ids: &ids,
                lengths: &lengths,
            }
        })
        .expect("samples that fit");
    let bytes: Vec<u8> = logits
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    given.write(folder, ".logits", &bytes);
}
