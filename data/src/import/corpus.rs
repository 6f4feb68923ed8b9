//! Text in files, gone through again and again: lines of a stream, lines that are rows, or rows of a table with a column of
//! text. Every pass hands on the same records.

use std::fs;
use std::path::{Path, PathBuf};

use super::input::{Input, LineEnd, Progress};
use super::records::{Dialect, Lines, MAX_LINE_BYTES};
use super::text_columns::{ColumnNames, TextColumns};
use crate::error::Error;
use crate::fault::CsvFault;
use crate::text_fault::TextFault;

/// The places that a message lists.
const LISTED: usize = 10;

/// A file, or a folder of files, and the split that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The split's name.
    pub split: String,
    /// The file or folder.
    pub path: PathBuf,
}

/// How files become records.
#[derive(Debug, Clone)]
pub(crate) enum Reading {
    /// Every line is a part of one stream.
    Stream,
    /// Every line that is not blank is a row, its class the name of its file.
    Rows,
    /// Every line is a row of a table.
    Table {
        /// The columns of text and label.
        columns: ColumnNames,
        /// How fields are told apart.
        dialect: Dialect,
    },
}

/// A line or a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    /// The number of its file.
    pub(crate) file: usize,
    /// Its line, from 1.
    pub(crate) line: u64,
    /// Its text, without the line's end.
    pub(crate) text: &'a str,
    /// What stands in the label's column; nothing where there is none.
    pub(crate) label: &'a str,
    /// What messages call the label's column.
    pub(crate) column: &'a str,
    /// Whether a line end follows.
    pub(crate) ended: bool,
}

/// A file of the corpus.
#[derive(Debug)]
pub(crate) struct TextFile {
    /// Its split's name.
    pub(crate) split: String,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its name without `.txt`.
    pub(crate) stem: String,
    bytes: u64,
}

/// The files, in their order.
#[derive(Debug)]
pub(crate) struct Corpus {
    /// The files.
    pub(crate) files: Vec<TextFile>,
    /// How they become records.
    pub(crate) reading: Reading,
}

/// Records that are left out of a pass, counted.
#[derive(Debug, Default)]
pub(crate) struct Bad {
    count: u64,
    first: Vec<String>,
}

impl Bad {
    /// Counts a record.
    pub(crate) fn add(&mut self, path: &Path, line: u64) {
        self.count += 1;
        if self.first.len() < LISTED {
            self.first.push(format!("{}, line {line}", path.display()));
        }
    }

    /// How many there are, and the first of them, if there are any.
    pub(crate) fn told(&self) -> Option<(u64, String)> {
        let more = if self.count > self.first.len() as u64 {
            "; …"
        } else {
            ""
        };
        (self.count > 0).then(|| (self.count, self.first.join("; ") + more))
    }
}

impl Corpus {
    /// The files of these sources. A folder gives its files named `*.txt` or `*.txt.gz`, in the order of their names.
    pub(crate) fn open(sources: &[Source], reading: Reading) -> Result<Self, Error> {
        let mut files = Vec::new();
        for source in sources {
            let is_folder = source.path.is_dir() && matches!(reading, Reading::Rows);
            let paths = if is_folder {
                text_files(&source.path)?
            } else {
                vec![source.path.clone()]
            };
            for path in paths {
                let input = Input::open(&path)?;
                files.push(TextFile {
                    split: source.split.clone(),
                    stem: stem(&path),
                    bytes: input.total(),
                    path,
                });
            }
        }
        Ok(Corpus { files, reading })
    }

