//! The way to the coordinator: its depot for ranks and tools, its stream for the agent. With `link` and `remote`, the only
//! place in this crate that knows generated types.

mod link;
mod remote;

pub(crate) use link::{Hello, Link, LinkError, Upward};
pub use remote::Remote;
