//! The CPU: one arena in host memory, kernels chosen by the instruction set found at run time. The only place of this
//! crate with `unsafe`.

pub(crate) mod arena;
mod channel;
mod class;
mod convolution;
pub(crate) mod device;
pub(crate) mod dropout;
mod functions;
mod gather;
mod layout;
mod matmul;
mod measure;
mod normed;
mod pointwise;
mod product;
mod recurrent;
mod reduce;
mod rowwise;
mod shared;
mod sync_norm;
mod update;
mod wide;
mod wide_cell;
mod wide_loss;
mod wide_norm;
mod wide_update;
mod window;
mod winograd;

pub use class::device_class;
pub use measure::{Layout, product_seconds};
