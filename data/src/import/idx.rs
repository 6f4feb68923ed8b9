//! IDX, the format of MNIST and its kin: images of bytes in one file, their labels in another.

use std::fs;
use std::path::{Path, PathBuf};

use spec::dataset::{Element, Split};
use spec::{DatasetManifest, Shape};

use super::classes::{check_density, numbered};
use super::input::{Input, Progress};
use super::split::{Pushed, SplitWriter};
use crate::error::Error;
use crate::fault::IdxFault;
use crate::sink::ChunkSink;

const IMAGES_MAGIC: u32 = 0x0803;
const LABELS_MAGIC: u32 = 0x0801;

/// Imports the IDX files of a folder, or one file of images with the labels beside it. `train-*` becomes split `train`,
/// `t10k-*` and `test-*` become split `test`; a pair of another name, alone, becomes `train`. Rows are 1xHxW bytes,
/// classes are numbers; those of the training split hold for all.
///
/// # Errors
/// A file that is missing, empty, truncated, damaged or not what its name says; labels out of range; a failing sink.
pub fn import_idx(
    dir_or_files: &Path,
    sink: &mut dyn ChunkSink,
    progress: &mut dyn FnMut(&Progress),
) -> Result<DatasetManifest, Error> {
    let mut pairs: Vec<Pair> = find(dir_or_files)?
        .into_iter()
        .map(Pair::open)
        .collect::<Result<_, _>>()?;
    let training = pairs
        .iter()
        .position(|pair| pair.split == "train")
        .unwrap_or(0);
    check_density(&pairs[training].labels_path, &pairs[training].labels)?;
    let last = pairs[training].labels.iter().copied().max().unwrap_or(0);
    let shape = pairs[training].shape.clone();
    for pair in &pairs {
        if let Some(row) = pair.labels.iter().position(|&label| label > last) {
            let fault = IdxFault::Label {
                row,
                label: pair.labels[row],
                last,
            };
            return Err(Error::Idx {
                path: pair.labels_path.clone(),
                fault,
            });
        }
        if pair.shape != shape {
            let other = pairs[training].images.path();
            let fault = IdxFault::Shapes {
                found: pair.shape.clone(),
                other,
                expected: shape,
            };
            return Err(Error::Idx {
                path: pair.images.path(),
                fault,
            });
        }
    }
    let total = pairs
        .iter()
        .map(|pair| pair.images.total() + pair.labels_bytes)
        .sum();
    let mut done = Progress {
        done: pairs.iter().map(|pair| pair.labels_bytes).sum(),
        total: Some(total),
        rows: 0,
    };
    pairs.sort_by(|a, b| a.split.cmp(b.split));
    let classes = numbered(last);
    let mut splits = Vec::new();
    for pair in pairs {
        splits.push(pair.import(classes.len(), sink, &mut done, progress)?);
    }
    Ok(DatasetManifest {
        kind: "idx".to_string(),
        shape,
        element: Element::U8,
        maximum: 255.0,
        classes,
        tokens: None,
        splits,
    })
}

/// The paths of one split.
struct Found {
    split: &'static str,
    images: PathBuf,
    labels: PathBuf,
}

/// One split whose labels are read and whose images are about to be.
struct Pair {
    split: &'static str,
    labels_path: PathBuf,
    labels_bytes: u64,
    labels: Vec<u32>,
    images: Input<'static>,
    rows: u32,
    shape: Shape,
}

impl Pair {
    fn open(found: Found) -> Result<Self, Error> {
        let mut input = Input::open(&found.labels)?;
        let [label_rows] = header(&mut input, "labels", LABELS_MAGIC)?;
        let labels = read_labels(&mut input, label_rows)?;
        let mut images = Input::open(&found.images)?;
        let [rows, height, width] = header(&mut images, "images", IMAGES_MAGIC)?;
        let fault = if rows != label_rows {
            IdxFault::Counts {
                images: rows,
                labels: found.labels,
                label_rows,
            }
        } else if let (true, Ok(shape)) = (
            rows > 0,
            Shape::new(vec![1, height as usize, width as usize]),
        ) {
            let labels_bytes = input.total();
            let (split, labels_path) = (found.split, found.labels);
            return Ok(Pair {
                split,
                labels_path,
                labels_bytes,
                labels,
                images,
                rows,
                shape,
            });
        } else {
            IdxFault::NoRows {
                rows,
                height,
                width,
            }
        };
        Err(Error::Idx {
            path: found.images,
            fault,
        })
    }

