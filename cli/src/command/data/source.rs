//! What `data import` reads, and how.

use std::path::{Path, PathBuf};

use data::{ChunkSink, ColumnNames, CsvOptions, Dialect, Progress, Source, TextOptions};
use spec::DatasetManifest;
use spec::tokenizer::Unit;

use crate::arguments::{DataImport, Delimiter, Kind, Tokenizer};
use crate::stop::Stop;

/// The split of a source that names none.
const TRAIN: &str = "train";

/// Imports what the options say.
///
/// # Errors
/// Flags that do not go together, or a source that is refused.
pub fn read(
    options: &DataImport,
    sink: &mut dyn ChunkSink,
    progress: &mut dyn FnMut(&Progress),
) -> Result<DatasetManifest, Stop> {
    let kind = options.kind.unwrap_or_else(|| guess(&options.sources[0]));
    check_flags(options, kind)?;
    let dialect = options.delimiter.map_or_else(
        || guess_dialect(&options.sources[0]),
        |delimiter| match delimiter {
            Delimiter::Comma => Dialect::Comma,
            Delimiter::Semicolon => Dialect::Semicolon,
            Delimiter::Tab => Dialect::Tab,
        },
    );
    let text = TextOptions {
        unit: options.tokenizer.map(|tokenizer| match tokenizer {
            Tokenizer::Characters => Unit::Characters,
            Tokenizer::Words => Unit::Words,
            Tokenizer::Whitespace => Unit::Whitespace,
        }),
        lowercase: options.lowercase,
        vocabulary: options.vocabulary,
        test_fraction: options.test_fraction,
    };
    let sources: Vec<Source> = options.sources.iter().map(|path| source(path)).collect();
    let manifest = match (kind, &options.text) {
        (Kind::Idx, _) => data::import_idx(only(options)?, sink, progress),
        (Kind::Csv, None) => {
            let csv = CsvOptions {
                label: options.label.clone(),
                shape: options.shape.clone(),
                maximum: options.maximum,
                dialect,
            };
            data::import_csv(only(options)?, &csv, sink, progress)
        }
        (Kind::Csv, Some(column)) => {
            let columns = ColumnNames {
                text: column.clone(),
                label: options.label.clone(),
            };
            data::import_csv_text(&sources, &columns, dialect, &text, sink, progress)
        }
        (Kind::Text, _) => data::import_text(&sources, &text, sink, progress),
        (Kind::Lines, _) => data::import_lines(&sources, &text, sink, progress),
    };
    manifest.map_err(Stop::refused)
}

/// Refuses flags that are of no use to this kind of source.
fn check_flags(options: &DataImport, kind: Kind) -> Result<(), Stop> {
    let has_text = kind == Kind::Csv && options.text.is_some();
    let numbers = kind == Kind::Csv && !has_text;
    let splits = has_text || matches!(kind, Kind::Text | Kind::Lines);
    let flags = [
        ("--shape", options.shape.is_some(), numbers),
        ("--label", options.label.is_some(), kind == Kind::Csv),
        ("--max", options.maximum.is_some(), numbers),
        ("--text", options.text.is_some(), kind == Kind::Csv),
        (
            "--delimiter",
            options.delimiter.is_some(),
            kind == Kind::Csv,
        ),
        ("--tokenizer", options.tokenizer.is_some(), splits),
        ("--lowercase", options.lowercase, splits),
        ("--vocabulary", options.vocabulary.is_some(), splits),
        ("--test-fraction", options.test_fraction.is_some(), splits),
    ];
    let misplaced = flags.iter().find(|(_, given, fits)| *given && !fits);
    let Some((flag, ..)) = misplaced else {
        return Ok(());
    };
    Err(Stop::refused(match kind {
        Kind::Idx => format!("{flag} does not go with --kind idx: the files say it themselves"),
        Kind::Csv if has_text => format!("{flag} does not go with a column of text: leave it out"),
        Kind::Csv => {
            format!("{flag} is for text: say with --text which column holds it, or leave it out")
        }
        Kind::Text => format!("{flag} does not go with --kind text: leave it out"),
        Kind::Lines => {
            format!("{flag} does not go with --kind lines: the class is the name of the file")
        }
    }))
}

/// The one source of a kind that takes no more.
fn only(options: &DataImport) -> Result<&Path, Stop> {
    match options.sources.as_slice() {
        [source] => Ok(source),
        sources => Err(Stop::refused(format!(
            "{} sources are given, but only text is read from several: import them one by one",
            sources.len()
        ))),
    }
}

/// A source with its split: `test=FILE`, or a path alone, which is of split `train`.
fn source(given: &Path) -> Source {
    let text = given.to_str().unwrap_or_default();
    let named = text.split_once('=').filter(|(split, _)| {
        // A file of that very name is meant as it stands.
        spec::job_file::is_name(split) && !given.exists()
    });
    match named {
        Some((split, path)) => Source {
            split: split.to_string(),
            path: PathBuf::from(path),
        },
        None => Source {
            split: TRAIN.to_string(),
            path: given.to_path_buf(),
        },
    }
}

fn guess(given: &Path) -> Kind {
    let path = source(given).path;
    let name = path.to_string_lossy();
    if path.is_dir() || name.contains("-ubyte") {
        Kind::Idx
    } else if name.ends_with(".txt") || name.ends_with(".txt.gz") {
        Kind::Text
    } else {
        Kind::Csv
    }
}

fn guess_dialect(given: &Path) -> Dialect {
    let name = given.to_string_lossy();
    if name.ends_with(".tsv") || name.ends_with(".tsv.gz") {
        Dialect::Tab
    } else {
        Dialect::Comma
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_may_say_its_split() {
        let of = |text: &str| {
            let source = source(Path::new(text));
            (source.split, source.path.display().to_string())
        };
        let expected = |split: &str, path: &str| (split.to_string(), path.to_string());
        assert_eq!(of("test=a/b.txt.gz"), expected("test", "a/b.txt.gz"));
        assert_eq!(of("a/b.txt"), expected("train", "a/b.txt"));
        assert_eq!(of("./x=y.txt"), expected("train", "./x=y.txt"));
    }

    #[test]
    fn the_kind_and_the_delimiter_follow_from_the_name() {
        assert_eq!(guess(Path::new("test=a.txt.gz")), Kind::Text);
        assert_eq!(guess(Path::new("train-images-idx3-ubyte.gz")), Kind::Idx);
        assert_eq!(guess(Path::new("a.tsv")), Kind::Csv);
        assert_eq!(guess_dialect(Path::new("train=a.tsv.gz")), Dialect::Tab);
        assert_eq!(guess_dialect(Path::new("a.csv")), Dialect::Comma);
    }
}
