//! A file that people are given: whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::stop::Stop;

/// Writes a file under another name beside it, makes it durable, and gives it its name, which another file may have had.
///
/// # Errors
/// It cannot be written; then there is what there was before.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Stop> {
    let stop =
        |error: io::Error| Stop::refused(format!("cannot write {}: {error}", path.display()));
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(stop(io::Error::other("it is there and is no file")));
    }
    let beside = beside(path).ok_or_else(|| stop(io::Error::other("it has no name")))?;
    let written = write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| {
        // What is left of it is of no use, and may not be there.
        let _ = fs::remove_file(&beside);
        stop(error)
    })
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A name in the same folder that no other process takes.
fn beside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_string_lossy();
    Some(path.with_file_name(format!(".{name}.{}", std::process::id())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        replace(&path, b"first").unwrap();
        replace(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let stop = replace(folder.path(), b"bytes").unwrap_err();
        let expected = format!(
            "cannot write {}: it is there and is no file",
            folder.path().display()
        );
        assert_eq!(stop.message, expected);
        assert!(replace(&folder.path().join("no/folder.onnx"), b"bytes").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
