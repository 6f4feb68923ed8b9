//! Documents that travel as text: jobs as TOML, manifests as JSON.

use std::collections::BTreeSet;

use spec::dataset::{Element, Split, TokenForm};
use spec::job_file::is_name;
use spec::{CheckpointManifest, DatasetManifest, Job};

use crate::error::Error;

/// The most words of a section: as many as a shape may have.
const MOST_WORDS: u64 = 1 << 40;

/// A job from its TOML.
///
/// # Errors
/// All mistakes of the job file.
pub fn decode_job(toml: &str) -> Result<Job, Error> {
    Ok(spec::job_file::parse(toml)?)
}

/// A dataset's manifest from its JSON, its lists checked against each other.
///
/// # Errors
/// Not JSON, not a manifest, or one whose numbers contradict each other.
pub fn decode_dataset(json: &str) -> Result<DatasetManifest, Error> {
    const DOCUMENT: &str = "dataset";
    let manifest: DatasetManifest =
        serde_json::from_str(json).map_err(|source| Error::Manifest {
            document: DOCUMENT,
            source,
        })?;
    let contradiction = |fact| {
        Err(Error::Contradiction {
            document: DOCUMENT,
            fact,
        })
    };
    if manifest.splits.is_empty() {
        return contradiction("it has no splits");
    }
    let names: BTreeSet<&str> = manifest
        .splits
        .iter()
        .map(|split| split.name.as_str())
        .collect();
    if names.len() < manifest.splits.len() || !names.iter().all(|name| is_name(name)) {
        return contradiction(
            "two splits have one name, or one has none that a job file could use",
        );
    }
    if let Some(fact) = manifest
        .splits
        .iter()
        .find_map(|split| contradicts(&manifest, split))
    {
        return contradiction(fact);
    }
    let is_tokens = matches!(manifest.element, Element::U16 | Element::U32);
    if manifest.tokens.is_some() != is_tokens
        || manifest.tokens.is_some_and(|tokens| tokens.vocabulary == 0)
    {
        return contradiction("it has tokens and no vocabulary, or a vocabulary and no tokens");
    }
    if !(manifest.maximum > 0.0 && manifest.maximum.is_finite()) {
        return contradiction("the maximum is not a positive number");
    }
    Ok(manifest)
}

/// What a split says that cannot all be true.
fn contradicts(manifest: &DatasetManifest, split: &Split) -> Option<&'static str> {
    if split.rows == 0 || split.chunks.iter().any(|chunk| chunk.rows == 0) {
        return Some("a split or a chunk has no rows");
    }
    let lengths = split.tokens.and_then(|tokens| tokens.lengths);
    let form = split.tokens.map(|_| match lengths {
        None => TokenForm::Stream,
        Some(_) => TokenForm::Sequences,
    });
    if form != manifest.tokens.map(|tokens| tokens.form) {
        return Some("a split is not of its dataset's form");
    }
    let counted: u64 = split.chunks.iter().map(|chunk| u64::from(chunk.rows)).sum();
    if counted != split.tokens.map_or(split.rows, |tokens| tokens.count) {
        return Some("the rows of a split's chunks do not add up to the split's");
    }
    if form == Some(TokenForm::Stream) {
        let is_bare = split.labels.is_none() && split.class_counts.is_empty();
        if counted != split.rows || !is_bare || !manifest.classes.is_empty() {
            return Some("a stream has classes, or other rows than tokens");
        }
    } else {
        let sum = split
            .class_counts
            .iter()
            .try_fold(0u64, |sum, &count| sum.checked_add(count));
        if split.labels.is_none()
            || split.class_counts.len() != manifest.classes.len()
            || sum != Some(split.rows)
        {
            return Some("the class counts of a split do not add up to its rows");
        }
    }
    if let Some(lengths) = lengths {
        let ordered = [
            0,
            lengths.shortest,
            lengths.median,
            lengths.p95,
            lengths.longest,
        ];
        let most = u128::from(split.rows) * u128::from(lengths.longest);
        if lengths.shortest == 0 || !ordered.is_sorted() || u128::from(counted) > most {
            return Some("the lengths of a split's rows cannot be");
        }
    }
    let channels = if form.is_some() {
        0
    } else {
        manifest.shape.channels()
    };
    if split.mean.len() != channels || split.std.len() != channels {
        return Some("a split's means or standard deviations are not one a channel");
    }
    None
}

/// A checkpoint's manifest from its JSON, its job checked as a job file is.
///
/// # Errors
/// Not JSON, not a manifest, or one with an impossible job.
pub fn decode_checkpoint(json: &str) -> Result<CheckpointManifest, Error> {
    const DOCUMENT: &str = "checkpoint";
    let manifest: CheckpointManifest =
        serde_json::from_str(json).map_err(|source| Error::Manifest {
            document: DOCUMENT,
            source,
        })?;
    decode_job(&spec::job_file::render(&manifest.job))?;
    let channels = manifest.data.shape.channels();
    if manifest.preprocessing.shift.len() != channels
        || manifest.preprocessing.scale.len() != channels
    {
        return Err(Error::Contradiction {
            document: DOCUMENT,
            fact: "the preprocessing constants are not one a channel",
        });
    }
    let contradiction = |fact| {
        Err(Error::Contradiction {
            document: DOCUMENT,
            fact,
        })
    };
    if manifest.sections.is_empty() {
        return contradiction("it has no sections");
    }
    let sections = manifest.sections.iter();
    let names: BTreeSet<&str> = sections.map(|section| section.name.as_str()).collect();
    if names.len() < manifest.sections.len() {
        return contradiction("two sections have one name");
    }
    if manifest
        .sections
        .iter()
        .any(|section| section.words > MOST_WORDS || section.chunks.len() as u64 > section.words)
    {
        return contradiction("a section has more words or chunks than it can have");
    }
    Ok(manifest)
}
