//! The families in plain loops, in f32 and f64, one thread: the specification of every kernel. Fast kernels are compared
//! with it; f64 runs on it.

pub(crate) mod activation;
pub(crate) mod average;
pub(crate) mod batch_norm;
pub(crate) mod cell;
mod channel;
pub(crate) mod device;
pub(crate) mod dropout;
pub(crate) mod functions;
pub(crate) mod gather;
pub(crate) mod group_norm;
pub(crate) mod loss;
mod matmul;
pub(crate) mod max_pool;
pub(crate) mod pointwise;
mod recurrent;
pub(crate) mod reduce;
pub(crate) mod rowwise;
pub(crate) mod softmax;
pub(crate) mod sums;
mod sync_norm;
pub(crate) mod update;
mod window;
