//! A dataset as it is printed.

use serde::Serialize;
use spec::dataset::{Split, TokenCounts, TokenForm};
use spec::tokenizer::Unit;
use spec::{DatasetManifest, Digest};

use crate::view::{Details, Row, ago, count};

/// A version of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dataset {
    pub name: String,
    pub digest: Digest,
    pub imported_unix_ms: u64,
    #[serde(flatten)]
    pub manifest: DatasetManifest,
    /// How text was split, and some of it; only where it is asked for, and the samples are tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
}

/// How text was split, and some of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Text {
    pub unit: Unit,
    pub lowercase: bool,
    pub samples: Vec<Sample>,
}

/// A sample as text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sample {
    pub split: String,
    pub class: Option<String>,
    pub text: String,
}

impl Row for Dataset {
    const HEADER: &'static [&'static str] = &[
        "NAME", "KIND", "SHAPE", "CLASSES", "ROWS", "SPLITS", "IMPORTED", "DIGEST",
    ];

    fn cells(&self) -> Vec<String> {
        let manifest = &self.manifest;
        let splits: Vec<&str> = manifest
            .splits
            .iter()
            .map(|split| split.name.as_str())
            .collect();
        let shape = match manifest.tokens.map(|tokens| tokens.form) {
            None => manifest.shape.to_string(),
            Some(TokenForm::Stream) => "stream".to_string(),
            Some(TokenForm::Sequences) => "sequences".to_string(),
        };
        vec![
            self.name.clone(),
            manifest.kind.clone(),
            shape,
            manifest.classes.len().to_string(),
            count(manifest.splits.iter().map(|split| split.rows).sum()),
            splits.join(" "),
            ago(self.imported_unix_ms),
            self.digest.short(),
        ]
    }
}

impl Details for Dataset {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let manifest = &self.manifest;
        let mut lines = vec![
            ("name", self.name.clone()),
            ("digest", self.digest.to_string()),
            ("kind", manifest.kind.clone()),
        ];
        match manifest.tokens {
            None => lines.push((
                "shape",
                format!(
                    "{} of {} up to {}",
                    manifest.shape,
                    manifest.element.word(),
                    manifest.maximum
                ),
            )),
            Some(tokens) => {
                let form = match tokens.form {
                    TokenForm::Stream => "one stream of tokens",
                    TokenForm::Sequences => "rows of tokens",
                };
                lines.push(("form", form.to_string()));
                let vocabulary = count(u64::from(tokens.vocabulary));
                let split = self.text.as_ref().map_or_else(String::new, |text| {
                    let lowercase = if text.lowercase { " in lower case" } else { "" };
                    format!(", split into {}{lowercase}", spoken(text.unit))
                });
                lines.push(("vocabulary", format!("{vocabulary} tokens{split}")));
            }
        }
        if !manifest.classes.is_empty() {
            let names = some(&manifest.classes);
            lines.push(("classes", format!("{}: {names}", manifest.classes.len())));
        }
        lines.push(("imported", ago(self.imported_unix_ms)));
        for split in &manifest.splits {
            lines.push(("split", described(split)));
        }
        for sample in self.text.iter().flat_map(|text| &text.samples) {
            let of = match &sample.class {
                Some(class) => format!("{}, {class}", sample.split),
                None => sample.split.clone(),
            };
            lines.push(("sample", format!("{of}: {:?}", sample.text)));
        }
        lines
    }
}

fn spoken(unit: Unit) -> &'static str {
    match unit {
        Unit::Characters => "characters",
        Unit::Words => "words and marks",
        Unit::Whitespace => "words at white space",
    }
}

/// A split: its rows, and what is known of its classes and values or tokens.
fn described(split: &Split) -> String {
    let counts: Vec<String> = split.class_counts.iter().map(u64::to_string).collect();
    let per_class = format!("per class: {}", some(&counts));
    let (name, rows, chunks) = (&split.name, count(split.rows), split.chunks.len());
    match split.tokens {
        None => format!(
            "{name}: {rows} rows in {chunks} chunks\n{per_class}\nmean: {}\nstd: {}",
            few(&split.mean),
            few(&split.std)
        ),
        Some(TokenCounts {
            count: tokens,
            lengths: None,
        }) => format!("{name}: {} tokens in {chunks} chunks", count(tokens)),
        Some(TokenCounts {
            count: tokens,
            lengths: Some(lengths),
        }) => format!(
            "{name}: {rows} rows of {} tokens in {chunks} chunks\n{per_class}\n\
             tokens a row: {} to {}, mean {:.1}, half up to {}, 95 % up to {}",
            count(tokens),
            lengths.shortest,
            lengths.longest,
            tokens as f64 / split.rows.max(1) as f64,
            lengths.median,
            lengths.p95
        ),
    }
}

/// The first of many words, with a space between them.
fn some(words: &[String]) -> String {
    const SHOWN: usize = 100;
    let more = if words.len() > SHOWN { " …" } else { "" };
    words[..words.len().min(SHOWN)].join(" ") + more
}

fn few(values: &[f64]) -> String {
    let shown: Vec<String> = values
        .iter()
        .take(8)
        .map(|value| format!("{value:.4}"))
        .collect();
    let more = if values.len() > 8 {
        format!(" … ({} channels)", values.len())
    } else {
        String::new()
    };
    shown.join(" ") + &more
}
