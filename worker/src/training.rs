//! Training and evaluation of one rank: from a job and a depot to rows, checkpoints and a final state. Knows no process
//! and no pipe: a rank process and `trainyard run` use it alike.

mod divergence;
mod evaluation;
mod failure;
mod microbatch;
mod pace;
mod profile;
mod progress;
mod session;
mod state;
mod steps;
#[cfg(test)]
mod tests;
mod wave;

pub use evaluation::{Evaluation, alone, evaluate};
pub use profile::{Inference, Pace, Profile, StagePace, Subject, profile};
pub use session::Training;
pub use state::{Weights, weights};
pub use steps::Done;
