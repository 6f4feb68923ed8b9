//! Imports files into chunked datasets. An import streams: it keeps one chunk of rows in memory, and 4 bytes a row for
//! the labels. The same content and options give the same manifest, compressed or not.

mod classes;
mod columns;
mod csv;
mod idx;
mod input;
mod split;

pub use self::csv::{CsvOptions, import_csv, import_csv_bytes};
pub use self::idx::import_idx;
pub use self::input::Progress;
