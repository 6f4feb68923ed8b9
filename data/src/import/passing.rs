//! The passes through a corpus: what is in it, how often each token comes, and at last the tokens by number.

use spec::dataset::TokenForm;
use spec::tokenizer::{END_OF_LINE, MAX_TOKEN_BYTES, Tokenizer, Unit};

use super::classes::Labels;
use super::corpus::{Bad, Corpus, Reading, Record};
use super::input::Progress;
use super::sides::{Sides, TEST, TRAIN};
use super::token_writer::TokenWriter;
use super::vocabulary::{Counts, MAX_WORDS, Uncounted};
use crate::encoder::Encoder;
use crate::error::Error;
use crate::sink::ChunkSink;
use crate::splitter::Splitter;
use crate::text_fault::TextFault;

/// What the first pass shows.
pub(crate) struct Survey {
    /// The file of each row.
    pub(crate) row_files: Vec<u32>,
    /// The label of each row.
    pub(crate) labels: Labels,
    /// Tokens of split `train`.
    pub(crate) training_tokens: u64,
}

/// The corpus, and how far the passes through it are.
pub(crate) struct Passing<'a> {
    corpus: Corpus,
    form: TokenForm,
    splitter: Splitter,
    before: Progress,
    total: u64,
    progress: &'a mut dyn FnMut(&Progress),
}

impl<'a> Passing<'a> {
    /// So many passes through a corpus, split into these units.
    pub(crate) fn new(
        corpus: Corpus,
        form: TokenForm,
        unit: Unit,
        lowercase: bool,
        passes: u64,
        progress: &'a mut dyn FnMut(&Progress),
    ) -> Self {
        Passing {
            total: passes * corpus.bytes(),
            corpus,
            form,
            splitter: Splitter::new(unit, lowercase),
            before: Progress {
                done: 0,
                total: None,
                rows: 0,
            },
            progress,
        }
    }

    /// The split of a file.
    pub(crate) fn split_of(&self, file: u32) -> &str {
        &self.corpus.files[file as usize].split
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
    pub(crate) fn survey(
        &mut self,
        mut counting: Option<&mut [Counts; 2]>,
    ) -> Result<Survey, Error> {
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
    pub(crate) fn classes(&self, labels: Labels) -> Result<(Vec<u32>, Vec<String>), Error> {
        if self.form == TokenForm::Stream {
            return Ok((Vec::new(), Vec::new()));
        }
        labels.finish(&self.corpus.files[0].path)
    }

    /// The second pass where a fraction is cut off: the counts of what is left of split `train`, and of the rest.
    pub(crate) fn count(&mut self, sides: &Sides, counts: &mut [Counts; 2]) -> Result<(), Error> {
        let form = self.form;
        let (mut row, mut trained) = (0usize, 0u64);
        self.pass(&mut Bad::default(), &mut |corpus, splitter, record| {
            let is_training = corpus.files[record.file].split == TRAIN;
            let is_tested = sides.is_tested(row);
            row += 1;
            each_token(splitter, form, record, |token| {
                let is_left = is_training
                    && !is_tested
                    && sides.boundary().is_none_or(|boundary| trained < boundary);
                trained += u64::from(is_training);
                counts[usize::from(!is_left)]
                    .add(token)
                    .map_err(|uncounted| fault_of(uncounted, corpus, record))
            })
        })
    }

    /// The last pass: every token in its split, by number.
    pub(crate) fn write(
        &mut self,
        tokenizer: Tokenizer,
        sides: &Sides,
        labels: &[u32],
        sink: &mut dyn ChunkSink,
    ) -> Result<Vec<(String, TokenWriter)>, Error> {
        let vocabulary = tokenizer.vocabulary.len() as u32;
        let mut writers: Vec<(String, TokenWriter)> = Vec::new();
        let names = self.corpus.files.iter().map(|file| file.split.as_str());
        for name in names.chain((sides.has_test()).then_some(TEST)) {
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
            if let (TRAIN, Some(boundary)) = (file.split.as_str(), sides.boundary()) {
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
