//! What `trainyard data` takes. The doc comments are the help.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use spec::Shape;

#[derive(Debug, Subcommand)]
pub enum Data {
    /// Bring a dataset in; the same content is stored once
    #[command(
        after_help = "Examples:\n  trainyard data import fashion-mnist ./fashion-mnist --kind idx\n  trainyard data import digits digits.csv.gz --shape 1x8x8 --max 16\n  trainyard data import shakespeare input.txt --test-fraction 0.1\n  trainyard data import wikitext train=valid.txt.gz test=test.txt.gz --tokenizer whitespace --vocabulary 10000\n  trainyard data import sms SMSSpamCollection.tsv --text 1 --label 0 --lowercase\n  trainyard data import names ./names --kind lines"
    )]
    Import(DataImport),
    /// All datasets
    List,
    /// One dataset: shape, splits, classes, mean and standard deviation; of text its vocabulary and some samples
    Show {
        /// The dataset's name, or name@digest
        #[arg(value_name = "NAME")]
        name: String,
    },
}

#[derive(Debug, Args)]
pub struct DataImport {
    /// The name that job files use
    #[arg(value_name = "NAME")]
    pub name: String,
    /// A file, or a folder of IDX files or of one text file a class; of text several, each for a split: train=FILE test=FILE
    #[arg(value_name = "SOURCE", required = true)]
    pub sources: Vec<PathBuf>,
    /// What the source is [default: idx for a folder or an idx file name, text for .txt, else csv]
    #[arg(long, value_enum)]
    pub kind: Option<Kind>,
    /// The shape of one sample, as in 1x8x8 (csv)
    #[arg(long, value_name = "CxHxW")]
    pub shape: Option<Shape>,
    /// The column that holds the class: a name, or a number from 0 (csv) [default: label, class, target or y, else the last]
    #[arg(long, value_name = "COLUMN")]
    pub label: Option<String>,
    /// The largest value there can be, which normalize = "unit" divides by (csv) [default: the largest found]
    #[arg(long = "max", value_name = "M")]
    pub maximum: Option<f64>,
    /// The column that holds text: a name, or a number from 0 (csv); the others but the label's are left out
    #[arg(long, value_name = "COLUMN")]
    pub text: Option<String>,
    /// What stands between columns (csv) [default: tab for a .tsv file, else comma]
    #[arg(long, value_enum)]
    pub delimiter: Option<Delimiter>,
    /// What a token is (text, lines, csv with --text) [default: words for csv, else characters]
    #[arg(long, value_enum)]
    pub tokenizer: Option<Tokenizer>,
    /// Put text into lower case before it is split (text, lines, csv with --text)
    #[arg(long)]
    pub lowercase: bool,
    /// Keep the N most frequent tokens, and one that stands for all others among them (text, lines, csv with --text) [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1 << 20))]
    pub vocabulary: Option<u32>,
    /// Cut split test off split train: the end of a text, the last rows of each class (text, lines, csv with --text)
    #[arg(long, value_name = "F")]
    pub test_fraction: Option<f64>,
}

/// What stands between the columns of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Delimiter {
    /// A comma; a field in double quotes may hold some
    Comma,
    /// A semicolon; a field in double quotes may hold some
    Semicolon,
    /// A tab; double quotes are characters like others
    Tab,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Tokenizer {
    /// A character
    Characters,
    /// A run of letters, digits and _, or one other character that is not white space
    Words,
    /// What stands between white space
    Whitespace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// The format of MNIST: train-images-idx3-ubyte and so on, .gz or not
    Idx,
    /// Numbers and a label, or with --text a text and a label, separated by commas or tabs, .gz or not
    Csv,
    /// Text, of which the next token is learnt, .gz or not
    Text,
    /// Lines of text with a class, one file a class, .gz or not
    Lines,
}
