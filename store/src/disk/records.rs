//! The one tree of sled: reads, atomic batches, and the wait for the disk.

use std::fmt;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use super::layout::{BATCHES_KEY, number};
use super::lock::Lock;
use super::mark::Mark;
use crate::error::Error;
use crate::range::{KeyRange, is_void};

/// What sled may keep of its pages in memory, in bytes.
const CACHE_BYTES: u64 = 16 << 20;
/// Ordinary writes leave this much of the file system free, in bytes.
const RESERVE_BYTES: u64 = 16 << 20;
/// Writes that make space leave this much free, in bytes.
const LAST_RESERVE_BYTES: u64 = 4 << 20;
/// How long an earlier handle of this process may take to let go of its files.
const CLOSING: Duration = Duration::from_secs(10);

/// What a write is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It adds something.
    Keep,
    /// It leads to more free space, so it may use the last of it.
    Free,
}

/// sled's tree, and what is needed to write to it safely.
pub(super) struct Records {
    /// `None` only while dropping.
    held: Option<Held>,
    dir: PathBuf,
    pub(super) reserve_bytes: u64,
    /// Taken for writing while a batch is applied, so that a scan sees it whole.
    view: RwLock<()>,
    /// Set by the first write that failed; from then on sled is not written to any more.
    stopped: AtomicBool,
    /// Batches applied, since the store was made.
    applied: AtomicU64,
    /// How many of them are durable.
    durable: Mutex<u64>,
    mark: Mark,
}

struct Held {
    db: sled::Db,
    /// The log of `db`: sled's flush writes it, but on Linux does not sync it.
    log: File,
    /// Let go of after `db`, so the last of the three.
    _lock: Lock,
}

/// A wait for the disk that is still to be done: see [`Records::settle`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a batch is not durable before it is settled"]
pub(super) struct Ticket(u64);

impl Records {
    /// Opens or creates the records of the claimed directory `dir`.
    pub(super) fn open(dir: &Path, lock: Lock) -> Result<Records, Error> {
        has_room(dir, LAST_RESERVE_BYTES)?;
        let path = dir.join("records");
        let db = open_database(dir, &path)?;
        let log_path = path.join("db");
        let log = File::open(&log_path).map_err(|source| Error::io("open", &log_path, source))?;
        let (mark, marked) = Mark::open(dir)?;
        let entry = db.get(BATCHES_KEY);
        let entry = entry.map_err(|source| Error::records(dir, source))?;
        let batches = entry.and_then(|entry| number(&entry)).unwrap_or(0);
        if batches < marked {
            return Err(Error::Damaged {
                dir: dir.to_path_buf(),
            });
        }
        Ok(Records {
            held: Some(Held {
                db,
                log,
                _lock: lock,
            }),
            dir: dir.to_path_buf(),
            reserve_bytes: RESERVE_BYTES,
            view: RwLock::new(()),
            stopped: AtomicBool::new(false),
            applied: AtomicU64::new(batches),
            durable: Mutex::new(batches),
            mark,
        })
    }

