//! The high-water mark: how many batches were durable, noted outside of sled.
//!
//! sled takes a damaged part of its log for the end of it, and opens with what came before, silently
//! without the rest. With the mark, such a store is refused instead of going back in time (and losing
//! the packs that only the lost index entries knew). It is written after the log is synced and never
//! synced itself: a mark that is too old, or unreadable after a power cut, refuses nothing.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::layout::number;
use crate::digest::digest_of;
use crate::error::Error;

const NUMBER_BYTES: usize = 8;
const CHECK_BYTES: usize = 8;

/// The open file.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
}

impl Mark {
    /// The mark in the store's directory, and the number that it notes; 0 if it is new or unreadable.
    pub(super) fn open(dir: &Path) -> Result<(Mark, u64), Error> {
        let path = dir.join("mark");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|source| Error::io("open", &path, source))?;
        let mut noted = [0; NUMBER_BYTES + CHECK_BYTES];
        let number = match file.read_exact(&mut noted) {
            Ok(()) => checked(&noted).unwrap_or(0),
            Err(_) => 0,
        };
        Ok((Mark { file }, number))
    }

    /// Notes that `batches` are durable. A failure only leaves the mark older than it could be.
    pub(super) fn note(&self, batches: u64) {
        let number = batches.to_le_bytes();
        let check = digest_of(&number);
        let noted = [&number[..], &check[..CHECK_BYTES]].concat();
        if let Err(error) = self.file.write_all_at(&noted, 0) {
            tracing::debug!(%error, "high-water mark not noted");
        }
    }
}

fn checked(noted: &[u8]) -> Option<u64> {
    let (bytes, check) = noted.split_at_checked(NUMBER_BYTES)?;
    digest_of(bytes)
        .starts_with(check)
        .then(|| number(bytes))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back_and_a_torn_one_counts_as_none() {
        let dir = tempfile::TempDir::new().unwrap();
        let (mark, number) = Mark::open(dir.path()).unwrap();
        assert_eq!(number, 0);
        mark.note(77);
        mark.note(1234);
        assert_eq!(Mark::open(dir.path()).unwrap().1, 1234);
        mark.file.write_all_at(&[9], 3).unwrap();
        assert_eq!(Mark::open(dir.path()).unwrap().1, 0);
        mark.file.set_len(5).unwrap();
        assert_eq!(Mark::open(dir.path()).unwrap().1, 0);
    }
}
