//! The coordinator: the one server. It accepts jobs, decides what runs where, and owns the truth.
#![forbid(unsafe_code)]

pub mod admission;
mod driver;
mod error;
pub mod ledger;
mod roster;
mod server;
mod service;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use server::{Config, run};
