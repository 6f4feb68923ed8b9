//! `trainyard checkpoint export`

use std::path::{Path, PathBuf};

use exchange::{Exported, Input};
use serde::Serialize;
use spec::Digest;
use worker::client::Remote;
use worker::training;

use crate::arguments::{CheckpointExport, WeightsFormat};
use crate::client::Client;
use crate::file;
use crate::stop::{Code, Stop};
use crate::view::{Details, Format, bytes, count};

/// A file that was written.
#[derive(Debug, Serialize)]
struct Written {
    /// The checkpoint's digest.
    checkpoint: Digest,
    /// The step that it holds.
    step: u64,
    /// `safetensors` or `onnx`.
    format: &'static str,
    /// The file, as it was named.
    file: String,
    /// Its length.
    bytes: u64,
    /// Values that training moved.
    parameters: u64,
}

impl Details for Written {
    fn lines(&self) -> Vec<(&'static str, String)> {
        vec![
            ("checkpoint", self.checkpoint.to_string()),
            ("step", self.step.to_string()),
            ("format", self.format.to_string()),
            ("file", self.file.clone()),
            ("size", bytes(self.bytes)),
            ("parameters", count(self.parameters)),
        ]
    }
}

/// Writes a checkpoint's model in another format.
///
/// # Errors
/// A format that cannot be told, an unknown or damaged checkpoint, or a file that cannot be written.
pub async fn run(
    client: &Client,
    url: &str,
    options: CheckpointExport,
    format: Format,
) -> Result<(), Stop> {
    let wanted = match options.format {
        Some(wanted) => wanted,
        None => of_name(&options.output)?,
    };
    if options.preprocessed && wanted == WeightsFormat::Safetensors {
        return Err(Stop::refused(
            "--preprocessed does not go with --format safetensors: a state dict holds no preprocessing",
        ));
    }
    let input = if options.preprocessed {
        Input::Preprocessed
    } else {
        Input::Raw
    };
    let checkpoint = client.show_checkpoint(&options.checkpoint).await?;
    let url = url.to_string();
    let written = tokio::task::spawn_blocking(move || {
        let of_depot = |failure| Stop::of(failure, Code::Failed);
        let depot = Remote::new(&url).map_err(of_depot)?;
        let manifest = &checkpoint.manifest;
        let plan =
            plan::to_evaluate(&manifest.job, &manifest.data, 1, 1, false).map_err(Stop::failed)?;
        let weights = training::weights(&plan, &depot, manifest).map_err(of_depot)?;
        let exported = Exported {
            plan: &plan,
            manifest,
            parameters: &weights.parameters,
            running_statistics: &weights.running_statistics,
        };
        let (format, bytes) = match wanted {
            WeightsFormat::Safetensors => ("safetensors", exchange::safetensors(&exported)),
            WeightsFormat::Onnx => {
                let graph = exchange::onnx(&exported, input).map_err(Stop::refused)?;
                ("onnx", graph)
            }
        };
        file::replace(&options.output, &bytes)?;
        Ok(Written {
            checkpoint: checkpoint.digest,
            step: manifest.step,
            format,
            file: options.output.display().to_string(),
            bytes: bytes.len() as u64,
            parameters: plan.parameter_count as u64,
        })
    });
    let written: Result<Written, Stop> = written.await.map_err(Stop::failed)?;
    format.details(&written?);
    Ok(())
}

/// The format that a file's name ends with.
fn of_name(path: &Path) -> Result<WeightsFormat, Stop> {
    let extension: Option<PathBuf> = path.extension().map(PathBuf::from);
    match extension.as_deref().and_then(Path::to_str) {
        Some("safetensors") => Ok(WeightsFormat::Safetensors),
        Some("onnx") => Ok(WeightsFormat::Onnx),
        _ => Err(Stop::refused(format!(
            "{} ends with neither .safetensors nor .onnx: say what to write with --format",
            path.display()
        ))),
    }
}