    /// Bytes of all files, as they lie there.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Hands on every record, in order. `before` are the bytes and records of earlier passes, `total` those of all passes.
    pub(crate) fn walk(
        &self,
        (before, total): (Progress, u64),
        progress: &mut dyn FnMut(&Progress),
        not_utf8: &mut Bad,
        visit: &mut dyn FnMut(Record<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        const REPORTED: u64 = 1 << 12;
        let mut done = before;
        for (number, file) in self.files.iter().enumerate() {
            let input = Input::open(&file.path)?;
            let taken = input.taken();
            let mut count = |record: Record<'_>| {
                done.rows += 1;
                if done.rows.is_multiple_of(REPORTED) {
                    progress(&Progress {
                        done: done.done + taken.get(),
                        total: Some(total),
                        rows: done.rows,
                    });
                }
                visit(record)
            };
            match &self.reading {
                Reading::Stream => {
                    walk_lines(number, file, input, Blank::Kept, not_utf8, &mut count)?
                }
                Reading::Rows => {
                    walk_lines(number, file, input, Blank::LeftOut, not_utf8, &mut count)?
                }
                Reading::Table { columns, dialect } => {
                    walk_table(
                        number,
                        file,
                        input,
                        (columns, *dialect),
                        not_utf8,
                        &mut count,
                    )?;
                }
            }
            done.done += file.bytes;
            progress(&Progress {
                total: Some(total),
                ..done
            });
        }
        Ok(())
    }
}

/// What happens to lines of nothing but white space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blank {
    Kept,
    LeftOut,
}

fn walk_lines(
    number: usize,
    file: &TextFile,
    mut input: Input<'_>,
    blank: Blank,
    not_utf8: &mut Bad,
    visit: &mut dyn FnMut(Record<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let (mut bytes, mut line) = (Vec::new(), 0);
    loop {
        line += 1;
        let end = input.line(&mut bytes, MAX_LINE_BYTES)?;
        match end {
            LineEnd::End => return Ok(()),
            LineEnd::TooLong => {
                let (path, limit) = (file.path.clone(), MAX_LINE_BYTES);
                return Err(TextFault::LineTooLong { path, line, limit }.into());
            }
            LineEnd::Broken | LineEnd::Last => {}
        }
        let mut content = bytes.as_slice();
        if line == 1 {
            content = content
                .strip_prefix("\u{feff}".as_bytes())
                .unwrap_or(content);
        }
        if end == LineEnd::Broken {
            content = content.strip_suffix(b"\r").unwrap_or(content);
        }
        if blank == Blank::LeftOut {
            content = content.trim_ascii();
            if content.is_empty() {
                continue;
            }
        }
        let Ok(text) = str::from_utf8(content) else {
            not_utf8.add(&file.path, line);
            continue;
        };
        visit(Record {
            file: number,
            line,
            text,
            label: "",
            column: "",
            ended: end == LineEnd::Broken,
        })?;
    }
}

fn walk_table(
    number: usize,
    file: &TextFile,
    input: Input<'_>,
    (names, dialect): (&ColumnNames, Dialect),
    not_utf8: &mut Bad,
    visit: &mut dyn FnMut(Record<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let path = &file.path;
    let mut lines = Lines::new(input, dialect);
    let Some(first) = lines.next()? else {
        return Err(Error::Empty { path: path.clone() });
    };
    let columns = TextColumns::read(path, &first.fields, names)?;
    let mut next = if columns.has_header() {
        lines.after(first)?
    } else {
        Some(first)
    };
    let column = columns.call(columns.label());
    while let Some(line) = next {
        let fault = |fault| Error::Csv {
            path: path.clone(),
            line: line.number,
            fault,
        };
        if line.fields.iter().any(|field| field.contains(&b'\n')) {
            return Err(fault(CsvFault::Quote));
        }
        let (found, expected) = (line.fields.len(), columns.count());
        if found != expected {
            return Err(fault(CsvFault::Ragged { found, expected }));
        }
        let field = |column| str::from_utf8(line.fields[column].trim_ascii());
        match (field(columns.text()), field(columns.label())) {
            (Ok(text), Ok(label)) => visit(Record {
                file: number,
                line: line.number,
                text,
                label,
                column: &column,
                ended: true,
            })?,
            _ => not_utf8.add(path, line.number),
        }
        next = lines.after(line)?;
    }
    Ok(())
}

/// The text files of a folder, in the order of their names.
fn text_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let fault = |source| Error::Unreadable {
        path: folder.to_path_buf(),
        source,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        if name.is_some_and(|name| name.ends_with(".txt") || name.ends_with(".txt.gz"))
            && !path.is_dir()
        {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        let path = folder.to_path_buf();
        return Err(TextFault::NoFiles { path }.into());
    }
    Ok(paths)
}

fn stem(path: &Path) -> String {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    plain.strip_suffix(".txt").unwrap_or(plain).to_string()
}