    /// The store's directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// No batch is applied while this is held.
    pub(super) fn view(&self) -> RwLockReadGuard<'_, ()> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entry under `key`.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, Error> {
        let entry = self.held().db.get(key);
        entry.map_err(|source| Error::records(&self.dir, source))
    }

    /// The entries in `range`, in key order, at most `limit`.
    pub(super) fn entries(
        &self,
        range: KeyRange,
        limit: usize,
    ) -> Result<Vec<(sled::IVec, sled::IVec)>, Error> {
        if is_void(&range) {
            return Ok(Vec::new());
        }
        let entries = self.held().db.range(range).take(limit);
        entries
            .map(|entry| entry.map_err(|source| Error::records(&self.dir, source)))
            .collect()
    }

    /// The last entry in `range`.
    pub(super) fn last(&self, range: KeyRange) -> Result<Option<(sled::IVec, sled::IVec)>, Error> {
        let entry = self.held().db.range(range).next_back();
        entry
            .transpose()
            .map_err(|source| Error::records(&self.dir, source))
    }

    /// Refuses to go on after a failed write, or when writing `bytes` would leave too little space.
    pub(super) fn ready(&self, bytes: u64, purpose: Purpose) -> Result<(), Error> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(Error::Stopped {
                dir: self.dir.clone(),
            });
        }
        let reserve = match purpose {
            Purpose::Keep => self.reserve_bytes,
            Purpose::Free => self.reserve_bytes.min(LAST_RESERVE_BYTES),
        };
        has_room(&self.dir, reserve.saturating_add(bytes))
    }

    /// Applies `batch` whole; durable once its ticket is settled.
    pub(super) fn apply(&self, mut batch: sled::Batch) -> Result<Ticket, Error> {
        let _alone = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let ticket = self.applied.load(Ordering::Acquire) + 1;
        batch.insert(BATCHES_KEY, &ticket.to_le_bytes());
        let applied = self.held().db.apply_batch(batch);
        applied.map_err(|source| self.stop(Error::records(&self.dir, source)))?;
        self.applied.store(ticket, Ordering::Release);
        Ok(Ticket(ticket))
    }

    /// Waits until the batch of `ticket` is durable, and with it every batch applied before. One
    /// thread waits for the disk on behalf of all that come meanwhile.
    pub(super) fn settle(&self, Ticket(ticket): Ticket) -> Result<(), Error> {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if *durable >= ticket {
            return Ok(());
        }
        if self.stopped.load(Ordering::Acquire) {
            return Err(Error::Stopped {
                dir: self.dir.clone(),
            });
        }
        let applied = self.applied.load(Ordering::Acquire);
        let held = self.held();
        let flushed = held.db.flush();
        flushed.map_err(|source| self.stop(Error::records(&self.dir, source)))?;
        let synced = held.log.sync_data();
        synced.map_err(|source| self.stop(Error::io("sync the records in", &self.dir, source)))?;
        *durable = applied;
        self.mark.note(applied);
        Ok(())
    }

    /// Notes that a write failed with `error`, and hands it back.
    pub(super) fn stop(&self, error: Error) -> Error {
        if !self.stopped.swap(true, Ordering::AcqRel) {
            tracing::error!(dir = %self.dir.display(), %error, "the store stops writing");
        }
        error
    }

    fn held(&self) -> &Held {
        self.held.as_ref().expect("held until the drop")
    }
}

impl fmt::Debug for Records {
    // sled would print every entry.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        // Dropping sled writes, and waits for ever if it cannot. All that was promised is durable
        // already, so leaving it and its lock to the end of the process loses nothing.
        let stopped = self.stopped.load(Ordering::Acquire);
        if stopped || has_room(&self.dir, LAST_RESERVE_BYTES).is_err() {
            std::mem::forget(self.held.take());
        }
    }
}

fn open_database(dir: &Path, path: &Path) -> Result<sled::Db, Error> {
    let config = sled::Config::new()
        .path(path)
        .cache_capacity(CACHE_BYTES)
        .mode(sled::Mode::LowSpace)
        .flush_every_ms(None);
    let started = Instant::now();
    loop {
        // sled panics on some kinds of damage.
        let opened = catch_unwind(AssertUnwindSafe(|| config.open()));
        match opened {
            Ok(Ok(db)) => return Ok(db),
            // The directory is ours, so a lock on the file inside is the last breath of an earlier
            // handle in this process: sled lets go a little after its drop.
            Ok(Err(error)) if is_lock(&error) && started.elapsed() < CLOSING => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(Err(error)) if is_lock(&error) => {
                return Err(Error::Locked {
                    dir: dir.to_path_buf(),
                    holder: None,
                });
            }
            Ok(Err(error)) => return Err(Error::records(dir, error)),
            Err(_) => {
                return Err(Error::Damaged {
                    dir: dir.to_path_buf(),
                });
            }
        }
    }
}

fn is_lock(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().starts_with("could not acquire lock"))
}

fn has_room(dir: &Path, bytes: u64) -> Result<(), Error> {
    let found =
        rustix::fs::statvfs(dir).map_err(|errno| Error::io("look at", dir, errno.into()))?;
    // File systems without a size of their own report none.
    if found.f_blocks > 0 && found.f_bavail.saturating_mul(found.f_frsize) < bytes {
        return Err(Error::DiskFull {
            path: dir.to_path_buf(),
        });
    }
    Ok(())
}
