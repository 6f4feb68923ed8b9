//! What exactly is wrong with a file or a chunk. The errors that carry these say where.

use std::path::PathBuf;

use spec::Shape;

/// What is wrong with an IDX file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdxFault {
    /// It does not begin as such a file does.
    #[error(
        "begins with {found:08x}, but an IDX file of {content} begins with {expected:08x}: give the right file"
    )]
    Magic {
        /// What the file should hold: `images` or `labels`.
        content: &'static str,
        /// Its first four bytes, big-endian.
        found: u32,
        /// The four bytes expected.
        expected: u32,
    },
    /// It ends inside its header.
    #[error("ends inside its header: fetch it again")]
    Header,
    /// It ends before its last row.
    #[error(
        "is truncated: its header promises {rows} rows, but it ends in row {complete} (from 0): fetch it again"
    )]
    Truncated {
        /// Rows that the header promises.
        rows: u32,
        /// Rows that are there in full.
        complete: u32,
    },
    /// It goes on after its last row.
    #[error("goes on after the {rows} rows that its header promises: fetch it again")]
    Trailing {
        /// Rows that the header promises.
        rows: u32,
    },
    /// Its header promises nothing.
    #[error("holds no values ({rows} rows of {height}x{width}): give a file with at least one row")]
    NoRows {
        /// Rows that the header promises.
        rows: u32,
        /// Height of an image; 1 for labels.
        height: u32,
        /// Width of an image; 1 for labels.
        width: u32,
    },
    /// Its images are not as many as the labels.
    #[error("holds {images} images, but {labels} holds {label_rows} labels: give a pair that belongs together",
        labels = .labels.display())]
    Counts {
        /// Images.
        images: u32,
        /// The file with the labels.
        labels: PathBuf,
        /// Labels.
        label_rows: u32,
    },
    /// Its images are not of the size of another split's.
    #[error("holds images of {found}, but those of {other} are {expected}: import them as two datasets",
        other = .other.display())]
    Shapes {
        /// The shape of its images.
        found: Shape,
        /// A file of the same dataset.
        other: PathBuf,
        /// The shape of that file's images.
        expected: Shape,
    },
    /// A label that the training split does not know.
    #[error(
        "has label {label} in row {row} (from 0), out of range: the training labels are 0 to {last}"
    )]
    Label {
        /// The row.
        row: usize,
        /// Its label.
        label: u32,
        /// The largest label of the training split.
        last: u32,
    },
}

/// What is wrong in a line of a CSV file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CsvFault {
    /// A feature that is no number.
    #[error(
        "column {column}: \"{text}\" is not a number: features must be numeric, the label's column is set with --label"
    )]
    Number {
        /// The column.
        column: String,
        /// What stands there.
        text: String,
    },
    /// A feature that is infinite, not a number, or too large for 32 bits.
    #[error(
        "column {column}: \"{text}\" is not a finite 32-bit number: replace it or leave the row out"
    )]
    Finite {
        /// The column.
        column: String,
        /// What stands there.
        text: String,
    },
    /// A feature beyond the declared maximum.
    #[error(
        "column {column}: {text} is larger than the declared maximum {maximum}: raise --max or mend the value"
    )]
    Maximum {
        /// The column.
        column: String,
        /// What stands there.
        text: String,
        /// The declared maximum.
        maximum: f64,
    },
    /// A line with more or fewer fields than the first.
    #[error(
        "has {found} fields, but the first line has {expected}: every line needs the same number"
    )]
    Ragged {
        /// Fields of this line.
        found: usize,
        /// Fields of the first line.
        expected: usize,
    },
    /// A quoted field that goes over the end of the line.
    #[error("a quoted field goes over the end of the line: close the quote")]
    Quote,
    /// A line of an unreasonable length.
    #[error("is longer than {limit} bytes: this is not a CSV file of rows")]
    TooLong {
        /// The longest line that is read.
        limit: u64,
    },
    /// A row without a label.
    #[error("column {column}: the label is empty: every row needs one")]
    NoLabel {
        /// The label's column.
        column: String,
    },
    /// A label that is a number, but no class number.
    #[error(
        "column {column}: label {text} is out of range: a numeric label must be a whole number from 0 to {last}, \
         another column is chosen with --label"
    )]
    Label {
        /// The label's column.
        column: String,
        /// What stands there.
        text: String,
        /// The largest class number.
        last: u32,
    },
    /// A text label after numeric ones or the other way round.
    #[error(
        "column {column}: label \"{text}\" does not fit \"{first}\" of line {first_line}: labels are all numbers or all text"
    )]
    MixedLabels {
        /// The label's column.
        column: String,
        /// What stands there.
        text: String,
        /// The first label.
        first: String,
        /// Its line.
        first_line: u64,
    },
    /// More classes than there can be.
    #[error(
        "column {column}: more than {limit} different labels: is this the label? Another column is chosen with --label"
    )]
    TooManyClasses {
        /// The label's column.
        column: String,
        /// The most classes there can be.
        limit: u32,
    },
}

