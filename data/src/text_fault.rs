//! What can be wrong with text that is to be split into tokens.

use std::path::PathBuf;

/// What is wrong with a source of text, or with how it is to be split.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TextFault {
    /// Lines that are no text.
    #[error(
        "lines that are not UTF-8: {count} ({places}); convert the file to UTF-8, or give the right file"
    )]
    NotUtf8 {
        /// How many.
        count: u64,
        /// The first of them.
        places: String,
    },
    /// Rows that no token is left of.
    #[error(
        "rows without a token: {count} ({places}); leave them out, or split them otherwise with --tokenizer"
    )]
    EmptyRows {
        /// How many.
        count: u64,
        /// The first of them.
        places: String,
    },
    /// A line of an unreasonable length.
    #[error("{path}, line {line}: is longer than {limit} bytes: break the text into lines", path = .path.display())]
    LineTooLong {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The longest line that is read.
        limit: u64,
    },
    /// A word of an unreasonable length.
    #[error(
        "{path}, line {line}: has a word of more than {limit} bytes: split it into characters with --tokenizer characters",
        path = .path.display()
    )]
    LongWord {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The longest word.
        limit: usize,
    },
    /// More different words than are counted.
    #[error(
        "{path}, line {line}: the text has more than {limit} different words: split it into characters with --tokenizer characters",
        path = .path.display()
    )]
    TooManyWords {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The most that are counted.
        limit: usize,
    },
    /// More tokens than a vocabulary may have.
    #[error(
        "the text has {tokens} different tokens, a vocabulary has at most {limit}: keep the most frequent with --vocabulary N"
    )]
    Vocabulary {
        /// Tokens there are.
        tokens: usize,
        /// The most there may be.
        limit: u32,
    },
    /// A stream without a token that follows another.
    #[error(
        "split {split} has fewer than 2 tokens, too few to learn what follows what: give a longer text"
    )]
    TooShort {
        /// The split.
        split: String,
    },
    /// A split without a row.
    #[error("split {split} has no rows: give a file with at least one")]
    NoRows {
        /// The split.
        split: String,
    },
    /// No text to make a vocabulary of.
    #[error("no source is for train, of which the vocabulary is made: give one as train=FILE")]
    NoTraining,
    /// A test split given and asked for.
    #[error(
        "--test-fraction cuts split test off train, but a source for test is given too: leave one of them out"
    )]
    TwoTests,
    /// A fraction that leaves nothing on one side.
    #[error("--test-fraction {fraction}: give a number above 0 and below 1")]
    Fraction {
        /// The fraction.
        fraction: f64,
    },
    /// A class that no row is trained on.
    #[error(
        "split {split} has rows of class \"{class}\", but train has none: mend the labels, or give train such rows"
    )]
    UnseenClass {
        /// The split.
        split: String,
        /// The class.
        class: String,
    },
    /// A folder without text files.
    #[error("{path} holds no text: expected files whose names end in .txt or .txt.gz, one a class", path = .path.display())]
    NoFiles {
        /// The folder.
        path: PathBuf,
    },
    /// One column for text and label.
    #[error(
        "column {column} cannot be both text and label: give --text and --label different columns"
    )]
    OneColumnForBoth {
        /// The column.
        column: String,
    },
    /// Several columns that could hold the label.
    #[error("{path} has {columns} columns, none of them named label, class, target or y: say which is the label with --label",
        path = .path.display())]
    WhichLabel {
        /// The file.
        path: PathBuf,
        /// Its columns.
        columns: usize,
    },
    /// A file that was another on a second reading.
    #[error("{path} changed while it was read: import it again", path = .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
}
