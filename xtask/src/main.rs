//! The project's own chores, run as `cargo xtask COMMAND`. Each command is one file beside this one.
#![forbid(unsafe_code)]

mod cargo;
mod ci;
mod latency;
mod layers;
mod measured;
mod predict;
mod scene;
mod torch;
mod yard;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

/// The project's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Layers(layers::Arguments),
    Ci(ci::Arguments),
    Torch(torch::Arguments),
    Latency(latency::Arguments),
    Predict(predict::Arguments),
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let root = workspace_root()?;
    match arguments.command {
        Command::Layers(arguments) => layers::run(&arguments, &root),
        Command::Ci(arguments) => ci::run(&arguments, &root),
        Command::Torch(arguments) => torch::run(&arguments, &root),
        Command::Latency(arguments) => latency::run(&arguments, &root),
        Command::Predict(arguments) => predict::run(&arguments, &root),
    }
}

/// The nearest folder from here upwards that holds this program's source.
fn workspace_root() -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir().context("the current folder cannot be read")?;
    let root = here
        .ancestors()
        .find(|folder| folder.join("xtask/Cargo.toml").is_file());
    root.map(PathBuf::from)
        .with_context(|| format!("{} is not inside a checkout of Trainyard", here.display()))
}
