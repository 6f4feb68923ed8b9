//! `cargo xtask torch export`: models that we export, read strictly by PyTorch and run by onnxruntime, with our logits: the
//! networks of tests/fixtures/exchange, which have every kind of layer, and checkpoints of real trainings.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::environment::Environment;
use crate::cargo;
use crate::yard::{Yard, finish};

/// Export models to PyTorch and ONNX, and compare their logits with ours
#[derive(clap::Args, Default)]
pub struct Arguments {
    /// Make the networks of tests/fixtures/exchange anew
    #[arg(long)]
    make: bool,
}

/// The script that is PyTorch's and onnxruntime's side.
const SCRIPT: &str = "benches/torch_export.py";

/// The networks and what PyTorch made of them.
const FIXTURES: &str = "tests/fixtures/exchange";

/// How far our logits may be from PyTorch's, and from onnxruntime's.
const FROM_TORCH: f64 = 1e-5;
const FROM_ONNX: f64 = 1e-4;

/// A training whose checkpoint is exported.
struct Trained {
    job: &'static str,
    /// The dataset that the job reads, of made-up samples of this shape in ten classes.
    dataset: &'static str,
    input: &'static str,
}

const CLASSES: &str = "10";

const TRAINED: [Trained; 6] = [
    Trained {
        job: "jobs/digits-cnn.toml",
        dataset: "digits",
        input: "1x8x8",
    },
    Trained {
        job: "jobs/fashion-cnn.toml",
        dataset: "fashion-mnist",
        input: "1x28x28",
    },
    Trained {
        job: "tests/fixtures/exchange/cnn.toml",
        dataset: "samples",
        input: "3x12x12",
    },
    Trained {
        job: "tests/fixtures/exchange/norms.toml",
        dataset: "samples",
        input: "6x5x4",
    },
    Trained {
        job: "tests/fixtures/exchange/residual.toml",
        dataset: "samples",
        input: "3x9x9",
    },
    Trained {
        job: "tests/fixtures/exchange/activations.toml",
        dataset: "samples",
        input: "16",
    },
];

/// What both sides are given.
struct Sides<'a> {
    root: &'a Path,
    environment: &'a Environment,
    ours: PathBuf,
    folder: PathBuf,
}

/// Compares, and prints a table.
///
/// # Errors
/// A side that fails, or logits that are too far apart.
pub fn run(arguments: &Arguments, root: &Path, environment: &Environment) -> anyhow::Result<()> {
    let words = "bench --package exchange --bench exchange --no-run";
    let ours = cargo::executable(root, words, "exchange")?;
    let binary = cargo::executable(root, "build --release --package trainyard", "trainyard")?;
    let folder = tempfile::tempdir().context("no temporary folder can be made")?;
    let sides = Sides {
        root,
        environment,
        ours,
        folder: folder.path().to_path_buf(),
    };
    let mut missed = Vec::new();
    println!(
        "| model | largest logit | from PyTorch | from ONNX, raw samples | from ONNX, preprocessed |"
    );
    println!("| --- | ---: | ---: | ---: | ---: |");
    let cases = fs::read(root.join(FIXTURES).join("cases.json"))?;
    let cases: Vec<Value> = serde_json::from_slice(&cases)?;
    for case in &cases {
        let name = sides.fixture(case, arguments.make)?;
        missed.extend(sides.check(&name)?);
    }
    let yard = Yard::start(&binary, &sides.folder)?;
    for trained in &TRAINED {
        let name = sides.train(&yard, trained)?;
        missed.extend(sides.check(&name)?);
    }
    ensure!(missed.is_empty(), "{}", missed.join("; "));
    Ok(())
}

