//! Checkpoints: by job and step, found by digest too. Old ones go as new ones come.

use serde::{Deserialize, Serialize};
use spec::keeping::{self, Candidate};
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
    /// Makes a job's checkpoint known and lets go of those that are no longer to be kept ([`keeping::surplus`]); makes an imported one known, which stays.
    ///
    /// # Errors
    /// A chunk that the manifest names is missing, or what the store reports.
    pub fn add_checkpoint(
        &self,
        manifest: CheckpointManifest,
        unix_ms: u64,
    ) -> Result<Checkpoint, Error> {
        let Some(job) = manifest.job_id else {
            return self.add_imported(manifest, unix_ms);
        };
        let step = manifest.step;
        let (keeping, monitor) = (manifest.job.checkpoint, manifest.job.training.monitor);
        let newcomer = Candidate::from(&manifest);
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
        let surplus = keeping::surplus(keeping, monitor, &candidates(&held), newcomer);
        let surplus = surplus.into_iter().map(|place| &held[place]);
        for old in replaced.iter().chain(surplus) {
            remove(&mut batch, old);
        }
        put(&mut batch, &checkpoint);
        self.commit(batch)?;
        self.give_back();
        Ok(checkpoint)
    }

    fn add_imported(
        &self,
        manifest: CheckpointManifest,
        unix_ms: u64,
    ) -> Result<Checkpoint, Error> {
        let checkpoint = Checkpoint {
            digest: manifest.digest(),
            manifest,
            saved_unix_ms: unix_ms,
        };
        let _alone = self.alone();
        if let Some(known) = self.record(&record_key(&checkpoint))? {
            return Ok(known);
        }
        let mut batch = Batch::default();
        put(&mut batch, &checkpoint);
        self.commit(batch)?;
        Ok(checkpoint)
    }

    /// Deletes the checkpoint that `reference` means, as [`Ledger::find_checkpoint`] does; what it was. Its chunks go where
    /// nothing else is made of them.
    ///
    /// # Errors
    /// None or several that fit, one whose job has not ended, or what the store reports.
    pub fn delete_checkpoint(&self, reference: &str) -> Result<Checkpoint, Error> {
        let _alone = self.alone();
        let checkpoint = self.find_checkpoint(reference)?;
        if let Some(job) = checkpoint.manifest.job_id
            && !self.state(job)?.state.is_final()
        {
            return Err(Error::CheckpointNeeded {
                step: checkpoint.manifest.step,
                job,
            });
        }
        let mut batch = Batch::default();
        remove(&mut batch, &checkpoint);
        self.commit(batch)?;
        self.give_back();
        Ok(checkpoint)
    }

    /// Space that is not given back now, after what was decided is durable, is given back another time.
    fn give_back(&self) {
        if let Err(error) = self.store.collect() {
            warn!(%error, "cannot give back the space of old checkpoints");
        }
    }

    /// The complete checkpoints of a job, by step, or all: those of jobs by job and step, then the imported ones.
    ///
    /// # Errors
    /// What the store reports, or a record that does not parse.
    pub fn checkpoints(&self, job: Option<JobId>) -> Result<Vec<Checkpoint>, Error> {
        let Some(job) = job else {
            let mut all = self.all(b"checkpoint/")?;
            all.extend(self.all::<Checkpoint>(IMPORTED)?);
            return Ok(all);
        };
        self.all(&key(b"checkpoint/", &[job.0]))
    }

    /// The checkpoint that `reference` means: `J` (its newest), `J@STEP`, `J@best` (of those there are, by the
    /// monitored value, then the earlier step), or at least 8 hex digits of its digest.
    ///
    /// # Errors
    /// None or several that fit, or what the store reports.
    pub fn find_checkpoint(&self, reference: &str) -> Result<Checkpoint, Error> {
        let unknown = || Error::UnknownCheckpoint {
            reference: reference.to_string(),
        };
        if let Some((job, step)) = reference.split_once('@') {
            let job = self.find_job(job)?;
            if step == BEST {
                return self.best(job);
            }
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
                let key = match decode(place, value)? {
                    Some((JobId(job), step)) => key(b"checkpoint/", &[job, step]),
                    None => [IMPORTED, &place[DIGESTS.len()..]].concat(),
                };
                self.record(&key)?.ok_or_else(unknown)
            }
            [] => Err(unknown()),
            _ => Err(Error::AmbiguousCheckpoint {
                reference: reference.to_string(),
            }),
        }
    }

    /// The best checkpoint that a job has.
    fn best(&self, job: JobId) -> Result<Checkpoint, Error> {
        let mut held = self.checkpoints(Some(job))?;
        let first = held.first().ok_or(Error::NoCheckpoint { job })?;
        let monitor = first.manifest.job.training.monitor;
        let place = keeping::best(monitor, &candidates(&held));
        let place = place.ok_or(Error::NeverValidated { job, monitor })?;
        Ok(held.swap_remove(place))
    }
}

/// What stands for a step where a job's best checkpoint is meant.
const BEST: &str = "best";

fn candidates(checkpoints: &[Checkpoint]) -> Vec<Candidate> {
    let manifests = checkpoints.iter().map(|one| &one.manifest);
    manifests.map(Candidate::from).collect()
}

/// Where a checkpoint is found by its digest: job and step of one that a job made, `null` for an imported one.
const DIGESTS: &[u8] = b"checkpoint-digest/";

/// Where imported checkpoints are, by their digests.
const IMPORTED: &[u8] = b"imported/";

fn digest_key(hex: &str) -> Vec<u8> {
    [DIGESTS, hex.as_bytes()].concat()
}

/// Where a checkpoint's record is.
fn record_key(checkpoint: &Checkpoint) -> Vec<u8> {
    let Checkpoint {
        digest, manifest, ..
    } = checkpoint;
    match manifest.job_id {
        Some(job) => key(b"checkpoint/", &[job.0, manifest.step]),
        None => [IMPORTED, digest.to_string().as_bytes()].concat(),
    }
}

fn put(batch: &mut Batch, checkpoint: &Checkpoint) {
    let manifest = &checkpoint.manifest;
    batch.put(record_key(checkpoint), encode(checkpoint));
    batch.put(
        digest_key(&checkpoint.digest.to_string()),
        encode(&manifest.job_id.map(|job| (job, manifest.step))),
    );
    for digest in manifest.chunks() {
        batch.reference(digest.0);
    }
}

fn remove(batch: &mut Batch, checkpoint: &Checkpoint) {
    batch.delete(record_key(checkpoint));
    batch.delete(digest_key(&checkpoint.digest.to_string()));
    for digest in checkpoint.manifest.chunks() {
        batch.release(digest.0);
    }
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
