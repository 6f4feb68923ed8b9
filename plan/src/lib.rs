//! Model and batch to layers with resolved shapes, buffers with lifetimes, one arena, FLOPs and bytes. Pure: no I/O, no
//! clock, no randomness, so that a coordinator without a device knows what a rank will use.
//!
//! Shape legend: `N` samples, `C` channels, `H` height, `W` width, `F` features. Sizes are in f32 words of 4 bytes.
#![forbid(unsafe_code)]

mod arena;
mod buffers;
mod capacity;
mod cost;
mod dense;
mod error;
mod extent;
mod gradients;
mod group;
mod initial;
mod job;
mod lane;
mod lifetime;
mod memory;
mod objective;
mod op;
mod parameter;
mod plan;
mod predict;
mod recurrent;
mod resolve;
mod sequence;
mod signal;
mod stage;
mod tail;
mod warning;
mod window;
mod winograd;
mod work;

#[cfg(test)]
mod tests;

pub use buffers::{Places, ROW_BYTES};
pub use capacity::{Misfit, Room, Whose, fit};
pub use dense::{DenseWork, GEMM_BLOCK, GEMM_DEPTH, GEMM_STRIPS, GEMM_WORDS, packed_words};
pub use error::Error;
pub use group::Stretch;
pub use job::{Reads, collective_bytes, for_job, to_evaluate};
pub use lifetime::Buffer;
pub use memory::{Kinds, Memory};
pub use objective::Objective;
pub use op::{
    BatchNorm, Conv2d, Dropout, Embedding, Geometry, GroupNorm, Linear, Op, OverTime, Recurrent,
    Scale, Softmax, TimeKind,
};
pub use parameter::{Init, Parameter, Statistic};
pub use plan::{Mode, Plan, Request, Rules, plan};
pub use predict::{Placement, Prediction, StagePrediction, Unmeasured, predict};
pub use recurrent::{Kept, RecurrentStage, RecurrentWork};
pub use resolve::Layer;
pub use signal::{Per, Signal};
pub use stage::{Dense, Stage, StageKind, Window};
pub use tail::{ByClass, Tail};
pub use warning::Warning;
pub use window::{TILE, Unfolded, WindowWork};
pub use winograd::{WINOGRAD_INPUTS, WINOGRAD_OUTPUTS, WINOGRAD_POINTS, Winograd};
pub use work::StageWork;