impl Sides<'_> {
    fn ours(&self, words: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.ours);
        command.current_dir(self.root).args(words);
        finish(command)
    }

    fn theirs(&self, words: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.environment.python);
        command.current_dir(self.root).arg(SCRIPT).args(words);
        finish(command)
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Exports a network of the fixtures, made anew if so wished; its name.
    fn fixture(&self, case: &Value, make: bool) -> anyhow::Result<String> {
        let text = |key: &str| {
            case[key]
                .as_str()
                .with_context(|| format!("a case has no {key}"))
        };
        let (name, input) = (text("name")?, text("input")?);
        let classes = case["classes"].to_string();
        let facts = self.path(&format!("{name}.json"));
        let job = format!("{FIXTURES}/{name}.toml");
        fs::write(&facts, self.ours(&["facts", &job, input, &classes, name])?)?;
        let fixtures = self.root.join(FIXTURES);
        if make {
            self.theirs(&["make", &facts, &fixtures.display().to_string()])?;
        }
        let io = format!("{name}.io.safetensors");
        fs::copy(fixtures.join(&io), self.folder.join(&io))?;
        let weights = fixtures.join(format!("{name}.safetensors"));
        let weights = weights.display().to_string();
        for command in ["export", "logits"] {
            self.ours(&[command, &facts, &weights, &self.path("")])?;
        }
        if make {
            let graph = format!("{name}.onnx");
            fs::copy(self.folder.join(&graph), fixtures.join(&graph))?;
        }
        Ok(name.to_string())
    }

    /// Trains a job for a few steps and exports its checkpoint as people do; its name.
    fn train(&self, yard: &Yard<'_>, trained: &Trained) -> anyhow::Result<String> {
        let Trained {
            job,
            dataset,
            input,
        } = trained;
        let name = format!(
            "trained-{}",
            Path::new(job).file_stem().unwrap_or_default().display()
        );
        let csv = self.path("rows.csv");
        self.theirs(&["rows", input, CLASSES, &csv])?;
        finish(yard.command(&["data", "import", dataset, &csv, "--shape", input]))?;
        let job = self.root.join(job).display().to_string();
        let mut submit = yard.command(&["submit", &job]);
        for set in [
            "training.epochs=2",
            "data.validation=0.2",
            "resources.ranks=1",
        ] {
            submit.args(["--set", set]);
        }
        let submitted: Value = serde_json::from_str(&finish(submit)?)?;
        let id = submitted["id"].as_str().context("a job has an id")?;
        finish(yard.command(&["job", "wait", id]))?;
        let shown = finish(yard.command(&["checkpoint", "show", id]))?;
        let mut facts: Value = serde_json::from_str(&shown)?;
        facts["name"] = name.as_str().into();
        let path = self.path(&format!("{name}.json"));
        fs::write(&path, facts.to_string())?;
        let export = |suffix: &str, flags: &[&str]| {
            let output = self.path(&format!("{name}{suffix}"));
            let command = ["checkpoint", "export", id, "-o", &output];
            finish(yard.command(&[&command[..], flags].concat()))
        };
        export(".safetensors", &[])?;
        export(".onnx", &[])?;
        export(".preprocessed.onnx", &["--preprocessed"])?;
        self.theirs(&["sample", &path, &self.path("")])?;
        let weights = self.path(&format!("{name}.safetensors"));
        self.ours(&["logits", &path, &weights, &self.path("")])?;
        Ok(name)
    }

    /// Runs the exported files on their side, and prints a row; what is too far apart.
    fn check(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let facts = self.path(&format!("{name}.json"));
        let said = self.theirs(&["check", &facts, &self.path("")])?;
        let said: Value = serde_json::from_str(&said).context(said)?;
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let far = |key: &str| number(&said["far"][key]);
        let [torch, raw, preprocessed] = ["torch", "onnx_raw", "onnx"].map(far);
        let largest = number(&said["largest"]);
        println!("| {name} | {largest:.2} | {torch:.1e} | {raw:.1e} | {preprocessed:.1e} |");
        let bars = [
            ("PyTorch", torch, FROM_TORCH),
            ("ONNX", raw, FROM_ONNX),
            ("ONNX, preprocessed", preprocessed, FROM_ONNX),
        ];
        // What is no number is missed too.
        let missed = bars
            .iter()
            .filter(|(_, far, bar)| far.is_nan() || far > bar);
        Ok(missed
            .map(|(side, far, bar)| format!("{name}: {far:.1e} from {side}, the bar is {bar:.0e}"))
            .collect())
    }
}
