//! Checkpoints in the formats of others: PyTorch's state dict as a safetensors file, there and back, and ONNX. Pure: from a
//! plan and flat buffers to the bytes of a file, and from bytes to flat buffers.
//!
//! - `state_dict`: which tensors PyTorch's `nn.Sequential` of a plan's layers has, and where their values stand;
//! - [`safetensors`]: that state dict as a file;
//! - [`import`]: such a file into the buffers of a plan;
//! - [`onnx`]: the network as a graph that takes raw samples and gives logits.
#![forbid(unsafe_code)]

mod error;
mod exported;
mod import;
mod onnx;
mod safetensors;
mod state_dict;
#[cfg(test)]
mod tests;

pub use error::{Error, Mismatch};
pub use exported::Exported;
pub use import::{Imported, import};
pub use onnx::{Input, onnx};
pub use safetensors::safetensors;
