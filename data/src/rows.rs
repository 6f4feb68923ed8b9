//! The chosen samples of a split, read at random through a bounded cache of chunks: rows of values or of tokens, or windows
//! of a stream of tokens. Every chunk is verified against its digest and against the manifest when it is read.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use spec::checkpoint::Preprocessing;
use spec::dataset::{ChunkRef, Element, Tokens};
use spec::{DatasetManifest, Digest, Shape};

use crate::cache::Cache;
use crate::chunk::{Chunk, decode_labels, decode_lengths, token_words};
use crate::error::{Error, Part, Place};
use crate::fault::ChunkFault;
use crate::layout::{Layout, find_split, lay_out};
use crate::normalize::apply;
use crate::order::{Order, Sampling, cache_limit};
use crate::selection::{Chosen, Selection};
use crate::source::ChunkSource;
use crate::sums::ChannelSums;

mod tokens;

/// The chosen rows of a split. A clone is a handle to the same rows and the same cache.
#[derive(Clone)]
pub struct Rows(Arc<Inner>);

struct Inner {
    dataset: String,
    split: String,
    digest: Digest,
    shape: Shape,
    element: Element,
    maximum: f64,
    tokens: Option<Tokens>,
    longest: u32,
    chunks: Vec<ChunkRef>,
    labels: Vec<u32>,
    chosen: Chosen,
    cache_limit: u64,
    cache: Mutex<Cache>,
    source: Arc<dyn ChunkSource>,
}

impl Rows {
    /// The samples of a split that `selection` chooses; reads the labels, and the lengths of rows of tokens.
    /// `sequence_length` is where these are cut, and how long the windows of a stream are. `dataset` is its name, for
    /// messages.
    ///
    /// # Errors
    /// An unknown split, a manifest that does not add up, a stream without a length, a fraction out of (0, 1) or that
    /// chooses nothing, labels or lengths that cannot be read.
    pub fn open(
        dataset: &str,
        manifest: &DatasetManifest,
        split: &str,
        selection: Selection,
        sequence_length: Option<u32>,
        source: Arc<dyn ChunkSource>,
    ) -> Result<Self, Error> {
        let found = find_split(dataset, manifest, split)?;
        let place = |part| Place {
            dataset: dataset.to_string(),
            split: split.to_string(),
            part,
        };
        let malformed = |part| {
            move |fault| Error::MalformedChunk {
                chunk: place(part),
                fault,
            }
        };
        let lengths = match found.tokens.and_then(|tokens| tokens.lengths) {
            None => Vec::new(),
            Some(known) => {
                let bytes = fetch(source.as_ref(), &place(Part::Lengths), &known.chunk)?;
                let count = found.tokens.map_or(0, |tokens| tokens.count);
                decode_lengths(&bytes, found.rows, count, &known)
                    .map_err(malformed(Part::Lengths))?
            }
        };
        let layout = lay_out(dataset, manifest, found, sequence_length, &lengths)?;
        drop(lengths);
        if let Some(fraction) = selection.fraction()
            && !(fraction > 0.0 && fraction < 1.0)
        {
            return Err(Error::Fraction { fraction });
        }
        let labels = match &found.labels {
            None => None,
            Some(digest) => {
                let bytes = fetch(source.as_ref(), &place(Part::Labels), digest)?;
                let labels = decode_labels(&bytes, found.rows, manifest.classes.len());
                Some(labels.map_err(malformed(Part::Labels))?)
            }
        };
        let digest = manifest.digest();
        let cache_limit = cache_limit(&layout);
        let chosen = Chosen::new(Arc::new(layout), selection, labels.as_deref(), &digest);
        if let (0, Some(fraction)) = (chosen.rows(), selection.fraction()) {
            let verb = if matches!(selection, Selection::TrainedOn(_)) {
                "train on"
            } else {
                "validate on"
            };
            let (dataset, split) = (dataset.to_string(), split.to_string());
            return Err(Error::NothingSelected {
                dataset,
                split,
                fraction,
                verb,
            });
        }
        Ok(Rows(Arc::new(Inner {
            dataset: dataset.to_string(),
            split: split.to_string(),
            digest,
            shape: manifest.shape.clone(),
            element: manifest.element,
            maximum: manifest.maximum,
            tokens: manifest.tokens,
            longest: found.longest(sequence_length),
            chunks: found.chunks.clone(),
            labels: labels.unwrap_or_default(),
            chosen,
            cache_limit,
            cache: Mutex::new(Cache::new(cache_limit)),
            source,
        })))
    }

    /// How many rows are chosen.
    pub fn len(&self) -> u64 {
        u64::from(self.0.chosen.rows())
    }

    /// Whether no row is chosen.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape of a row.
    pub fn shape(&self) -> &Shape {
        &self.0.shape
    }

    /// What the tokens are, where the samples are tokens.
    pub fn tokens(&self) -> Option<Tokens> {
        self.0.tokens
    }

    /// How many channels a row has.
    pub fn channels(&self) -> usize {
        self.0.shape.channels()
    }

    /// The largest value there can be.
    pub fn maximum(&self) -> f64 {
        self.0.maximum
    }

    /// How many chunks the split has, those without a chosen row included.
    pub fn chunks(&self) -> u32 {
        self.0.chosen.layout().chunks()
    }

    /// The most decoded bytes of chunks that are kept.
    pub fn cache_bytes(&self) -> u64 {
        self.0.cache_limit
    }

    /// The order in which these rows are trained on.
    ///
    /// # Errors
    /// A batch size of 0, or an epoch without a step.
    pub fn order(&self, sampling: Sampling) -> Result<Order, Error> {
        Order::new(self.0.chosen.clone(), &self.0.digest, sampling)
    }

