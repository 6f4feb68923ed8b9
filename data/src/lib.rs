//! Imports, preprocesses and samples datasets. Sees bytes, not the store.
//!
//! A dataset is cut into immutable chunks of rows or tokens ([`chunk`]) that an importer ([`import`]) puts into a [`ChunkSink`];
//! a rank reads them back from a [`ChunkSource`] ([`rows`]), in an order that is a pure function of position
//! ([`order`]), and gets them as microbatches, normalised or packed, from a thread of their own ([`loader`]).
//!
//! Shape legend: `N` samples, `C` channels, `H` height, `W` width, `F` features.
#![forbid(unsafe_code)]

pub mod batch;
mod cache;
pub mod chunk;
mod cut;
pub mod digits;
pub mod encoder;
pub mod error;
pub mod fault;
mod folding;
pub mod import;
pub mod layout;
pub mod loader;
#[cfg(test)]
mod memory;
pub mod normalize;
pub mod order;
mod packing;
pub mod preprocessing;
pub mod rows;
pub mod selection;
pub mod sink;
pub mod source;
mod splitter;
pub mod sums;
mod text_fault;
mod token_count;

pub use batch::{Batch, Microbatch, Microbatches};
pub use digits::DIGITS_CSV_GZ;
pub use encoder::Encoder;
pub use error::{Error, Part, Place};
pub use import::{
    ColumnNames, CsvOptions, Dialect, Progress, Source, TextOptions, import_csv, import_csv_bytes,
    import_csv_text, import_idx, import_lines, import_text,
};
pub use loader::Loader;
pub use order::{Order, Sampling};
pub use preprocessing::{
    preprocessing, preprocessing_none, preprocessing_standard, preprocessing_unit,
};
pub use rows::Rows;
pub use selection::Selection;
pub use sink::{ChunkSink, SinkError};
pub use source::{ChunkSource, SourceError};
pub use splitter::Splitter;
pub use sums::ChannelSums;
pub use text_fault::TextFault;
