//! The wire: the generated code of `proto/trainyard/v1/trainyard.proto` and the conversions between it and the words of
//! `spec`. Conversions from the wire check (`TryFrom`, `decode_*`), so that the inside never checks again.
#![forbid(unsafe_code)]

mod document;
mod error;
mod offer;
mod order;
mod rates;
mod report;
mod row;
#[cfg(test)]
mod tests;
pub mod v1;

pub use document::{decode_checkpoint, decode_dataset, decode_job};
pub use error::Error;
pub use order::{Command, RankOrder};
pub use report::{RankReport, RankStatus};

/// The encoded descriptors of the services, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The largest message that a server accepts, in bytes: a chunk and its envelope. The largest chunks are a row of 64 MiB
/// and the labels of a split, 4 bytes a row.
pub const MAX_MESSAGE_BYTES: usize = 72 << 20;

/// The largest reply that a client accepts, in bytes: a list of all manifests.
pub const MAX_REPLY_BYTES: usize = 256 << 20;