    /// Appends the rows at `positions` of the plain row order, in which rows are validated on; positions beyond the last
    /// give nothing.
    pub fn plain(&self, positions: Range<u64>, out: &mut Vec<u32>) {
        let end = positions.end.min(self.len()) as u32;
        let start = positions.start.min(u64::from(end)) as u32;
        out.extend((start..end).map(|position| self.0.chosen.row(position)));
    }

    /// The label of a row of the split.
    ///
    /// # Panics
    /// If the split has no such row.
    pub fn label(&self, row: u32) -> u32 {
        self.0.labels[row as usize]
    }

    /// The class of a row of the split; a stream has none.
    pub fn class(&self, row: u32) -> Option<u32> {
        self.0.labels.get(row as usize).copied()
    }

    /// Fills `x` with these rows of the split, normalised, `(N, C, …)`, and `labels` with their labels; both are cleared
    /// first.
    ///
    /// # Errors
    /// A chunk that cannot be read, constants for another number of channels.
    ///
    /// # Panics
    /// If the split has no such row.
    pub fn gather(
        &self,
        rows: &[u32],
        preprocessing: &Preprocessing,
        x: &mut Vec<f32>,
        labels: &mut Vec<u32>,
    ) -> Result<(), Error> {
        self.check(preprocessing)?;
        let inner = &*self.0;
        let values = inner.shape.elements();
        labels.clear();
        labels.extend(rows.iter().map(|&row| inner.labels[row as usize]));
        // What an earlier batch left is overwritten, not cleared.
        x.resize(rows.len() * values, 0.0);
        let mut cache = inner.cache.lock().unwrap_or_else(PoisonError::into_inner);
        for (&row, out) in rows.iter().zip(x.chunks_exact_mut(values)) {
            let (number, row) = inner.chosen.layout().find(row);
            apply(
                preprocessing,
                inner.element,
                inner.chunk(&mut cache, number)?.row(row),
                out,
            );
        }
        Ok(())
    }

    /// The sums over the chosen rows of one chunk; a chunk without any gives sums that count nothing.
    ///
    /// # Errors
    /// A chunk that cannot be read.
    ///
    /// # Panics
    /// If the split has no such chunk.
    pub fn chunk_sums(&self, number: u32) -> Result<ChannelSums, Error> {
        let inner = &*self.0;
        let mut rows = Vec::new();
        inner.chosen.append_rows_of(number, &mut rows);
        let first = inner.chosen.layout().rows_of(number).start;
        if rows.is_empty() {
            return Ok(ChannelSums::of(
                inner.element,
                self.channels(),
                std::iter::empty(),
            ));
        }
        let mut cache = inner.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let chunk = inner.chunk(&mut cache, number)?;
        Ok(ChannelSums::of(
            inner.element,
            self.channels(),
            rows.iter().map(|row| chunk.row(row - first)),
        ))
    }

    /// Checks that the constants are for these rows' channels.
    ///
    /// # Errors
    /// Constants for another number of channels.
    pub fn check(&self, preprocessing: &Preprocessing) -> Result<(), Error> {
        let expected = self.channels();
        match [preprocessing.shift.len(), preprocessing.scale.len()]
            .into_iter()
            .find(|&found| found != expected)
        {
            None => Ok(()),
            Some(found) => Err(Error::Channels {
                dataset: self.0.dataset.clone(),
                split: self.0.split.clone(),
                found,
                expected,
            }),
        }
    }
}

impl Inner {
    fn chunk<'a>(&self, cache: &'a mut Cache, number: u32) -> Result<&'a Chunk, Error> {
        let layout: &Layout = self.chosen.layout();
        cache.get(number, layout.bytes_of(number), || {
            let place = Place {
                dataset: self.dataset.clone(),
                split: self.split.clone(),
                part: Part::Rows(number),
            };
            let reference = &self.chunks[number as usize];
            let bytes = fetch(self.source.as_ref(), &place, &reference.digest)?;
            let (element, rows, values) = (self.element, reference.rows, self.shape.elements());
            let chunk = Chunk::decode(bytes).and_then(|chunk| {
                let found = (chunk.element(), chunk.rows(), chunk.values());
                if found != (element, rows, values) {
                    return Err(other_rows(found, (element, rows, values)));
                }
                match self.tokens {
                    Some(tokens) => check_tokens(&chunk, tokens.vocabulary).map(|()| chunk),
                    None => Ok(chunk),
                }
            });
            chunk.map_err(|fault| Error::MalformedChunk {
                chunk: place,
                fault,
            })
        })
    }
}

fn check_tokens(chunk: &Chunk, vocabulary: u32) -> Result<(), ChunkFault> {
    let largest = token_words(chunk.element(), chunk.content()).max();
    match largest.filter(|&token| token >= vocabulary) {
        None => Ok(()),
        Some(token) => Err(ChunkFault::Token { token, vocabulary }),
    }
}

fn other_rows(found: (Element, u32, usize), expected: (Element, u32, usize)) -> ChunkFault {
    let say = |(element, rows, values): (Element, u32, usize)| {
        format!("{rows} rows of {values} {} values", element.word())
    };
    ChunkFault::Rows {
        found: say(found),
        expected: say(expected),
    }
}

fn fetch(source: &dyn ChunkSource, place: &Place, digest: &Digest) -> Result<Vec<u8>, Error> {
    let bytes = source.chunk(digest).map_err(|source| Error::Source {
        chunk: place.clone(),
        digest: *digest,
        source,
    })?;
    let found = Digest::of(&bytes);
    if found == *digest {
        Ok(bytes)
    } else {
        Err(Error::CorruptChunk {
            chunk: place.clone(),
            expected: *digest,
            found,
        })
    }
}

#[cfg(test)]
mod tests;
