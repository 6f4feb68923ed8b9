//! Documents that travel as text: jobs as TOML, manifests as JSON.

use spec::{CheckpointManifest, DatasetManifest, Job};

use crate::error::Error;

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
    if manifest.sections.is_empty() {
        return Err(Error::Contradiction {
            document: DOCUMENT,
            fact: "it has no sections",
        });
    }
    Ok(manifest)
}
