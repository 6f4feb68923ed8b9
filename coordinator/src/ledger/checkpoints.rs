//! Checkpoints: by job and step, found by digest too. Old ones go as new ones come.

use serde::{Deserialize, Serialize};
use spec::{CheckpointManifest, Digest, JobId};
use store::Batch;
use tracing::warn;

use super::records::{Ledger, decode, encode, key};
use crate::error::Error;

/// A complete checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The digest of its manifest.
    pub digest: Digest,
    /// What it holds.
    pub manifest: CheckpointManifest,
    /// When it was saved, in milliseconds since 1970.
    pub saved_unix_ms: u64,
}

/// The fewest hex digits that may stand for a checkpoint.
const SHORTEST_PREFIX: usize = 8;

impl Ledger {
    /// Makes a checkpoint known and lets go of the job's oldest beyond `keep_last`.
    ///
    /// # Errors
    /// A chunk that the manifest names is missing, or what the store reports.
    pub fn add_checkpoint(
        &self,
        manifest: CheckpointManifest,
        unix_ms: u64,
    ) -> Result<Checkpoint, Error> {
        let (job, step) = (manifest.job_id, manifest.step);
        let keep_last = manifest.job.checkpoint.keep_last as usize;
        let checkpoint = Checkpoint {
            digest: manifest.digest(),
            manifest,
            saved_unix_ms: unix_ms,
        };
        let _alone = self.alone();
        let mut held = self.checkpoints(Some(job))?;
        if held.iter().any(|known| known.digest == checkpoint.digest) {
            return Ok(checkpoint);
        }
        let mut batch = Batch::default();
        // The same step saved again by a later attempt replaces the earlier one.
        let replaced: Vec<Checkpoint> = held
            .extract_if(.., |known| known.manifest.step == step)
            .collect();
        let surplus = (held.len() + 1).saturating_sub(keep_last);
        for old in replaced.iter().chain(&held[..surplus.min(held.len())]) {
            batch.delete(key(b"checkpoint/", &[job.0, old.manifest.step]));
            batch.delete(digest_key(&old.digest.to_string()));
            for digest in old.manifest.chunks() {
                batch.release(digest.0);
            }
        }
        batch.put(key(b"checkpoint/", &[job.0, step]), encode(&checkpoint));
        batch.put(
            digest_key(&checkpoint.digest.to_string()),
            encode(&(job, step)),
        );
        for digest in checkpoint.manifest.chunks() {
            batch.reference(digest.0);
        }
        self.commit(batch)?;
        // The checkpoint is durable: space that is not given back now is given back another time.
        if let Err(error) = self.store.collect() {
            warn!(%error, "cannot give back the space of old checkpoints");
        }
        Ok(checkpoint)
    }

    /// The complete checkpoints of a job, or of all jobs, by job and step.
    ///
    /// # Errors
    /// What the store reports, or a record that does not parse.
    pub fn checkpoints(&self, job: Option<JobId>) -> Result<Vec<Checkpoint>, Error> {
        match job {
            Some(job) => self.all(&key(b"checkpoint/", &[job.0])),
            None => self.all(b"checkpoint/"),
        }
    }

    /// The checkpoint that `reference` means: `J` (its newest), `J@STEP`, or at least 8 hex digits of its digest.
    ///
    /// # Errors
    /// None or several that fit, or what the store reports.
    pub fn find_checkpoint(&self, reference: &str) -> Result<Checkpoint, Error> {
        let unknown = || Error::UnknownCheckpoint {
            reference: reference.to_string(),
        };
        if let Some((job, step)) = reference.split_once('@') {
            let job = self.find_job(job)?;
            let step: u64 = step.parse().map_err(|_| unknown())?;
            return self
                .record(&key(b"checkpoint/", &[job.0, step]))?
                .ok_or_else(unknown);
        }
        if let Ok(job) = self.find_job(reference) {
            let newest = self.store.last(&key(b"checkpoint/", &[job.0]))?;
            let (key, value) = newest.ok_or_else(|| Error::NoCheckpoint { job })?;
            return decode(&key, &value);
        }
        if reference.len() < SHORTEST_PREFIX
            || !reference.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            return Err(unknown());
        }
        let found = self
            .store
            .scan(&digest_key(&reference.to_ascii_lowercase()), None, 2)?;
        match found.as_slice() {
            [(place, value)] => {
                let (job, step): (JobId, u64) = decode(place, value)?;
                self.record(&key(b"checkpoint/", &[job.0, step]))?
                    .ok_or_else(unknown)
            }
            [] => Err(unknown()),
            _ => Err(Error::AmbiguousCheckpoint {
                reference: reference.to_string(),
            }),
        }
    }
}

fn digest_key(hex: &str) -> Vec<u8> {
    [b"checkpoint-digest/", hex.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn digits_that_several_checkpoints_begin_with_name_none() {
        let ledger = Ledger::new(Arc::new(store::Memory::default()));
        let mut batch = Batch::default();
        for (step, end) in [(1u64, "0"), (2, "1")] {
            let digest = format!("abcdef01{end}");
            batch.put(digest_key(&digest), encode(&(JobId(1), step)));
        }
        ledger.commit(batch).unwrap();
        let refused = ledger.find_checkpoint("ABCDEF01").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "\"ABCDEF01\" fits several checkpoints: give more digits"
        );
    }
}
