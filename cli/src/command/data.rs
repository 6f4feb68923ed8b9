//! `trainyard data import|list|show`

use data::{ChunkSink, Progress, SinkError};
use indicatif::{ProgressBar, ProgressStyle};
use spec::{DatasetManifest, Digest};
use tokio::sync::mpsc;

use crate::arguments::{Data, DataImport};
use crate::client::{Client, ImportPart};
use crate::stop::Stop;
use crate::view::Format;
use crate::views::Dataset;

mod samples;
mod source;

/// Chunks on their way to the coordinator.
const IN_FLIGHT: usize = 8;

/// Runs a data command.
///
/// # Errors
/// A source that is refused, an unknown dataset, or a coordinator that went away.
pub async fn run(client: &Client, url: &str, command: Data, format: Format) -> Result<(), Stop> {
    match command {
        Data::Import(options) => import(client, url, options, format).await,
        Data::List => {
            format.list(&client.list_datasets().await?);
            Ok(())
        }
        Data::Show { name } => {
            let (name, digest) = match name.split_once('@') {
                Some((name, digest)) => (name, Some(digest.parse().map_err(Stop::refused)?)),
                None => (name.as_str(), None),
            };
            let dataset = client.show_dataset(name, digest).await?;
            format.details(&samples::with_samples(dataset, url).await?);
            Ok(())
        }
    }
}

async fn import(
    client: &Client,
    url: &str,
    options: DataImport,
    format: Format,
) -> Result<(), Stop> {
    if !spec::job_file::is_name(&options.name) {
        return Err(Stop::refused(format!(
            "\"{}\" is not a dataset's name: use a-z, 0-9, dot, underscore and hyphen, beginning with a letter or digit",
            options.name
        )));
    }
    let name = options.name.clone();
    let dataset = bring_in(client, &name, move |sink, progress| {
        source::read(&options, sink, progress)
    })
    .await?;
    format.details(&samples::with_samples(dataset, url).await?);
    Ok(())
}

/// Reads a source chunk by chunk on a thread of its own, while what was read travels to the coordinator.
///
/// # Errors
/// What the reader or the coordinator refuses.
pub async fn bring_in(
    client: &Client,
    name: &str,
    read: impl FnOnce(&mut dyn ChunkSink, &mut dyn FnMut(&Progress)) -> Result<DatasetManifest, Stop>
    + Send
    + 'static,
) -> Result<Dataset, Stop> {
    let (parts, outgoing) = mpsc::channel(IN_FLIGHT);
    let reader = tokio::task::spawn_blocking(move || {
        let bar = Bar::default();
        let mut sink = Outgoing(parts.clone());
        let manifest = read(&mut sink, &mut |progress| bar.show(progress))?;
        bar.0.finish_and_clear();
        // A coordinator that has gone is reported by the call.
        let _ = parts.blocking_send(ImportPart::Manifest(Box::new(manifest)));
        Ok(())
    });
    let imported = client.import(name, outgoing).await;
    let read: Result<(), Stop> = reader.await.map_err(Stop::failed)?;
    match (read, imported) {
        // The reader's refusal is the cause of the call's, unless the call ended first and took the reader with it.
        (Err(stop), Err(call)) => Err(if stop.message.contains(GONE) {
            call
        } else {
            stop
        }),
        (Err(stop), Ok(_)) => Err(stop),
        (Ok(()), imported) => imported,
    }
}

const GONE: &str = "the coordinator takes no more chunks";

struct Outgoing(mpsc::Sender<ImportPart>);

impl ChunkSink for Outgoing {
    fn put(&mut self, bytes: Vec<u8>) -> Result<Digest, SinkError> {
        let digest = Digest::of(&bytes);
        self.0
            .blocking_send(ImportPart::Chunk(bytes))
            .map_err(|_| SinkError::new(GONE))?;
        Ok(digest)
    }
}

/// A progress bar over the bytes of the source; hidden where there is no terminal.
struct Bar(ProgressBar);

impl Default for Bar {
    fn default() -> Self {
        let style = "importing {bar:32} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {msg}";
        let style = ProgressStyle::with_template(style).expect("the template is well-formed");
        Bar(ProgressBar::new(0).with_style(style))
    }
}

impl Bar {
    fn show(&self, progress: &Progress) {
        self.0
            .set_length(progress.total.unwrap_or(progress.done).max(progress.done));
        self.0.set_position(progress.done);
        self.0.set_message(format!("{} rows", progress.rows));
    }
}
