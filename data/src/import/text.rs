//! Text into tokens: one stream, or rows with a class. The files are gone through twice, to count the tokens and to number
//! them, and once more where a fraction is cut off for testing; what is kept of them is the vocabulary, and a label and a
//! length a row.

use spec::dataset::{Element, TokenForm, Tokens, held_out};
use spec::tokenizer::{END_OF_LINE, MAX_TOKEN_BYTES, MAX_VOCABULARY, Tokenizer, Unit};
use spec::{DatasetManifest, Shape};

use super::classes::Labels;
use super::corpus::{Bad, Corpus, Reading, Record, Source};
use super::input::Progress;
use super::records::Dialect;
use super::text_columns::ColumnNames;
use super::token_writer::TokenWriter;
use super::vocabulary::{Counts, MAX_WORDS, Uncounted};
use crate::encoder::Encoder;
use crate::error::Error;
use crate::sink::ChunkSink;
use crate::splitter::Splitter;
use crate::text_fault::TextFault;

const TRAIN: &str = "train";
const TEST: &str = "test";

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
    let mut passing = Passing {
        total: passes * corpus.bytes(),
        corpus,
        form,
        splitter: Splitter::new(unit, options.lowercase),
        before: Progress {
            done: 0,
            total: None,
            rows: 0,
        },
        progress,
    };
    let mut counts = [Counts::new(unit), Counts::new(unit)];
    let counting = options.test_fraction.is_none().then_some(&mut counts);
    let survey = passing.survey(counting)?;
    let (labels, classes) = passing.classes(survey.labels)?;
    let mut sides = Sides::default();
    if let Some(fraction) = options.test_fraction {
        sides = Sides::new(
            fraction,
            &passing,
            &survey.row_files,
            survey.training_tokens,
            &labels,
        );
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
fn unseen(splits: &[spec::dataset::Split], classes: &[String]) -> Option<TextFault> {
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

/// What the first pass shows.
struct Survey {
    /// The file of each row.
    row_files: Vec<u32>,
    labels: Labels,
    /// Tokens of split `train`.
    training_tokens: u64,
}

/// Which part of split `train` becomes split `test`.
#[derive(Default)]
struct Sides {
    /// The first token of the test part of a stream.
    boundary: Option<u64>,
    /// For each row whether it is tested on; empty where none is.
    tested: Vec<bool>,
}

impl Sides {
    fn new(
        fraction: f64,
        passing: &Passing<'_>,
        row_files: &[u32],
        training_tokens: u64,
        labels: &[u32],
    ) -> Self {
        if passing.form == TokenForm::Stream {
            let boundary = training_tokens - held_out(training_tokens, fraction);
            return Sides {
                boundary: Some(boundary),
                tested: Vec::new(),
            };
        }
        let is_training = |row: usize| passing.file(row_files[row]).split == TRAIN;
        let classes = labels.iter().max().map_or(0, |&last| last as usize + 1);
        let mut left = vec![0u64; classes];
        for (row, &label) in labels.iter().enumerate() {
            left[label as usize] += u64::from(is_training(row));
        }
        left.iter_mut()
            .for_each(|count| *count = held_out(*count, fraction));
        let mut tested = vec![false; labels.len()];
        for (row, &label) in labels.iter().enumerate().rev() {
            if is_training(row) && left[label as usize] > 0 {
                left[label as usize] -= 1;
                tested[row] = true;
            }
        }
        Sides {
            boundary: None,
            tested,
        }
    }

    fn is_tested(&self, row: usize) -> bool {
        self.tested.get(row).copied().unwrap_or(false)
    }
}

/// The corpus, and how far the passes through it are.
struct Passing<'a> {
    corpus: Corpus,
    form: TokenForm,
    splitter: Splitter,
    before: Progress,
    total: u64,
    progress: &'a mut dyn FnMut(&Progress),
}

impl Passing<'_> {
    fn file(&self, number: u32) -> &super::corpus::TextFile {
        &self.corpus.files[number as usize]
    }

    /// One pass over all records; those that are no text are left out and counted.
    fn pass(
        &mut self,
        not_utf8: &mut Bad,
        visit: &mut dyn FnMut(&Corpus, &mut Splitter, Record<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (corpus, splitter) = (&self.corpus, &mut self.splitter);
        corpus.walk(
            (self.before, self.total),
            self.progress,
            not_utf8,
            &mut |record| visit(corpus, splitter, record),
        )?;
        self.before.done += self.corpus.bytes();
        Ok(())
    }

    /// The first pass: labels, numbers of tokens, and everything that is wrong with a record. `counting` takes the counts of
    /// split `train` and of the others.
    fn survey(&mut self, mut counting: Option<&mut [Counts; 2]>) -> Result<Survey, Error> {
        let mut survey = Survey {
            row_files: Vec::new(),
            labels: Labels::default(),
            training_tokens: 0,
        };
        let form = self.form;
        let (mut not_utf8, mut empty) = (Bad::default(), Bad::default());
        self.pass(&mut not_utf8, &mut |corpus, splitter, record| {
            let file = &corpus.files[record.file];
            let is_training = file.split == TRAIN;
            let mut tokens = 0u64;
            each_token(splitter, form, record, |token| {
                tokens += 1;
                match &mut counting {
                    Some(counts) => counts[usize::from(!is_training)]
                        .add(token)
                        .map_err(|uncounted| fault_of(uncounted, corpus, record)),
                    None => Ok(()),
                }
            })?;
            if is_training {
                survey.training_tokens += tokens;
            }
            if form == TokenForm::Sequences {
                if tokens == 0 {
                    empty.add(&file.path, record.line);
                }
                survey.row_files.push(record.file as u32);
                if matches!(corpus.reading, Reading::Table { .. }) {
                    let pushed = survey.labels.push(record.column, record.label, record.line);
                    pushed.map_err(|fault| Error::Csv {
                        path: file.path.clone(),
                        line: record.line,
                        fault,
                    })?;
                }
            }
            Ok(())
        })?;
        if let Some((count, places)) = not_utf8.told() {
            return Err(TextFault::NotUtf8 { count, places }.into());
        }
        if let Some((count, places)) = empty.told() {
            return Err(TextFault::EmptyRows { count, places }.into());
        }
        if matches!(self.corpus.reading, Reading::Rows) {
            let mut stems: Vec<&String> = self.corpus.files.iter().map(|file| &file.stem).collect();
            stems.sort();
            survey.labels = Labels::of_classes(stems.into_iter().map(String::as_str));
            for &file in &survey.row_files {
                survey
                    .labels
                    .push_class(&self.corpus.files[file as usize].stem);
            }
        }
        Ok(survey)
    }

    /// The class of each row, and the names of the classes; none in a stream.
    fn classes(&self, labels: Labels) -> Result<(Vec<u32>, Vec<String>), Error> {
        if self.form == TokenForm::Stream {
            return Ok((Vec::new(), Vec::new()));
        }
        labels.finish(&self.corpus.files[0].path)
    }

    /// The second pass where a fraction is cut off: the counts of what is left of split `train`, and of the rest.
    fn count(&mut self, sides: &Sides, counts: &mut [Counts; 2]) -> Result<(), Error> {
        let form = self.form;
        let (mut row, mut trained) = (0usize, 0u64);
        self.pass(&mut Bad::default(), &mut |corpus, splitter, record| {
            let is_training = corpus.files[record.file].split == TRAIN;
            let is_tested = sides.is_tested(row);
            row += 1;
            each_token(splitter, form, record, |token| {
                let is_left = is_training
                    && !is_tested
                    && sides.boundary.is_none_or(|boundary| trained < boundary);
                trained += u64::from(is_training);
                counts[usize::from(!is_left)]
                    .add(token)
                    .map_err(|uncounted| fault_of(uncounted, corpus, record))
            })
        })
    }

    /// The last pass: every token in its split, by number.
    fn write(
        &mut self,
        tokenizer: Tokenizer,
        sides: &Sides,
        labels: &[u32],
        sink: &mut dyn ChunkSink,
    ) -> Result<Vec<(String, TokenWriter)>, Error> {
        let vocabulary = tokenizer.vocabulary.len() as u32;
        let mut writers: Vec<(String, TokenWriter)> = Vec::new();
        let names = self.corpus.files.iter().map(|file| file.split.as_str());
        for name in
            names.chain((sides.boundary.is_some() || !sides.tested.is_empty()).then_some(TEST))
        {
            if writers.iter().all(|(known, _)| known != name) {
                writers.push((name.to_string(), TokenWriter::new(vocabulary)));
            }
        }
        let place = |writers: &[(String, TokenWriter)], name: &str| {
            let found = writers.iter().position(|(known, _)| known == name);
            found.expect("every split has its writer")
        };
        let form = self.form;
        let mut encoder = Encoder::new(tokenizer);
        let (mut row, mut trained, mut tokens) = (0usize, 0u64, Vec::new());
        self.pass(&mut Bad::default(), &mut |corpus, _, record| {
            let file = &corpus.files[record.file];
            let changed = || {
                let path = file.path.clone();
                Error::from(TextFault::Changed { path })
            };
            tokens.clear();
            encoder
                .encode(record.text, &mut tokens)
                .map_err(|_| changed())?;
            let own = place(&writers, &file.split);
            if form == TokenForm::Sequences {
                let at = if sides.is_tested(row) {
                    place(&writers, TEST)
                } else {
                    own
                };
                let label = *labels.get(row).ok_or_else(changed)?;
                row += 1;
                if tokens.is_empty() {
                    return Err(changed());
                }
                return writers[at].1.row(&tokens, label, &file.path, sink);
            }
            if let Some(ending) = ending(encoder.unit(), record) {
                encoder.token(ending, &mut tokens).map_err(|_| changed())?;
            }
            let end = tokens.len();
            let mut cut = end;
            if let (TRAIN, Some(boundary)) = (file.split.as_str(), sides.boundary) {
                cut = boundary.saturating_sub(trained).min(end as u64) as usize;
                trained += end as u64;
            }
            writers[own].1.stream(&tokens[..cut], sink)?;
            if cut < end {
                let test = place(&writers, TEST);
                writers[test].1.stream(&tokens[cut..], sink)?;
            }
            Ok(())
        })?;
        Ok(writers)
    }
}

/// Hands on a record's tokens, and of a stream the one at the end of its line.
fn each_token(
    splitter: &mut Splitter,
    form: TokenForm,
    record: Record<'_>,
    mut take: impl FnMut(&str) -> Result<(), Error>,
) -> Result<(), Error> {
    splitter.split(record.text, &mut take)?;
    match ending(splitter.unit(), record) {
        Some(ending) if form == TokenForm::Stream => take(ending),
        _ => Ok(()),
    }
}

/// The token at the end of a line of a stream.
fn ending(unit: Unit, record: Record<'_>) -> Option<&'static str> {
    match unit {
        Unit::Characters => record.ended.then_some("\n"),
        Unit::Words | Unit::Whitespace => Some(END_OF_LINE),
    }
}

fn fault_of(uncounted: Uncounted, corpus: &Corpus, record: Record<'_>) -> Error {
    let (path, line) = (corpus.files[record.file].path.clone(), record.line);
    Error::from(match uncounted {
        Uncounted::TooLong => TextFault::LongWord {
            path,
            line,
            limit: MAX_TOKEN_BYTES,
        },
        Uncounted::TooMany => TextFault::TooManyWords {
            path,
            line,
            limit: MAX_WORDS,
        },
    })
}

#[cfg(test)]
mod tests;
