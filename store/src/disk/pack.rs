//! Pack files: chunk after chunk, appended, never changed.
//!
//! A pack is nothing but the bytes of its chunks; what they are and where they begin is in the
//! index. So bytes that the index does not know do no harm.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::layout::Place;
use super::lock::make_directory;
use crate::error::Error;

/// The directory of the packs.
#[derive(Debug)]
pub(super) struct Packs {
    dir: PathBuf,
}

impl Packs {
    /// The packs in `dir`, which is made if it is not there.
    pub(super) fn open(dir: PathBuf) -> Result<Packs, Error> {
        make_directory(&dir)?;
        Ok(Packs { dir })
    }

    /// The file of pack `id`.
    pub(super) fn path(&self, id: u64) -> PathBuf {
        self.dir.join(format!("{id:08}.pack"))
    }

    /// The packs that are there, with their lengths in bytes.
    pub(super) fn lengths(&self) -> Result<BTreeMap<u64, u64>, Error> {
        let failed = |source| Error::io("list", &self.dir, source);
        let mut lengths = BTreeMap::new();
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".pack"));
            if let Some(id) = id.and_then(|id| id.parse().ok()) {
                lengths.insert(id, entry.metadata().map_err(failed)?.len());
            }
        }
        Ok(lengths)
    }

    /// A new, empty pack, whose name is durable.
    pub(super) fn create(&self, id: u64) -> Result<File, Error> {
        let path = self.path(id);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|source| Error::io("create", &path, source))?;
        File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(|source| Error::io("sync", &self.dir, source))?;
        Ok(file)
    }

    /// An existing pack, for appending, cut to its first `length` bytes.
    pub(super) fn reopen(&self, id: u64, length: u64) -> Result<File, Error> {
        let path = self.path(id);
        let file = OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(|source| Error::io("open", &path, source))?;
        file.set_len(length)
            .map_err(|source| Error::io("cut", &path, source))?;
        Ok(file)
    }

    /// Writes `bytes` to `place` of a pack that was created or reopened as `file`.
    pub(super) fn write(&self, file: &File, place: Place, bytes: &[u8]) -> Result<(), Error> {
        file.write_all_at(bytes, place.offset)
            .map_err(|source| Error::io("write", &self.path(place.pack), source))
    }

    /// Waits until what was written to pack `id` is durable.
    pub(super) fn sync(&self, id: u64, file: &File) -> Result<(), Error> {
        file.sync_data()
            .map_err(|source| Error::io("sync", &self.path(id), source))
    }

    /// The bytes at `place`, `None` if the pack is missing or too short.
    pub(super) fn read(&self, place: Place) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path(place.pack);
        match read_at(&path, place) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) =>
            {
                Ok(None)
            }
            Err(source) => Err(Error::io("read", &path, source)),
        }
    }

    /// Removes pack `id`, if it is there.
    pub(super) fn remove(&self, id: u64) -> Result<(), Error> {
        let path = self.path(id);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(Error::io("remove", &path, source))
            }
            _ => Ok(()),
        }
    }
}

fn read_at(path: &Path, place: Place) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    // Checked first, so that a damaged length cannot ask for all the memory there is.
    let end = place.offset.checked_add(place.length);
    if end.is_none_or(|end| end > file.metadata().map_or(0, |found| found.len())) {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let length = usize::try_from(place.length).map_err(|_| ErrorKind::UnexpectedEof)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, place.offset)?;
    Ok(bytes)
}
