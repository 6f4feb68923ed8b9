//! The words of Trainyard: what a job file says, what a model is made of, the names of things, the states they are
//! in and the reports they send. Nothing here reads a file, a clock or the network.
//!
//! Shape legend, used throughout the workspace: `N` samples, `C` channels, `H` height, `W` width, `F` features.
#![forbid(unsafe_code)]

pub mod bytes;
pub mod checkpoint;
pub mod dataset;
pub mod digest;
pub mod ema;
pub mod footprint;
pub mod group;
pub mod id;
pub mod init;
pub mod job;
pub mod job_file;
pub mod keeping;
pub mod loss;
pub mod metric;
pub mod model;
pub mod monitor;
pub mod offer;
pub mod pattern;
pub mod random;
pub mod rank;
pub mod rates;
pub mod recurrent;
pub mod schedule;
pub mod shape;
pub mod state;
pub mod tokenizer;
pub mod watch;

pub use checkpoint::CheckpointManifest;
pub use dataset::DatasetManifest;
pub use digest::Digest;
pub use id::{AttemptId, JobId, WorkerId};
pub use job::Job;
pub use metric::MetricRow;
pub use shape::Shape;
