//! The job file (DESIGN section 8): TOML in, a checked [`Job`](crate::job::Job) with all defaults out, or all mistakes
//! of the file at once, each with its place, what was expected and the nearest valid spelling.

mod activation;
mod choice;
mod data;
mod dropout;
mod ema;
mod expected;
mod field;
mod found;
mod group;
mod init;
mod job;
mod keys;
mod layer;
mod loss;
mod metric;
mod mistake;
mod name;
mod nested;
mod normalization;
mod optimizer;
mod overrides;
mod parse;
mod position;
mod render;
mod render_rules;
mod resources;
mod schedule;
mod sequence;
mod spelling;
#[cfg(test)]
mod tests;
mod training;
mod tree;
mod window;

pub use data::{ParseSplitError, parse_split};
pub use expected::{Bound, Expected, Interval};
pub use mistake::{Mistake, Mistakes, Wrong};
pub use name::is_name;
pub use parse::{group_positions, init_positions, layer_positions, parse, parse_with};
pub use render::render;
pub use training::default_microbatches;
