//! What can go wrong in the store, each with its place and remedy.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::digest::{ChunkDigest, Hex};

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process (or another handle in this one) has the directory open.
    #[error(
        "{} is in use{}; stop that coordinator, or choose another --data-dir",
        dir.display(), holder.map(|pid| format!(" by process {pid}")).unwrap_or_default()
    )]
    Locked {
        /// The store's directory.
        dir: PathBuf,
        /// The process that holds it, as far as it left its number.
        holder: Option<u32>,
    },
    /// The directory was written by a later version of this program.
    #[error(
        "{} was written by a newer version (schema {found}, this one knows up to {known}); use that version, or choose another --data-dir",
        dir.display()
    )]
    NewerSchema {
        /// The store's directory.
        dir: PathBuf,
        /// The schema version found there.
        found: u32,
        /// The newest schema version that this program knows.
        known: u32,
    },
    /// A path that must be a directory is something else.
    #[error("{} is not a directory; choose another --data-dir", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// This user may not write there.
    #[error("no permission to write {}; give this user access to it, or choose another --data-dir", path.display())]
    NotWritable {
        /// The path that was refused.
        path: PathBuf,
    },
    /// The file system has no room for the write; nothing was changed.
    #[error("the disk that holds {} is full; free some space there and try again", path.display())]
    DiskFull {
        /// The directory or file that was to be written.
        path: PathBuf,
    },
    /// An earlier write failed, so this handle writes nothing more.
    #[error("an earlier write to {} failed, so nothing more is written there; free space or mend the disk, then start again", dir.display())]
    Stopped {
        /// The store's directory.
        dir: PathBuf,
    },
    /// No chunk of this digest is kept.
    #[error(
        "chunk {} is not in the store; put it before referring to it",
        Hex(digest)
    )]
    UnknownChunk {
        /// The digest asked for.
        digest: ChunkDigest,
    },
    /// A batch releases a chunk more often than it was referred to.
    #[error("chunk {} is released more often than it was referred to", Hex(digest))]
    NotReferenced {
        /// The chunk.
        digest: ChunkDigest,
    },
    /// The bytes kept for a chunk are missing, cut short or do not have its digest.
    #[error(
        "chunk {} is damaged (in {} at byte {offset}); import its dataset again, or use another checkpoint",
        Hex(digest), pack.display()
    )]
    CorruptChunk {
        /// The chunk.
        digest: ChunkDigest,
        /// The file that should hold it.
        pack: PathBuf,
        /// Where in the file it should begin, in bytes.
        offset: u64,
    },
    /// A key is longer than the store takes.
    #[error("a record key of {length} bytes is too long; at most {limit} are allowed")]
    KeyTooLong {
        /// Its length in bytes.
        length: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// The records cannot be read back as they were written.
    #[error("the records in {} are damaged; restore the directory from a copy, or choose another --data-dir", dir.display())]
    Damaged {
        /// The store's directory.
        dir: PathBuf,
    },
    /// The record database failed in some other way.
    #[error("the record database in {} failed; restart, and restore the directory from a copy if it persists", dir.display())]
    Records {
        /// The store's directory.
        dir: PathBuf,
        /// What the database says.
        source: sled::Error,
    },
    /// A file could not be worked with, for a reason that has no arm of its own.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Error {
    /// Names a failed operation on `path`.
    pub(crate) fn io(operation: &'static str, path: &Path, source: io::Error) -> Error {
        let path = path.to_path_buf();
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::DiskFull { path },
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                Error::NotWritable { path }
            }
            ErrorKind::NotADirectory => Error::NotADirectory { path },
            _ => Error::Io {
                operation,
                path,
                source,
            },
        }
    }

    /// Names a failure of the record database of `dir`.
    pub(crate) fn records(dir: &Path, source: sled::Error) -> Error {
        match source {
            sled::Error::Io(source) => Error::io("use the records in", dir, source),
            sled::Error::Corruption { .. } => Error::Damaged {
                dir: dir.to_path_buf(),
            },
            source => Error::Records {
                dir: dir.to_path_buf(),
                source,
            },
        }
    }
}
