//! What is written and read is held against the files in tests/fixtures/exchange, which PyTorch and onnxruntime have seen
//! (`cargo xtask torch export --make`).

mod files;
mod graphs;
mod pytorch;

use std::fs;
use std::path::PathBuf;

use plan::{Plan, to_evaluate};
use serde_json::Value;
use spec::checkpoint::{CheckpointManifest, DataFacts, Preprocessing, TokenFacts};
use spec::dataset::TokenForm;
use spec::{JobId, Shape};

use crate::{Exported, Imported, import};

/// Samples of each case's input.
const SAMPLES: usize = 6;

/// A network of the fixtures, with the values that PyTorch gave it.
struct Case {
    name: String,
    manifest: CheckpointManifest,
    plan: Plan,
    weights: Imported,
}

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/exchange");
    let path = path.join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Case {
    /// All cases.
    fn all() -> Vec<Case> {
        let cases: Value = serde_json::from_slice(&fixture("cases.json")).unwrap();
        let cases = cases.as_array().unwrap().iter();
        cases.map(Case::of).collect()
    }

    /// One case.
    fn named(name: &str) -> Case {
        let found = Case::all().into_iter().find(|case| case.name == name);
        found.unwrap_or_else(|| panic!("no case is called {name}"))
    }

    fn of(case: &Value) -> Case {
        let name = case["name"].as_str().unwrap().to_string();
        let input = case["input"].as_str().unwrap();
        let tokens = input.split_once(':').map(|(form, sizes)| {
            let (vocabulary, length) = sizes.split_once('x').unwrap();
            TokenFacts {
                form: match form {
                    "stream" => TokenForm::Stream,
                    _ => TokenForm::Sequences,
                },
                vocabulary: vocabulary.parse().unwrap(),
                sequence_length: length.parse().unwrap(),
                tokenizer: None,
            }
        });
        let shape = if tokens.is_some() { "1" } else { input };
        let shape: Shape = shape.parse().unwrap();
        let classes = case["classes"].as_u64().unwrap();
        let text = String::from_utf8(fixture(&format!("{name}.toml"))).unwrap();
        // As benches/exchange.rs does, so that the graphs are the same.
        let channels = (0..shape.channels()).map(|channel| channel as f32);
        let preprocessing = Preprocessing {
            shift: channels.clone().map(|channel| 0.5 + channel).collect(),
            scale: channels.map(|channel| 0.25 + 0.125 * channel).collect(),
        };
        let classes = (0..classes).map(|class| format!("class {class}")).collect();
        let manifest = CheckpointManifest {
            job_id: Some(JobId(1)),
            job: spec::job_file::parse(&text).unwrap(),
            device_class: "none".to_string(),
            step: 100,
            commit: 100,
            watch: Default::default(),
            monitored: None,
            data: DataFacts {
                shape,
                classes,
                tokens,
            },
            preprocessing,
            sections: Vec::new(),
            state_digest: String::new(),
        };
        let plan = to_evaluate(&manifest.job, &manifest.data, SAMPLES, 1, false).unwrap();
        let weights = import(&fixture(&format!("{name}.safetensors")), &plan).unwrap();
        Case {
            name,
            manifest,
            plan,
            weights,
        }
    }

    fn exported(&self) -> Exported<'_> {
        Exported {
            plan: &self.plan,
            manifest: &self.manifest,
            parameters: &self.weights.parameters,
            running_statistics: &self.weights.running_statistics,
        }
    }
}
