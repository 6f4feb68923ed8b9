//! How records are kept: one tree, key prefixes by kind, numbers big-endian so that key order is number order. Values are
//! one version byte and JSON.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{Batch, Store};

use crate::error::Error;

const RECORD_VERSION: u8 = 1;

/// The typed view of a store.
#[derive(Clone)]
pub struct Ledger {
    pub(super) store: Arc<dyn Store>,
    writing: Arc<Mutex<()>>,
}

impl Ledger {
    /// The ledger in this store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Ledger {
            store,
            writing: Arc::default(),
        }
    }

    /// The store that the ledger is kept in.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Makes a batch durable.
    ///
    /// # Errors
    /// What the store reports.
    pub fn commit(&self, batch: Batch) -> Result<(), Error> {
        Ok(self.store.commit(batch)?)
    }

    /// Held by who reads records in order to write what follows from them, so that no other comes between.
    pub(super) fn alone(&self) -> MutexGuard<'_, ()> {
        // The lock guards no data that a panic could have left halfway.
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn record<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, Error> {
        self.store
            .get(key)?
            .map(|value| decode(key, &value))
            .transpose()
    }

    pub(super) fn all<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Vec<T>, Error> {
        let found = self.store.scan(prefix, None, usize::MAX)?;
        found
            .iter()
            .map(|(key, value)| decode(key, value))
            .collect()
    }
}

pub(super) fn key(prefix: &[u8], numbers: &[u64]) -> Vec<u8> {
    let mut key = prefix.to_vec();
    for number in numbers {
        key.extend_from_slice(&number.to_be_bytes());
    }
    key
}

pub(super) fn number_at_end(key: &[u8]) -> u64 {
    key.last_chunk::<8>()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

pub(super) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    let mut value = vec![RECORD_VERSION];
    serde_json::to_writer(&mut value, record)
        .expect("records have no maps with keys that are not text");
    value
}

pub(super) fn decode<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, Error> {
    let key = || String::from_utf8_lossy(key).into_owned();
    match value.split_first() {
        Some((&RECORD_VERSION, json)) => {
            serde_json::from_slice(json).map_err(|source| Error::BadRecord { key: key(), source })
        }
        version => Err(Error::RecordVersion {
            key: key(),
            version: version.map(|(&version, _)| version),
        }),
    }
}
