//! A few samples of a dataset of text, as text.

use std::sync::Arc;

use data::{ChunkSource, Encoder, Rows, Selection};
use spec::DatasetManifest;
use spec::dataset::TokenForm;
use spec::tokenizer::Tokenizer;
use worker::client::Remote;
use worker::depot::DepotChunks;

use crate::stop::Stop;
use crate::views::{Dataset, Sample, Text};

/// Samples of a split that are shown.
const SHOWN: u64 = 3;
/// The most tokens of a sample that are shown.
const LONGEST: u32 = 60;

/// A dataset; of text with how it was split, and the first samples of each split.
///
/// # Errors
/// Chunks that cannot be read.
pub async fn with_samples(dataset: Dataset, url: &str) -> Result<Dataset, Stop> {
    if dataset.manifest.tokens.is_none() {
        return Ok(dataset);
    }
    let url = url.to_string();
    let reading = tokio::task::spawn_blocking(move || {
        let depot = Remote::new(&url).map_err(|failure| Stop::failed(failure.message))?;
        let chunks: Arc<dyn ChunkSource> = Arc::new(DepotChunks(Arc::new(depot)));
        let text = read(&dataset.name, &dataset.manifest, &chunks)?;
        Ok(Dataset { text, ..dataset })
    });
    reading.await.map_err(Stop::failed)?
}

fn read(
    name: &str,
    manifest: &DatasetManifest,
    chunks: &Arc<dyn ChunkSource>,
) -> Result<Option<Text>, Stop> {
    let Some(tokens) = manifest.tokens else {
        return Ok(None);
    };
    let bytes = chunks.chunk(&tokens.tokenizer).map_err(Stop::failed)?;
    let tokenizer = Tokenizer::decode(&bytes).map_err(|fault| {
        Stop::failed(format!(
            "the tokenizer of {name} {fault}; import the dataset again"
        ))
    })?;
    let (unit, lowercase) = (tokenizer.unit, tokenizer.lowercase);
    let encoder = Encoder::new(tokenizer);
    let length = (tokens.form == TokenForm::Stream).then_some(LONGEST);
    let mut samples = Vec::new();
    for split in &manifest.splits {
        let rows = Rows::open(
            name,
            manifest,
            &split.name,
            Selection::All,
            length,
            chunks.clone(),
        )
        .map_err(Stop::failed)?;
        let shown = if tokens.form == TokenForm::Stream {
            1
        } else {
            SHOWN
        };
        for row in 0..rows.len().min(shown) as u32 {
            let sample = rows.sample(row).map_err(Stop::failed)?;
            let whole = sample.len();
            let sample = &sample[..whole.min(LONGEST as usize)];
            let more = if sample.len() < whole { " …" } else { "" };
            samples.push(Sample {
                split: split.name.clone(),
                class: rows
                    .class(row)
                    .and_then(|class| manifest.classes.get(class as usize).cloned()),
                text: encoder.decode(sample) + more,
            });
        }
    }
    Ok(Some(Text {
        unit,
        lowercase,
        samples,
    }))
}
