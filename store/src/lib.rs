//! The strong-room: records and chunks that survive a crash.
//!
//! A [`Store`] keeps two things. **Records** are small values under ordered keys; a [`Batch`] of
//! them is applied whole, and is durable before [`Store::commit`] returns. **Chunks** are immutable
//! bytes under their BLAKE3 digest, kept once however often they are put, alive as long as a record
//! refers to them (the batch counts references) or a [`Pin`] holds them, verified on every read.
//!
//! [`Disk`] keeps records in sled and chunks in pack files beside it; [`Memory`] is its twin for
//! simulations, with the same visible results. The store knows nothing of jobs or datasets: keys,
//! values and chunks are bytes. `README.md` beside this crate has the layout on disk and the order
//! of writes.

#![forbid(unsafe_code)]

mod batch;
mod digest;
mod disk;
mod error;
mod memory;
mod pin;
mod range;
mod store;

pub use batch::Batch;
pub use digest::ChunkDigest;
pub use disk::Disk;
pub use error::Error;
pub use memory::Memory;
pub use pin::Pin;
pub use store::{Collected, MAX_KEY_BYTES, Record, Store, Usage};
