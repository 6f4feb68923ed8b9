//! `trainyard checkpoint list|show|verify|delete`

mod export;
mod import;

use indicatif::ProgressBar;
use serde::Serialize;
use spec::Digest;
use worker::client::Remote;
use worker::depot::Depot;

use crate::arguments::{Checkpoint, CheckpointRef};
use crate::client::Client;
use crate::stop::{Code, Stop};
use crate::view::{Details, Format, bytes};
use crate::views;

/// Runs a checkpoint command.
///
/// # Errors
/// An unknown checkpoint, or one that is not whole.
pub async fn run(
    client: &Client,
    url: &str,
    command: Checkpoint,
    format: Format,
) -> Result<(), Stop> {
    match command {
        Checkpoint::List { job } => format.list(&client.list_checkpoints(job.as_deref()).await?),
        Checkpoint::Show(CheckpointRef { checkpoint }) => {
            format.details(&client.show_checkpoint(&checkpoint).await?)
        }
        Checkpoint::Verify(CheckpointRef { checkpoint }) => {
            let checkpoint = client.show_checkpoint(&checkpoint).await?;
            format.details(&verify(url, checkpoint).await?);
        }
        Checkpoint::Export(options) => export::run(client, url, options, format).await?,
        Checkpoint::Import(options) => import::run(client, url, options, format).await?,
        Checkpoint::Delete(CheckpointRef { checkpoint }) => {
            let deleted = client.delete_checkpoint(&checkpoint).await?;
            format.details(&Deleted {
                checkpoint: deleted.digest,
                step: deleted.manifest.step,
                bytes: deleted.size(),
            });
        }
    }
    Ok(())
}

/// A checkpoint that is no more.
#[derive(Debug, Serialize)]
pub struct Deleted {
    /// Its digest.
    pub checkpoint: Digest,
    /// The step that it held.
    pub step: u64,
    /// Its bytes; chunks that other checkpoints are made of stay.
    pub bytes: u64,
}

impl Details for Deleted {
    fn lines(&self) -> Vec<(&'static str, String)> {
        vec![
            ("deleted", self.checkpoint.to_string()),
            ("step", self.step.to_string()),
            ("size", bytes(self.bytes)),
        ]
    }
}

/// A checkpoint of which every byte was read.
#[derive(Debug, Serialize)]
pub struct Verified {
    /// Its digest.
    pub checkpoint: Digest,
    /// The step it holds.
    pub step: u64,
    /// Chunks read.
    pub chunks: u64,
    /// Bytes read.
    pub bytes: u64,
}

impl Details for Verified {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let read = format!(
            "{} in {} chunks, every byte as written",
            bytes(self.bytes),
            self.chunks
        );
        vec![
            ("checkpoint", self.checkpoint.to_string()),
            ("step", self.step.to_string()),
            ("verified", read),
        ]
    }
}

/// Reads every chunk of a checkpoint and compares it with its digest.
///
/// # Errors
/// A chunk that cannot be read or is corrupt, or sections of another length than they should have.
pub async fn verify(url: &str, checkpoint: views::Checkpoint) -> Result<Verified, Stop> {
    let url = url.to_string();
    let read = tokio::task::spawn_blocking(move || {
        let depot = Remote::new(&url).map_err(|failure| Stop::refused(failure.message))?;
        let total = checkpoint.manifest.chunks().count() as u64;
        let bar = ProgressBar::new(total);
        let mut verified = Verified {
            checkpoint: checkpoint.digest,
            step: checkpoint.manifest.step,
            chunks: 0,
            bytes: 0,
        };
        for section in &checkpoint.manifest.sections {
            let mut section_bytes = 0;
            for digest in &section.chunks {
                let chunk = depot
                    .chunk(digest)
                    .map_err(|failure| Stop::of(failure, Code::Failed))?;
                if Digest::of(&chunk) != *digest {
                    return Err(Stop::failed(format!(
                        "chunk {digest} of section {} is corrupt",
                        section.name
                    )));
                }
                section_bytes += chunk.len() as u64;
                verified.chunks += 1;
                bar.inc(1);
            }
            if section_bytes != section.words.saturating_mul(4) {
                return Err(Stop::failed(format!(
                    "section {} has {section_bytes} bytes and should have {}",
                    section.name,
                    section.words.saturating_mul(4)
                )));
            }
            verified.bytes += section_bytes;
        }
        bar.finish_and_clear();
        Ok(verified)
    });
    read.await.map_err(Stop::failed)?
}
