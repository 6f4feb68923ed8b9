//! `trainyard checkpoint import`

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use worker::client::Remote;
use worker::depot::Depot;
use worker::training::Training;

use super::super::job_file::JobFile;
use super::super::plan::admit_remote;
use crate::arguments::CheckpointImport;
use crate::client::Client;
use crate::stop::{Code, Stop};
use crate::view::{Format, tell};

/// The length of a header that no file has, so that a wrong file is not read whole to be refused.
const LONGEST_HEADER: u64 = 100_000_000;

/// Makes a checkpoint of a job's model with the values of a file. It stands at step 0, with its optimizer at rest.
///
/// # Errors
/// A job that is refused, a file that is not its model, or data that cannot be read.
pub async fn run(
    client: &Client,
    url: &str,
    options: CheckpointImport,
    format: Format,
) -> Result<(), Stop> {
    let url = url.to_string();
    let kept = tokio::task::spawn_blocking(move || {
        let file = JobFile::read(&options.job, &options.set)?;
        let bytes = read(&options.file)?;
        let (admitted, _) = admit_remote(&file, &url, None)?;
        let imported = exchange::import(&bytes, &admitted.plan).map_err(|error| {
            Stop::refused(format!("cannot import {}: {error}", options.file.display()))
        })?;
        for (dtype, tensors) in &imported.converted {
            tell(&format!(
                "{tensors} tensors of type {dtype} were converted to F32"
            ));
        }
        let refused = |failure| Stop::of(failure, Code::Refused);
        let remote = Arc::new(Remote::new(&url).map_err(refused)?);
        let depot: Arc<dyn Depot> = remote.clone();
        let mut training = Training::prepare(&admitted.job, depot, 0, None).map_err(refused)?;
        training.put_weights(&imported.parameters, &imported.running_statistics);
        let (manifest, chunks) = training.checkpoint(None);
        remote
            .import(&chunks, &manifest)
            .map_err(|failure| Stop::of(failure, Code::Failed))
    });
    let digest = kept.await.map_err(Stop::failed)??;
    format.details(&client.show_checkpoint(&digest.to_string()).await?);
    Ok(())
}

/// The bytes of a file that may be safetensors: one whose first 8 bytes give a header's length.
fn read(path: &Path) -> Result<Vec<u8>, Stop> {
    let bytes = std::fs::File::open(path).and_then(|mut file| {
        let mut bytes = vec![0; 8];
        let length = file.metadata()?.len();
        if length < 8 {
            bytes.clear();
        } else {
            file.read_exact(&mut bytes)?;
        }
        let header = bytes.first_chunk().map(|&bytes| u64::from_le_bytes(bytes));
        if header.is_some_and(|header| header <= LONGEST_HEADER.min(length)) {
            file.read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    });
    bytes.map_err(|error| Stop::refused(format!("cannot read {}: {error}", path.display())))
}
