//! Runs a plan on a device. Knows no job and no network: it is given batches, and gives back sums of gradients, records
//! and the state after an update.
//!
//! Gradients of a microbatch are assigned, never added; they are sums over its samples. The division by their number comes
//! after the fold, in [`Engine::apply`]. The bits of a result depend on the plan and the device class alone: not on the
//! number of threads, and not on what ran before.
//!
//! Shape legend: `N` samples, `C` channels, `H` height, `W` width, `F` features. Tensors are dense, rightmost extent
//! fastest.
#![deny(unsafe_code)]

mod backend;
mod batch;
#[allow(unsafe_code)]
mod cpu;
mod dimension;
mod draw;
mod engine;
mod error;
mod extent;
mod float;
mod init;
mod joint;
mod layers;
mod operands;
mod optimizer;
mod packing;
mod pool;
mod record;
mod reference;
mod sequence_operands;
mod synthetic;
mod tally;

pub use batch::{Batch, Moment, Samples, Targets};
pub use cpu::{Layout, device_class, product_seconds};
pub use dimension::Dimension;
pub use engine::apply::{StepResult, Update};
pub use engine::clock::StageTimes;
pub use engine::faults::Fault;
pub use engine::{Engine, Times};
pub use error::Error;
pub use float::Float;
pub use joint::{Joint, Meeting, WaveError};
pub use record::add_record;
pub use synthetic::Synthetic;
pub use tally::{Sums, Tally};
