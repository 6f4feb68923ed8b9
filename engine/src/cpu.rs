//! The CPU: one arena in host memory, kernels chosen by the instruction set found at run time. The only place of this
//! crate with `unsafe`.

pub(crate) mod arena;
mod class;

pub use class::device_class;
