//! Text into tokens: one stream, or rows with a class. The files are gone through twice, to count the tokens and to number
//! them, and once more where a fraction is cut off for testing; what is kept of them is the vocabulary, and a label and a
//! length a row.

use spec::dataset::{Element, Split, TokenForm, Tokens};
use spec::tokenizer::{MAX_VOCABULARY, Unit};
use spec::{DatasetManifest, Shape};

use super::corpus::{Corpus, Reading, Source};
use super::input::Progress;
use super::passing::Passing;
use super::records::Dialect;
use super::sides::{Sides, TEST, TRAIN};
use super::text_columns::ColumnNames;
use super::vocabulary::Counts;
use crate::error::Error;
use crate::sink::ChunkSink;
use crate::text_fault::TextFault;

/// How text is split into tokens, and into splits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TextOptions {
    /// What a token is. By default words in a table, else characters.
    pub unit: Option<Unit>,
    /// Whether text is put into lower case first.
    pub lowercase: bool,
    /// How many of the most frequent tokens have a number of their own, `<unk>` among them. By default all.
    pub vocabulary: Option<u32>,
    /// The fraction of split `train` that becomes split `test`: the end of a stream, the last rows of each class.
    pub test_fraction: Option<f64>,
}

/// Imports text as one stream a split, its files one behind the other. Split into words, each line ends in `<eos>`; split
/// into characters, in a line feed. The vocabulary is that of split `train`.
///
/// # Errors
/// A file that is missing, empty, damaged or no text; options that do not fit it; a failing sink.
pub fn import_text(
    sources: &[Source],
    options: &TextOptions,
    sink: &mut dyn ChunkSink,
    progress: &mut dyn FnMut(&Progress),
) -> Result<DatasetManifest, Error> {
    import("text", sources, Reading::Stream, options, sink, progress)
}

/// Imports lines of text as rows, whose class is the name of their file without `.txt`; a source may be a folder of such
/// files. The vocabulary is that of split `train`.
///
/// # Errors
/// As [`import_text`], and a row without a token.
pub fn import_lines(
    sources: &[Source],
    options: &TextOptions,
    sink: &mut dyn ChunkSink,
    progress: &mut dyn FnMut(&Progress),
) -> Result<DatasetManifest, Error> {
    import("lines", sources, Reading::Rows, options, sink, progress)
}

/// Imports tables with a column of text and one of labels. The vocabulary is that of split `train`.
///
/// # Errors
/// As [`import_lines`], and lines that are no rows of the table, each with its number.
pub fn import_csv_text(
    sources: &[Source],
    columns: &ColumnNames,
    dialect: Dialect,
    options: &TextOptions,
    sink: &mut dyn ChunkSink,
    progress: &mut dyn FnMut(&Progress),
) -> Result<DatasetManifest, Error> {
    let columns = columns.clone();
    let reading = Reading::Table { columns, dialect };
    import("csv", sources, reading, options, sink, progress)
}

fn import(
    kind: &str,
    sources: &[Source],
    reading: Reading,
    options: &TextOptions,
    sink: &mut dyn ChunkSink,
    progress: &mut dyn FnMut(&Progress),
) -> Result<DatasetManifest, Error> {
    let has = |split| sources.iter().any(|source| source.split == split);
    if !has(TRAIN) {
        return Err(TextFault::NoTraining.into());
    }
    if let Some(fraction) = options.test_fraction {
        if !(fraction > 0.0 && fraction < 1.0) {
            return Err(TextFault::Fraction { fraction }.into());
        }
        if has(TEST) {
            return Err(TextFault::TwoTests.into());
        }
    }
    let unit = options.unit.unwrap_or(match reading {
        Reading::Table { .. } => Unit::Words,
        Reading::Stream | Reading::Rows => Unit::Characters,
    });
    let form = match reading {
        Reading::Stream => TokenForm::Stream,
        Reading::Rows | Reading::Table { .. } => TokenForm::Sequences,
    };
    let corpus = Corpus::open(sources, reading)?;
    let passes = if options.test_fraction.is_some() {
        3
    } else {
        2
    };
    let mut passing = Passing::new(corpus, form, unit, options.lowercase, passes, progress);
    let mut counts = [Counts::new(unit), Counts::new(unit)];
    let counting = options.test_fraction.is_none().then_some(&mut counts);
    let survey = passing.survey(counting)?;
    let (labels, classes) = passing.classes(survey.labels)?;
    let mut sides = Sides::default();
    if let Some(fraction) = options.test_fraction {
        sides = match form {
            TokenForm::Stream => Sides::of_stream(fraction, survey.training_tokens),
            TokenForm::Sequences => Sides::of_rows(fraction, &labels, |row| {
                passing.split_of(survey.row_files[row]) == TRAIN
            }),
        };
        passing.count(&sides, &mut counts)?;
    }
    let [counts, others] = counts;
    let some_unknown = others.has_more_than(&counts);
    let tokenizer = counts
        .tokenizer(unit, options.lowercase, options.vocabulary, some_unknown)
        .map_err(|tokens| TextFault::Vocabulary {
            tokens,
            limit: MAX_VOCABULARY,
        })?;
    drop((counts, others));
    let vocabulary = tokenizer.vocabulary.len() as u32;
    let chunk = sink
        .put(tokenizer.encode())
        .map_err(|source| Error::Sink { source })?;
    let mut writers = passing.write(tokenizer, &sides, &labels, sink)?;
    writers.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut splits = Vec::new();
    for (name, writer) in writers {
        splits.push(match form {
            TokenForm::Stream if writer.count() < 2 => {
                return Err(TextFault::TooShort { split: name }.into());
            }
            TokenForm::Sequences if writer.count() == 0 => {
                return Err(TextFault::NoRows { split: name }.into());
            }
            TokenForm::Stream => writer.finish_stream(&name, sink)?,
            TokenForm::Sequences => writer.finish_rows(&name, classes.len(), sink)?,
        });
    }
    if let Some(fault) = unseen(&splits, &classes) {
        return Err(fault.into());
    }
    Ok(DatasetManifest {
        kind: kind.to_string(),
        shape: Shape::new(vec![1]).expect("one value is a shape"),
        element: Element::of_tokens(vocabulary),
        maximum: f64::from(vocabulary),
        classes,
        tokens: Some(Tokens {
            form,
            tokenizer: chunk,
            vocabulary,
        }),
        splits,
    })
}

/// A class of some split that no row is trained on.
fn unseen(splits: &[Split], classes: &[String]) -> Option<TextFault> {
    let train = splits.iter().find(|split| split.name == TRAIN)?;
    splits.iter().find_map(|split| {
        let mut counts = split.class_counts.iter().zip(&train.class_counts);
        let class = counts.position(|(&here, &trained)| here > 0 && trained == 0)?;
        Some(TextFault::UnseenClass {
            split: split.name.clone(),
            class: classes.get(class)?.clone(),
        })
    })
}

#[cfg(test)]
mod tests;
