//! `trainyard model profile`

use plan::Per;
use serde::Serialize;
use spec::checkpoint::{DataFacts, TokenFacts};
use spec::dataset::TokenForm;
use worker::client::Remote;
use worker::machine;
use worker::training::{Inference, Pace, Profile, StagePace, Subject, profile};

use super::job_file::JobFile;
use super::plan::resolve;
use crate::arguments;
use crate::client::Client;
use crate::stop::{Code, Stop};
use crate::view::{Format, bytes, count, print, table};
use crate::views::Checkpoint;

/// The largest batch that is profiled.
const LARGEST: usize = 1 << 20;

/// A profile as it is printed.
#[derive(Serialize)]
struct Shown {
    /// The job, and the checkpoint where there is one.
    name: String,
    checkpoint: Option<String>,
    step: Option<u64>,
    #[serde(flatten)]
    profile: Profile,
}

/// Profiles a checkpoint, or the model of a job file, in this process.
///
/// # Errors
/// An unknown checkpoint, a job that is refused, batch sizes that cannot be, or a model that does not fit.
pub fn run(options: &arguments::Profile, url: &str, format: Format) -> Result<(), Stop> {
    if let Some(size) = options
        .batch_sizes
        .iter()
        .find(|&&size| size == 0 || size > LARGEST)
    {
        return Err(Stop::refused(format!(
            "--batch-sizes {size}: expected whole numbers from 1 to {LARGEST}, separated by commas"
        )));
    }
    let shown = if options.subject.ends_with(".toml") {
        of_job(options, url)?
    } else {
        of_checkpoint(options, url)?
    };
    match format {
        Format::Json => format.json(&shown),
        Format::Table => print(&shown.text()),
    }
    Ok(())
}

fn of_job(options: &arguments::Profile, url: &str) -> Result<Shown, Stop> {
    let file = JobFile::read(options.subject.as_ref(), &options.set)?;
    let plan = resolve(&file, &options.shapes, Some(machine::room()), url)?.plan;
    let tokens = plan.input.vocabulary.zip(plan.input.steps);
    let tokens = tokens.map(|(vocabulary, steps)| TokenFacts {
        form: match plan.per {
            Per::Step => TokenForm::Stream,
            Per::Sample => TokenForm::Sequences,
        },
        vocabulary: vocabulary as u32,
        sequence_length: steps as u32,
        tokenizer: None,
    });
    let facts = DataFacts {
        shape: plan.input.shape,
        classes: (0..plan.classes).map(|class| class.to_string()).collect(),
        tokens,
    };
    let profile = measure(
        options,
        &Subject {
            job: &file.job,
            facts: &facts,
            checkpoint: None,
            threads: threads(options),
        },
    )?;
    Ok(Shown {
        name: file.job.name,
        checkpoint: None,
        step: None,
        profile,
    })
}

fn of_checkpoint(options: &arguments::Profile, url: &str) -> Result<Shown, Stop> {
    if !options.set.is_empty() || options.shapes.are_given() {
        return Err(Stop::refused(
            "--set, --input, --vocabulary, --classes and --data-dir are for job files: a checkpoint has its own job and shapes",
        ));
    }
    let talker = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Stop::failed)?;
    let Checkpoint {
        digest, manifest, ..
    } = talker.block_on(async {
        let client = Client::connect(url).await?;
        client.show_checkpoint(&options.subject).await
    })?;
    let depot = Remote::new(url).map_err(|failure| Stop::of(failure, Code::Refused))?;
    let profile = measure(
        options,
        &Subject {
            job: &manifest.job,
            facts: &manifest.data,
            checkpoint: Some((&manifest, &depot)),
            threads: threads(options),
        },
    )?;
    Ok(Shown {
        name: manifest.job.name.clone(),
        checkpoint: Some(digest.to_string()),
        step: Some(manifest.step),
        profile,
    })
}

fn threads(options: &arguments::Profile) -> usize {
    options.threads.unwrap_or_else(machine::cores) as usize
}

fn measure(options: &arguments::Profile, subject: &Subject<'_>) -> Result<Profile, Stop> {
    profile(subject, &options.batch_sizes, options.train)
        .map_err(|failure| Stop::of(failure, Code::Refused))
}

impl Shown {
    fn text(&self) -> String {
        let profile = &self.profile;
        let parameters = profile.parameter_count as u64;
        let step = self
            .step
            .map(|step| format!(" at step {step}"))
            .unwrap_or_default();
        let mut text = format!(
            "{}{step}: {} parameters ({}), {} threads of {}\n\n",
            self.name,
            count(parameters),
            bytes(4 * parameters),
            profile.threads,
            profile.device_class
        );
        let rows: Vec<Vec<String>> = profile.inference.iter().map(batch).collect();
        let header = [
            "BATCH",
            "P50 MS",
            "P95 MS",
            "P99 MS",
            "SAMPLES/S",
            "MEMORY BY PLAN",
            "PEAK",
            "PASSES",
        ];
        text += &table(&header, &rows);
        if let Some(pace) = &profile.training {
            text += &training(pace);
        }
        text.push('\n');
        let rows: Vec<Vec<String>> = profile
            .stages
            .iter()
            .map(|stage| layers(stage, &profile.stages))
            .collect();
        let header = [
            "LAYERS",
            "KIND",
            "PARAMETERS",
            "SAMPLES",
            "FORWARD MS",
            "BACKWARD MS",
            "SHARE",
        ];
        text + &table(&header, &rows)
    }
}

fn batch(inference: &Inference) -> Vec<String> {
    vec![
        inference.batch_size.to_string(),
        format!("{:.3}", inference.p50_ms),
        format!("{:.3}", inference.p95_ms),
        format!("{:.3}", inference.p99_ms),
        format!("{:.0}", inference.samples_per_s),
        bytes(inference.planned_bytes),
        peak(inference.peak_bytes),
        inference.passes.to_string(),
    ]
}

fn training(pace: &Pace) -> String {
    format!(
        "\ntraining a microbatch of {}: forward {:.3} ms, backward {:.3} ms; update {:.3} ms; memory by plan {}, peak {}\n",
        pace.microbatch,
        pace.forward_ms,
        pace.backward_ms,
        pace.update_ms,
        bytes(pace.planned_bytes),
        peak(pace.peak_bytes)
    )
}

fn peak(measured: Option<u64>) -> String {
    measured.map_or_else(|| "-".to_string(), bytes)
}

/// A row of layers that run as one pass, with its share of the time of all.
fn layers(stage: &StagePace, all: &[StagePace]) -> Vec<String> {
    let time = |stage: &StagePace| stage.forward_ms + stage.backward_ms.unwrap_or(0.0);
    let whole: f64 = all.iter().map(time).sum();
    vec![
        stage.layers.join("+"),
        stage.words.join("+"),
        count(stage.parameter_count as u64),
        stage.samples.to_string(),
        format!("{:.3}", stage.forward_ms),
        stage
            .backward_ms
            .map_or_else(|| "-".to_string(), |time| format!("{time:.3}")),
        format!("{:.1} %", 100.0 * time(stage) / whole),
    ]
}
