//! The layers, one per file: each turns its stage of the plan into calls of one family, forward and backward below each
//! other. Flatten is the same memory under another shape: the plan gives it no stage.

pub(crate) mod activation;
pub(crate) mod avg_pool2d;
pub(crate) mod batch_norm;
pub(crate) mod conv2d;
pub(crate) mod dropout;
pub(crate) mod embedding;
pub(crate) mod group_norm;
pub(crate) mod linear;
pub(crate) mod loss;
pub(crate) mod max_pool2d;
pub(crate) mod over_time;
pub(crate) mod recurrent;
pub(crate) mod relu;
pub(crate) mod residual;
pub(crate) mod softmax;
pub(crate) mod sync_norm;
pub(crate) mod views;
