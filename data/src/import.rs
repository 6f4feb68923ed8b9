//! Imports files into chunked datasets. An import streams: it keeps one chunk of rows in memory, and 4 bytes a row for
//! the labels. The same content and options give the same manifest, compressed or not.

mod classes;
mod columns;
mod corpus;
mod csv;
mod idx;
mod input;
mod passing;
mod records;
mod sides;
mod split;
mod text;
mod text_columns;
mod token_writer;
mod vocabulary;

pub use self::corpus::Source;
pub use self::csv::{CsvOptions, import_csv, import_csv_bytes};
pub use self::idx::import_idx;
pub use self::input::Progress;
pub use self::records::Dialect;
pub use self::text::{TextOptions, import_csv_text, import_lines, import_text};
pub use self::text_columns::ColumnNames;
