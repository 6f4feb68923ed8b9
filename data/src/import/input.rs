//! A file that is read once from front to back, decompressed on the fly when it is gzip.

use std::cell::Cell;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;

use crate::error::Error;

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the source that have been read.
    pub done: u64,
    /// Bytes of the source, where that is known.
    pub total: Option<u64>,
    /// Rows that have been read.
    pub rows: u64,
}

/// A file, or bytes with a name, as a stream of its decompressed content.
pub(crate) struct Input<'a> {
    origin: Origin,
    total: u64,
    taken: Rc<Cell<u64>>,
    stream: Box<dyn BufRead + 'a>,
}

/// What errors of reading say about the file.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// Its path or name.
    pub(crate) path: PathBuf,
    compressed: bool,
}

impl Origin {
    /// What went wrong when a read of this file failed.
    pub(crate) fn fault(&self, source: io::Error) -> Error {
        let path = self.path.clone();
        let decoding = [
            io::ErrorKind::UnexpectedEof,
            io::ErrorKind::InvalidInput,
            io::ErrorKind::InvalidData,
        ];
        if self.compressed && decoding.contains(&source.kind()) {
            Error::Damaged { path, source }
        } else {
            Error::Unreadable { path, source }
        }
    }
}

impl Input<'static> {
    /// Opens a file.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let fault = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => Error::Missing {
                path: path.to_path_buf(),
            },
            _ => Error::Unreadable {
                path: path.to_path_buf(),
                source,
            },
        };
        let metadata = fs::metadata(path).map_err(fault)?;
        if metadata.is_dir() {
            return Err(Error::Folder {
                path: path.to_path_buf(),
            });
        }
        let file = fs::File::open(path).map_err(fault)?;
        Input::new(path.to_path_buf(), metadata.len(), file)
    }
}

impl<'a> Input<'a> {
    /// Reads bytes that are already there; `name` stands for a path in messages.
    pub(crate) fn of_bytes(name: &str, bytes: &'a [u8]) -> Result<Self, Error> {
        Input::new(PathBuf::from(name), bytes.len() as u64, bytes)
    }

    fn new(path: PathBuf, total: u64, raw: impl Read + 'a) -> Result<Self, Error> {
        let taken = Rc::new(Cell::new(0));
        let mut raw = BufReader::with_capacity(
            1 << 16,
            Counted {
                raw,
                taken: taken.clone(),
            },
        );
        let plain = Origin {
            path,
            compressed: false,
        };
        let start = raw.fill_buf().map_err(|source| plain.fault(source))?;
        let origin = Origin {
            compressed: start.starts_with(&[0x1f, 0x8b]),
            ..plain
        };
        let mut stream: Box<dyn BufRead + 'a> = if origin.compressed {
            Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(raw)))
        } else {
            Box::new(raw)
        };
        if stream
            .fill_buf()
            .map_err(|source| origin.fault(source))?
            .is_empty()
        {
            return Err(Error::Empty { path: origin.path });
        }
        Ok(Input {
            origin,
            total,
            taken,
            stream,
        })
    }

    /// What errors of reading say about the file.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Its path or name.
    pub(crate) fn path(&self) -> PathBuf {
        self.origin.path.clone()
    }

    /// The size of the file as it lies there.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// A count of the file's bytes taken so far, as it lies there.
    pub(crate) fn taken(&self) -> Rc<Cell<u64>> {
        self.taken.clone()
    }

    /// Reads until `buffer` is full or the file ends; gives the number of bytes read.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.stream.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.origin.fault(error)),
            }
        }
        Ok(filled)
    }

    /// Reads a line into `line`, which is cleared first, without its line feed; of one longer than `limit` bytes the
    /// beginning.
    pub(crate) fn line(&mut self, line: &mut Vec<u8>, limit: u64) -> Result<LineEnd, Error> {
        line.clear();
        loop {
            let read = self.stream.fill_buf();
            let buffer = match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read.map_err(|source| self.origin.fault(source))?,
            };
            if buffer.is_empty() {
                let is_end = line.is_empty();
                return Ok(if is_end { LineEnd::End } else { LineEnd::Last });
            }
            let end = buffer.iter().position(|&byte| byte == b'\n');
            line.extend_from_slice(&buffer[..end.unwrap_or(buffer.len())]);
            let used = end.map_or(buffer.len(), |end| end + 1);
            self.stream.consume(used);
            if line.len() as u64 > limit {
                return Ok(LineEnd::TooLong);
            }
            if end.is_some() {
                return Ok(LineEnd::Broken);
            }
        }
    }

    /// Whether the file ends here; for gzip its checksum has then been verified.
    pub(crate) fn ends(&mut self) -> Result<bool, Error> {
        Ok(self
            .stream
            .fill_buf()
            .map_err(|source| self.origin.fault(source))?
            .is_empty())
    }
}

/// How a line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineEnd {
    /// In a line feed.
    Broken,
    /// With the file.
    Last,
    /// There is no further line.
    End,
    /// Not within the bytes that it may have.
    TooLong,
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

struct Counted<R> {
    raw: R,
    taken: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.raw.read(buffer)?;
        self.taken.set(self.taken.get() + count as u64);
        Ok(count)
    }
}
