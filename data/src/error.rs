//! Everything that can go wrong with data, each said in one sentence with place and remedy.

use std::fmt;
use std::io;
use std::path::PathBuf;

use spec::{Digest, Shape};

use crate::fault::{ChunkFault, CsvFault, IdxFault};
use crate::sink::SinkError;
use crate::source::SourceError;
use crate::text_fault::TextFault;

/// Why data could not be imported or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path that leads nowhere.
    #[error("{path} does not exist: check the path", path = .path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// The operating system does not give the file.
    #[error("cannot read {path}: {source}", path = .path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A compressed file that does not decompress.
    #[error("{path} is damaged or truncated gzip ({source}): fetch it again", path = .path.display())]
    Damaged {
        /// The path.
        path: PathBuf,
        /// What the decompressor says.
        source: io::Error,
    },
    /// A file without content.
    #[error("{path} is empty: fetch it again or give another file", path = .path.display())]
    Empty {
        /// The path.
        path: PathBuf,
    },
    /// A folder where a file was expected.
    #[error("{path} is a folder: give the file itself", path = .path.display())]
    Folder {
        /// The path.
        path: PathBuf,
    },
    /// A folder without IDX files.
    #[error(
        "{path} holds no IDX images: expected train-images-idx3-ubyte and train-labels-idx1-ubyte, t10k-* likewise, \
         each with or without .gz",
        path = .path.display()
    )]
    NoIdxFiles {
        /// The folder.
        path: PathBuf,
    },
    /// A file that is not named as IDX images are.
    #[error("{path} is not named as IDX images are: expected a name such as train-images-idx3-ubyte.gz", path = .path.display())]
    NotIdxImages {
        /// The file.
        path: PathBuf,
    },
    /// Images without labels.
    #[error("{path} has no labels beside it: expected {expected}, with or without .gz", path = .path.display())]
    NoLabels {
        /// The images.
        path: PathBuf,
        /// The name of the labels' file.
        expected: String,
    },
    /// Two files for one split.
    #[error("{first} and {second} would both be split {split}: leave one of them in the folder", first = .first.display(),
        second = .second.display())]
    SplitTwice {
        /// The split.
        split: String,
        /// One file of images.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// An IDX file that cannot be what it says.
    #[error("{path} {fault}", path = .path.display())]
    Idx {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: IdxFault,
    },
    /// A line of a CSV file that cannot be read as a row.
    #[error("{path}, line {line}: {fault}", path = .path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        fault: CsvFault,
    },
    /// Text that cannot be split into tokens as asked.
    #[error(transparent)]
    Text(#[from] TextFault),
    /// A CSV file without rows.
    #[error("{path} has a header but no rows: give a file with at least one row", path = .path.display())]
    NoRows {
        /// The file.
        path: PathBuf,
    },
    /// A CSV file with one column.
    #[error("{path} has only one column: expected features and a label, separated by commas", path = .path.display())]
    OneColumn {
        /// The file.
        path: PathBuf,
    },
    /// A label column that is not there.
    #[error("{path} has no column \"{label}\": it has {columns}", path = .path.display())]
    NoSuchColumn {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        label: String,
        /// What there is.
        columns: String,
    },
    /// A shape that does not hold a row.
    #[error("shape {shape} has {elements} values, but a row of {path} has {features}: give a --shape with as many",
        elements = .shape.elements(), path = .path.display())]
    ShapeMismatch {
        /// The file.
        path: PathBuf,
        /// The shape asked for.
        shape: Shape,
        /// Features of a row.
        features: usize,
    },
    /// A declared maximum that cannot be one.
    #[error("--max {maximum} cannot be a largest value: give a number above 0")]
    Maximum {
        /// The number.
        maximum: f64,
    },
    /// Labels that leave most classes without a row.
    #[error("{path}: label {label} is out of range: it makes {classes} classes, {empty} of them without a row; mend the labels",
        path = .path.display())]
    SparseClasses {
        /// The file.
        path: PathBuf,
        /// The largest label.
        label: u32,
        /// Classes that it makes.
        classes: usize,
        /// Classes without a row.
        empty: usize,
    },
    /// A row that does not fit a chunk.
    #[error("a row of {path} takes {bytes} bytes, more than the {limit} that a row may take", path = .path.display())]
    RowTooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes of a row.
        bytes: u64,
        /// The most there may be.
        limit: u64,
    },
    /// More rows than a split may have.
    #[error("{path} has more than {limit} rows: import it in parts", path = .path.display())]
    TooManyRows {
        /// The file.
        path: PathBuf,
        /// The most there may be.
        limit: u32,
    },
    /// The sink did not keep a chunk.
    #[error("cannot keep a chunk: {source}")]
    Sink {
        /// What the sink says.
        source: SinkError,
    },
    /// The source did not give a chunk.
    #[error("cannot read {chunk} ({digest}): {source}", digest = .digest.short())]
    Source {
        /// The chunk.
        chunk: Place,
        /// Its digest.
        digest: Digest,
        /// What the source says.
        source: SourceError,
    },
    /// A chunk whose bytes are not those that were written.
    #[error("{chunk} is corrupt: its digest is {found}, expected {expected}; import the dataset again",
        found = .found.short(), expected = .expected.short())]
    CorruptChunk {
        /// The chunk.
        chunk: Place,
        /// The digest of the manifest.
        expected: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
    /// A chunk that is not what its manifest says, though its bytes are those that were written.
    #[error("{chunk} {fault}; import the dataset again")]
    MalformedChunk {
        /// The chunk.
        chunk: Place,
        /// What is wrong.
        fault: ChunkFault,
    },
    /// A split that the dataset does not have.
    #[error("dataset {dataset} has no split \"{split}\": it has {known}")]
    UnknownSplit {
        /// The dataset.
        dataset: String,
        /// What was asked for.
        split: String,
        /// The splits there are.
        known: String,
    },
    /// A manifest whose chunks do not add up to its rows.
    #[error(
        "the manifest of {dataset}/{split} says {rows} rows, but its chunks hold {counted}; import the dataset again"
    )]
    ManifestRows {
        /// The dataset.
        dataset: String,
        /// The split.
        split: String,
        /// Rows of the split.
        rows: u64,
        /// Rows of its chunks.
        counted: u64,
    },
    /// A stream of tokens without a length to cut it at.
    #[error(
        "{dataset} is one stream of text: set data.sequence_length, as in sequence_length = 64"
    )]
    NoSequenceLength {
        /// The dataset.
        dataset: String,
    },
    /// A fraction that leaves nothing on one side.
    #[error("a fraction of {fraction} cannot be validated on: give a number above 0 and below 1")]
    Fraction {
        /// The fraction.
        fraction: f64,
    },
    /// A selection without rows.
    #[error(
        "a fraction of {fraction} leaves {dataset}/{split} with no rows to {verb}: no class has 2 rows; give a validation split"
    )]
    NothingSelected {
        /// The dataset.
        dataset: String,
        /// The split.
        split: String,
        /// The fraction.
        fraction: f64,
        /// `train on` or `validate on`.
        verb: &'static str,
    },
    /// A batch size of 0.
    #[error("batch_size is 0: give at least 1")]
    BatchSize,
    /// An epoch without a step.
    #[error(
        "{rows} rows do not fill one batch of {batch_size} and drop_last leaves it out: lower batch_size or set drop_last = false"
    )]
    EpochWithoutSteps {
        /// Rows trained on.
        rows: u64,
        /// Samples of a batch.
        batch_size: u32,
    },
    /// Microbatches that do not hold a batch.
    #[error(
        "{count} microbatches of {size} samples do not hold a batch of {batch_size}: raise microbatches"
    )]
    Microbatches {
        /// Microbatches of a batch.
        count: u32,
        /// Samples of a full one.
        size: usize,
        /// Samples of a batch.
        batch_size: u64,
    },
    /// A share that goes beyond the microbatches.
    #[error("the share {start}..{end} is not within the {count} microbatches")]
    Share {
        /// The first microbatch of the share.
        start: u32,
        /// The one after its last.
        end: u32,
        /// Microbatches of a batch.
        count: u32,
    },
    /// Constants for another number of channels.
    #[error(
        "preprocessing has constants for {found} channels, but {dataset}/{split} has {expected}: it belongs to other data"
    )]
    Channels {
        /// The dataset.
        dataset: String,
        /// The split.
        split: String,
        /// Channels of the constants.
        found: usize,
        /// Channels of the data.
        expected: usize,
    },
    /// Sums that do not belong together.
    #[error("channel sums of different datasets cannot be added")]
    DifferentSums,
    /// Bytes that are no channel sums.
    #[error("{bytes} bytes are not channel sums")]
    NotSums {
        /// How many there are.
        bytes: usize,
    },
    /// A batch after the last.
    #[error("all {batches} batches have been taken")]
    PastTheEnd {
        /// Batches there were.
        batches: u64,
    },
    /// The loader's thread cannot be started.
    #[error("cannot start the data loader's thread: {source}")]
    Thread {
        /// What the operating system says.
        source: io::Error,
    },
    /// The loader's thread is gone.
    #[error("the data loader has ended after an earlier error")]
    LoaderEnded,
}

/// Which chunk of which split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The dataset.
    pub dataset: String,
    /// The split.
    pub split: String,
    /// Which of its chunks.
    pub part: Part,
}

/// Which chunk of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The chunk of rows of this number.
    Rows(u32),
    /// The chunk of labels.
    Labels,
    /// The chunk of the lengths of rows of tokens.
    Lengths,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            Part::Rows(number) => write!(f, "chunk {number} of ")?,
            Part::Labels => f.write_str("the labels chunk of ")?,
            Part::Lengths => f.write_str("the chunk of lengths of ")?,
        }
        write!(f, "{}/{}", self.dataset, self.split)
    }
}