    fn import(
        mut self,
        classes: usize,
        sink: &mut dyn ChunkSink,
        done: &mut Progress,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Split, Error> {
        let (path, taken, before) = (self.images.path(), self.images.taken(), *done);
        let mut report = |rows: u32| {
            done.done = before.done + taken.get();
            done.rows = before.rows + u64::from(rows);
            progress(done);
        };
        let values = self.shape.elements();
        let mut writer = SplitWriter::new(&path, sink, Element::U8, self.shape.channels(), values)?;
        let mut row = vec![0; values];
        for complete in 0..self.rows {
            if self.images.fill(&mut row)? < values {
                let fault = IdxFault::Truncated {
                    rows: self.rows,
                    complete,
                };
                return Err(Error::Idx {
                    path: path.clone(),
                    fault,
                });
            }
            if writer.push(&row)? == Pushed::Kept {
                report(writer.rows());
            }
        }
        if !self.images.ends()? {
            return Err(Error::Idx {
                path: path.clone(),
                fault: IdxFault::Trailing { rows: self.rows },
            });
        }
        report(writer.rows());
        writer.finish(self.split, &self.labels, classes)
    }
}

/// Reads the magic number and `N` counts.
fn header<const N: usize>(
    input: &mut Input,
    content: &'static str,
    expected: u32,
) -> Result<[u32; N], Error> {
    let path = input.path();
    let mut words = [[0; 4]; 4];
    let wanted = 4 * (N + 1);
    let filled = input.fill(&mut words.as_flattened_mut()[..wanted])?;
    let [magic, counts @ ..] = words.map(u32::from_be_bytes);
    if filled >= 4 && magic != expected {
        return Err(Error::Idx {
            path,
            fault: IdxFault::Magic {
                content,
                found: magic,
                expected,
            },
        });
    }
    if filled < wanted {
        return Err(Error::Idx {
            path,
            fault: IdxFault::Header,
        });
    }
    Ok(std::array::from_fn(|index| counts[index]))
}

fn read_labels(input: &mut Input, rows: u32) -> Result<Vec<u32>, Error> {
    let mut labels = Vec::new();
    let mut piece = [0; 1 << 12];
    while labels.len() < rows as usize {
        let wanted = piece.len().min(rows as usize - labels.len());
        let filled = input.fill(&mut piece[..wanted])?;
        labels.extend(piece[..filled].iter().map(|&label| u32::from(label)));
        if filled < wanted {
            let fault = IdxFault::Truncated {
                rows,
                complete: labels.len() as u32,
            };
            return Err(Error::Idx {
                path: input.path(),
                fault,
            });
        }
    }
    if !input.ends()? {
        return Err(Error::Idx {
            path: input.path(),
            fault: IdxFault::Trailing { rows },
        });
    }
    Ok(labels)
}

fn find(path: &Path) -> Result<Vec<Found>, Error> {
    let metadata = fs::metadata(path).map_err(|source| unreadable(path, source))?;
    if !metadata.is_dir() {
        let name = file_name(path);
        let Some(prefix) = images_prefix(&name) else {
            return Err(Error::NotIdxImages {
                path: path.to_path_buf(),
            });
        };
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let folder = if folder.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            folder
        };
        let labels = find_labels(path, &prefix, &files_of(&folder)?)?;
        return Ok(vec![Found {
            split: split_of(&prefix).unwrap_or("train"),
            images: path.to_path_buf(),
            labels,
        }]);
    }
    let files = files_of(path)?;
    let mut images: Vec<(String, PathBuf)> = Vec::new();
    for file in &files {
        // Files are sorted, so a plain file comes before its compressed twin, which is then left alone.
        if let Some(prefix) = images_prefix(&file_name(file))
            && images.iter().all(|(other, _)| *other != prefix)
        {
            images.push((prefix, file.clone()));
        }
    }
    if images.is_empty() {
        return Err(Error::NoIdxFiles {
            path: path.to_path_buf(),
        });
    }
    let alone = images.len() == 1;
    let mut found: Vec<Found> = Vec::new();
    for (prefix, images) in images {
        let Some(split) = split_of(&prefix).or(alone.then_some("train")) else {
            continue;
        };
        if let Some(other) = found.iter().find(|other| other.split == split) {
            let (split, first) = (split.to_string(), other.images.clone());
            return Err(Error::SplitTwice {
                split,
                first,
                second: images,
            });
        }
        let labels = find_labels(&images, &prefix, &files)?;
        found.push(Found {
            split,
            images,
            labels,
        });
    }
    if found.is_empty() {
        Err(Error::NoIdxFiles {
            path: path.to_path_buf(),
        })
    } else {
        Ok(found)
    }
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|source| unreadable(folder, source))?;
    let mut files: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    files.sort();
    Ok(files)
}

fn unreadable(path: &Path, source: std::io::Error) -> Error {
    let path = path.to_path_buf();
    match source.kind() {
        std::io::ErrorKind::NotFound => Error::Missing { path },
        _ => Error::Unreadable { path, source },
    }
}

fn find_labels(images: &Path, prefix: &str, files: &[PathBuf]) -> Result<PathBuf, Error> {
    let labels = files.iter().find(|file| {
        prefix_before(&file_name(file), "labels-idx1-ubyte").as_deref() == Some(prefix)
    });
    labels.cloned().ok_or_else(|| Error::NoLabels {
        path: images.to_path_buf(),
        expected: format!("{prefix}labels-idx1-ubyte"),
    })
}

fn images_prefix(name: &str) -> Option<String> {
    prefix_before(name, "images-idx3-ubyte")
}

/// What stands before `ending` in a name that may use dots for dashes and may end in `.gz`.
fn prefix_before(name: &str, ending: &str) -> Option<String> {
    let name = name.strip_suffix(".gz").unwrap_or(name).replace('.', "-");
    name.strip_suffix(ending).map(str::to_string)
}

fn split_of(prefix: &str) -> Option<&'static str> {
    match prefix.trim_end_matches('-') {
        prefix if prefix.ends_with("train") => Some("train"),
        prefix if prefix.ends_with("t10k") || prefix.ends_with("test") => Some("test"),
        _ => None,
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