/// Why bytes are not a chunk of rows, or not that of this dataset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkFault {
    /// Too short for a header.
    #[error("has {found} bytes, fewer than its header of {expected}")]
    Short {
        /// Bytes there are.
        found: usize,
        /// Bytes of a header.
        expected: usize,
    },
    /// It does not begin as a chunk does.
    #[error("does not begin as a chunk does")]
    Magic,
    /// Written in a later or unknown format.
    #[error("has format version {found}, but this program reads version {expected}")]
    Version {
        /// The version found.
        found: u16,
        /// The version that is read.
        expected: u16,
    },
    /// An unknown kind of value.
    #[error("has values of the unknown kind {found}")]
    Element {
        /// The code found.
        found: u8,
    },
    /// Its size is not that of its rows.
    #[error("has {found} bytes, but {rows} rows of {values} values need {expected}")]
    Size {
        /// Bytes there are.
        found: usize,
        /// Rows that the header promises.
        rows: u32,
        /// Values of a row that the header promises.
        values: u64,
        /// Bytes that these need.
        expected: u128,
    },
    /// It holds other rows than the manifest says.
    #[error("holds {found}, but the manifest says {expected}")]
    Rows {
        /// What it holds.
        found: String,
        /// What the manifest says.
        expected: String,
    },
    /// A chunk of lengths of the wrong size.
    #[error("has {found} bytes, but the lengths of {rows} rows need {expected}")]
    Lengths {
        /// Bytes there are.
        found: usize,
        /// Rows of the split.
        rows: u64,
        /// Bytes that their lengths need.
        expected: u64,
    },
    /// Lengths that are not those of the split's rows.
    #[error(
        "holds lengths of {shortest} to {longest}, {tokens} tokens in all, but the manifest says {expected}"
    )]
    Tokens {
        /// The least length.
        shortest: u32,
        /// The greatest.
        longest: u32,
        /// Their sum.
        tokens: u64,
        /// What the manifest says.
        expected: String,
    },
    /// A token that the vocabulary does not have.
    #[error("has token {token}, but the vocabulary has {vocabulary}")]
    Token {
        /// The token.
        token: u32,
        /// Tokens of the vocabulary.
        vocabulary: u32,
    },
    /// A labels chunk of the wrong size.
    #[error("has {found} bytes, but the labels of {rows} rows need {expected}")]
    Labels {
        /// Bytes there are.
        found: usize,
        /// Rows of the split.
        rows: u64,
        /// Bytes that their labels need.
        expected: u64,
    },
    /// A label without a class.
    #[error("has label {label} in row {row} (from 0), but there are {classes} classes")]
    Class {
        /// The row.
        row: usize,
        /// Its label.
        label: u32,
        /// Classes of the dataset.
        classes: usize,
    },
}
