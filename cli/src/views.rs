//! What the commands print: each result with its JSON (the fields) and its table (the cells).

use serde::Serialize;
use spec::keeping::{self, Candidate};
use spec::rates::Rates;
use spec::{CheckpointManifest, Digest, MetricRow};

use crate::view::{Details, Row, ago, bytes, count, duration, optional};

mod dataset;

pub use self::dataset::{Dataset, Sample, Text};

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Job {
    pub id: String,
    pub name: String,
    pub state: String,
    pub step: u64,
    pub steps: u64,
    /// Running now.
    pub ranks: u32,
    /// Of the last row.
    pub parameters_digest: String,
    pub reason: String,
    pub attempts: u32,
    pub submitted_unix_ms: u64,
    pub finished_unix_ms: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Occurrence>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub job_file: String,
}

/// Something that happened to a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Occurrence {
    pub unix_ms: u64,
    pub text: String,
}

impl Row for Job {
    const HEADER: &'static [&'static str] = &[
        "ID",
        "NAME",
        "STATE",
        "STEP",
        "STEPS",
        "RANKS",
        "SUBMITTED",
        "REASON",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.name.clone(),
            self.state.clone(),
            self.step.to_string(),
            self.steps.to_string(),
            self.ranks.to_string(),
            ago(self.submitted_unix_ms),
            self.reason.clone(),
        ]
    }
}

impl Details for Job {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("id", self.id.clone()),
            ("name", self.name.clone()),
            ("state", self.state.clone()),
            ("step", format!("{} of {}", self.step, self.steps)),
            ("ranks", self.ranks.to_string()),
            ("attempts", self.attempts.to_string()),
            ("submitted", ago(self.submitted_unix_ms)),
        ];
        if let Some(finished) = self.finished_unix_ms {
            lines.push((
                "took",
                duration(finished.saturating_sub(self.submitted_unix_ms)),
            ));
        }
        lines.push(("parameters", self.parameters_digest.clone()));
        lines.push(("reason", self.reason.clone()));
        let history: Vec<String> = self
            .history
            .iter()
            .map(|occurrence| {
                let after = duration(occurrence.unix_ms.saturating_sub(self.submitted_unix_ms));
                format!("{after:>7}  {}", occurrence.text)
            })
            .collect();
        lines.push(("history", history.join("\n")));
        lines.push(("job file", self.job_file.clone()));
        lines.retain(|(_, value)| !value.is_empty());
        lines
    }
}

impl Row for MetricRow {
    const HEADER: &'static [&'static str] = &[
        "EPOCH",
        "STEP",
        "SAMPLES",
        "LOSS",
        "ACCURACY",
        "LR",
        "GRAD NORM",
        "VAL LOSS",
        "VAL ACC",
        "SAMPLES/S",
        "DATA MS",
        "FORWARD MS",
        "BACKWARD MS",
        "REDUCE MS",
        "UPDATE MS",
        "PARAMETERS",
        "METRICS",
    ];

    fn cells(&self) -> Vec<String> {
        let (exact, timing) = (&self.exact, &self.timing);
        vec![
            exact.epoch.to_string(),
            exact.step.to_string(),
            exact.samples.to_string(),
            optional(exact.loss, 4),
            optional(exact.accuracy, 4),
            exact.learning_rate.to_string(),
            optional(exact.gradient_norm, 4),
            optional(exact.validation_loss, 4),
            optional(exact.validation_accuracy, 4),
            format!("{:.0}", timing.samples_per_s),
            format!("{:.2}", timing.data_ms),
            format!("{:.2}", timing.forward_ms),
            format!("{:.2}", timing.backward_ms),
            format!("{:.2}", timing.reduce_ms),
            format!("{:.2}", timing.update_ms),
            exact.parameters_digest.chars().take(12).collect(),
            exact.measures.to_string(),
        ]
    }
}

/// A worker.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Worker {
    pub id: String,
    pub name: String,
    pub state: String,
    pub device_class: String,
    pub threads: u32,
    pub free_threads: u32,
    pub memory_bytes: u64,
    pub free_memory_bytes: u64,
    pub ranks: Vec<String>,
    /// How fast it is, once it has measured that.
    #[serde(skip)]
    pub rates: Option<Rates>,
}

