//! Documents that travel as text: jobs as TOML, manifests as JSON.

use std::collections::BTreeSet;

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
    for split in &manifest.splits {
        if split.rows == 0 || split.chunks.iter().any(|chunk| chunk.rows == 0) {
            return contradiction("a split or a chunk has no rows");
        }
        if split
            .chunks
            .iter()
            .map(|chunk| u64::from(chunk.rows))
            .sum::<u64>()
            != split.rows
        {
            return contradiction("the rows of a split's chunks do not add up to the split's");
        }
        if split.class_counts.len() != manifest.classes.len()
            || split
                .class_counts
                .iter()
                .try_fold(0u64, |sum, &count| sum.checked_add(count))
                != Some(split.rows)
        {
            return contradiction("the class counts of a split do not add up to its rows");
        }
        let channels = manifest.shape.channels();
        if split.mean.len() != channels || split.std.len() != channels {
            return contradiction("a split's means or standard deviations are not one a channel");
        }
    }
    if !(manifest.maximum > 0.0 && manifest.maximum.is_finite()) {
        return contradiction("the maximum is not a positive number");
    }
    Ok(manifest)
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
