//! Datasets: versions by name, the newest is the default.

use serde::{Deserialize, Serialize};
use spec::job_file::is_name;
use spec::{DatasetManifest, Digest};
use store::Batch;

use super::records::{Ledger, decode, encode, key, number_at_end};
use crate::error::Error;

/// A version of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dataset {
    /// Its name.
    pub name: String,
    /// The digest of its content.
    pub digest: Digest,
    /// What it holds.
    pub manifest: DatasetManifest,
    /// When it was imported, in milliseconds since 1970.
    pub imported_unix_ms: u64,
}

impl Ledger {
    /// Makes a dataset known; content that is known under this name is not stored twice.
    ///
    /// # Errors
    /// A chunk that the manifest names is missing, or what the store reports.
    pub fn add_dataset(
        &self,
        name: &str,
        manifest: DatasetManifest,
        unix_ms: u64,
    ) -> Result<Dataset, Error> {
        let _alone = self.alone();
        let digest = manifest.digest();
        if let Ok(known) = self.dataset(name, Some(&digest)) {
            return Ok(known);
        }
        for digest in manifest.chunks() {
            if !self.store.contains(&digest.0)? {
                return Err(Error::MissingChunk {
                    dataset: name.to_string(),
                    digest,
                });
            }
        }
        let dataset = Dataset {
            name: name.to_string(),
            digest,
            manifest,
            imported_unix_ms: unix_ms,
        };
        let newest = self.store.last(&prefix(name))?;
        let number = newest.map_or(0, |(key, _)| number_at_end(&key)) + 1;
        let mut batch = Batch::default();
        batch.put(key(&prefix(name), &[number]), encode(&dataset));
        for digest in dataset.manifest.chunks() {
            batch.reference(digest.0);
        }
        self.commit(batch)?;
        Ok(dataset)
    }

    /// A version of a dataset: the newest, or the one of this digest.
    ///
    /// # Errors
    /// No such dataset or version, or what the store reports.
    pub fn dataset(&self, name: &str, digest: Option<&Digest>) -> Result<Dataset, Error> {
        let unknown = || Error::UnknownDataset {
            name: name.to_string(),
            digest: digest.copied(),
            known: self.datasets().map(|all| names(&all)).unwrap_or_default(),
        };
        if !is_name(name) {
            return Err(unknown());
        }
        let Some(digest) = digest else {
            let (key, value) = self.store.last(&prefix(name))?.ok_or_else(unknown)?;
            return decode(&key, &value);
        };
        let versions = self.all::<Dataset>(&prefix(name))?;
        versions
            .into_iter()
            .find(|version| version.digest == *digest)
            .ok_or_else(unknown)
    }

    /// All versions of all datasets, by name, oldest version first.
    ///
    /// # Errors
    /// What the store reports, or a record that does not parse.
    pub fn datasets(&self) -> Result<Vec<Dataset>, Error> {
        self.all(b"dataset/")
    }
}

fn prefix(name: &str) -> Vec<u8> {
    [b"dataset/", name.as_bytes(), b"\0"].concat()
}

fn names(datasets: &[Dataset]) -> Vec<String> {
    let mut names: Vec<String> = datasets
        .iter()
        .map(|dataset| dataset.name.clone())
        .collect();
    names.dedup();
    names
}