impl Row for Worker {
    const HEADER: &'static [&'static str] = &[
        "ID",
        "NAME",
        "STATE",
        "CLASS",
        "THREADS",
        "FREE",
        "MEMORY",
        "FREE MEMORY",
        "RANKS",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.name.clone(),
            self.state.clone(),
            self.device_class.clone(),
            self.threads.to_string(),
            self.free_threads.to_string(),
            bytes(self.memory_bytes),
            bytes(self.free_memory_bytes),
            self.ranks.join(" "),
        ]
    }
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checkpoint {
    pub digest: Digest,
    pub saved_unix_ms: u64,
    #[serde(flatten)]
    pub manifest: CheckpointManifest,
    /// Whether it is the best of its job, where all of them are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<bool>,
}

impl Checkpoint {
    /// The id of the job that made it.
    fn job(&self) -> String {
        self.manifest
            .job_id
            .map_or_else(|| "-".to_string(), |job| job.to_string())
    }

    /// What the validation after its step came to: `validation_loss 0.8993, best`.
    fn monitored(&self) -> String {
        let Some(value) = self.manifest.monitored else {
            return "-".to_string();
        };
        let monitor = self.manifest.job.training.monitor;
        let mark = if self.best == Some(true) {
            ", best"
        } else {
            ""
        };
        format!("{monitor} {value:.4}{mark}")
    }

    /// Marks the best of each job in a list of all checkpoints of some jobs.
    pub fn mark_best(checkpoints: &mut [Checkpoint]) {
        for of_job in checkpoints.chunk_by_mut(|one, next| {
            let job = one.manifest.job_id;
            job.is_some() && job == next.manifest.job_id
        }) {
            let manifests = of_job.iter().map(|one| &one.manifest);
            let candidates: Vec<Candidate> = manifests.map(Candidate::from).collect();
            let monitor = of_job[0].manifest.job.training.monitor;
            let best = keeping::best(monitor, &candidates);
            for (place, checkpoint) in of_job.iter_mut().enumerate() {
                checkpoint.best = Some(best == Some(place));
            }
        }
    }

    /// Bytes of all of its sections.
    pub fn size(&self) -> u64 {
        self.manifest
            .sections
            .iter()
            .map(|section| section.words.saturating_mul(4))
            .fold(0, u64::saturating_add)
    }
}

impl Row for Checkpoint {
    const HEADER: &'static [&'static str] = &[
        "JOB",
        "NAME",
        "STEP",
        "SIZE",
        "SAVED",
        "DIGEST",
        "MONITORED",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.job(),
            self.manifest.job.name.clone(),
            self.manifest.step.to_string(),
            bytes(self.size()),
            ago(self.saved_unix_ms),
            self.digest.short(),
            self.monitored(),
        ]
    }
}

impl Details for Checkpoint {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let manifest = &self.manifest;
        let sections: Vec<String> = manifest
            .sections
            .iter()
            .map(|section| {
                format!(
                    "{}: {} words in {} chunks",
                    section.name,
                    count(section.words),
                    section.chunks.len()
                )
            })
            .collect();
        vec![
            ("digest", self.digest.to_string()),
            (
                "job",
                match manifest.job_id {
                    Some(job) => format!("{job} ({})", manifest.job.name),
                    None => format!("none, imported as {}", manifest.job.name),
                },
            ),
            ("step", manifest.step.to_string()),
            ("saved", ago(self.saved_unix_ms)),
            ("monitored", self.monitored()),
            ("size", bytes(self.size())),
            ("sections", sections.join("\n")),
            ("state", manifest.state_digest.clone()),
            ("class", manifest.device_class.clone()),
            (
                "input",
                format!(
                    "{}, {} classes",
                    manifest.data.shape,
                    manifest.data.classes.len()
                ),
            ),
            ("shift", format!("{:?}", manifest.preprocessing.shift)),
            ("scale", format!("{:?}", manifest.preprocessing.scale)),
            ("job file", spec::job_file::render(&manifest.job)),
        ]
    }
}
