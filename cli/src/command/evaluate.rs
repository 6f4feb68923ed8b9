//! `trainyard model evaluate`

use std::sync::Arc;

use serde::Serialize;
use spec::job::SplitRef;
use worker::client::Remote;
use worker::depot::Depot;
use worker::machine;
use worker::training::{self, Evaluation};

use crate::arguments::Evaluate;
use crate::client::Client;
use crate::stop::{Code, Stop};
use crate::view::{Details, Format, count, optional, print, table};
use crate::views::Checkpoint;

/// An evaluation as it is printed.
#[derive(Debug, Serialize)]
pub struct Evaluated(pub Evaluation);

impl Details for Evaluated {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("loss", optional(self.0.loss, 4)),
            ("accuracy", optional(self.0.accuracy, 4)),
            ("samples", count(self.0.samples)),
        ];
        if !self.0.measures.0.is_empty() {
            lines.push(("metrics", self.0.measures.to_string()));
        }
        lines
    }
}

/// Rows by class, a line each, and answer, a column each.
fn matrix(classes: &[String], confusion: &[Vec<u64>]) -> String {
    let header: Vec<&str> = ["CLASS"]
        .into_iter()
        .chain(classes.iter().map(String::as_str))
        .collect();
    let rows: Vec<Vec<String>> = classes
        .iter()
        .zip(confusion)
        .map(|(class, counts)| {
            let counts = counts.iter().map(u64::to_string);
            [class.clone()].into_iter().chain(counts).collect()
        })
        .collect();
    table(&header, &rows)
}

/// Evaluates a checkpoint in this process.
///
/// # Errors
/// An unknown checkpoint or split, data that is not the model's, or anything that cannot be read.
pub async fn run(
    client: &Client,
    url: &str,
    options: &Evaluate,
    format: Format,
) -> Result<(), Stop> {
    let split = options
        .data
        .as_deref()
        .map(spec::job_file::parse_split)
        .transpose()
        .map_err(Stop::refused)?;
    let checkpoint = client.show_checkpoint(&options.checkpoint).await?;
    let threads = options.threads.unwrap_or_else(machine::cores);
    let classes = checkpoint.manifest.data.classes.clone();
    let evaluated = evaluate(url, checkpoint, split, threads, options.confusion).await?;
    format.details(&evaluated);
    if let (Some(confusion), Format::Table) = (&evaluated.0.confusion, format) {
        print(&format!("\n{}", matrix(&classes, confusion)));
    }
    Ok(())
}

/// Evaluates a checkpoint on a split, or on its job's validation rows; with `confusion`, rows are counted by class and answer too.
///
/// # Errors
/// Data that is not the model's, or anything that cannot be read.
pub async fn evaluate(
    url: &str,
    checkpoint: Checkpoint,
    split: Option<SplitRef>,
    threads: u32,
    confusion: bool,
) -> Result<Evaluated, Stop> {
    let url = url.to_string();
    let done = tokio::task::spawn_blocking(move || {
        let depot: Arc<dyn Depot> = Arc::new(Remote::new(&url)?);
        training::evaluate(
            &checkpoint.manifest,
            &depot,
            split.as_ref(),
            threads as usize,
            confusion,
        )
    });
    let evaluation = done
        .await
        .map_err(Stop::failed)?
        .map_err(|failure| Stop::of(failure, Code::Refused))?;
    Ok(Evaluated(evaluation))
}
