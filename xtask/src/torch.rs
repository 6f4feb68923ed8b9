//! `cargo xtask torch`: ours and PyTorch's side by side on this machine: whole training steps on the CPU, and models that
//! were exported. Run by a developer, not by CI.

mod comparison;
mod contestant;
mod environment;
mod export;

use std::path::Path;

use anyhow::{Context, ensure};

use crate::measured::Measured;
use crate::{cargo, scene};
use comparison::{Outcome, Side};
use contestant::Contestant;
use environment::Environment;

/// Compare exported models, and the speed of whole training steps, with PyTorch's on this machine's CPU
///
/// Without a command both, the exported models first. Fetches PyTorch into target/torch-venv unless TRAINYARD_TORCH_VENV names a virtual environment that has it. All sides
/// start from the same parameters and see the same batches; they take turns, in one order and then in the other.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// Turns of each side.
    #[arg(long, value_name = "N", default_value_t = 7)]
    rounds: usize,
    /// Seconds a turn.
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    seconds: f64,
    /// Only comparisons whose name contains this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
}

/// One comparison alone.
#[derive(clap::Subcommand)]
enum Part {
    Export(export::Arguments),
}

/// Runs the comparisons and prints what docs/benchmarks.md has.
///
/// # Errors
/// No PyTorch, a side that fails, losses that differ, a bar that is missed.
pub fn run(arguments: &Arguments, root: &Path) -> anyhow::Result<()> {
    let environment = Environment::prepare(root)?;
    let exported = match &arguments.part {
        Some(Part::Export(arguments)) => return export::run(arguments, root, &environment),
        None => export::run(&export::Arguments::default(), root, &environment),
    };
    let words = "bench --package engine --bench side_by_side --no-run";
    let ours = cargo::executable(root, words, "side_by_side")?;
    let folder = tempfile::tempdir().context("no temporary folder can be made")?;
    let (mut outcomes, mut scene_is_printed) = (Vec::new(), false);
    for comparison in
        comparison::all().filter(|comparison| comparison.name().contains(&arguments.only))
    {
        let network = comparison.network;
        let file = folder.path().join("batches.safetensors");
        environment.make(root, network.job, network.input, network.classes, &file)?;
        let before = scene::rows(root);
        let mut contestants = contestant::all(&contestant::Side {
            root,
            ours: &ours,
            environment: &environment,
            job: network.job,
            input: network.input,
            classes: network.classes,
            pictures: network.pictures,
            threads: comparison.threads,
            microbatches: network.microbatches,
            file: &file,
        })?;
        if !scene_is_printed {
            scene_is_printed = true;
            print_scene(before, &contestants);
        }
        let rates = take_turns(arguments, &mut contestants)?;
        let sides = contestants.iter().zip(rates);
        let sides: Vec<Side> = sides
            .map(|(contestant, rates)| Side {
                name: contestant.name.clone(),
                first: contestant.first.clone(),
                rates,
            })
            .collect();
        let outcome = Outcome::new(comparison, &sides);
        comparison.print(&sides, &outcome);
        outcomes.push(outcome);
    }
    comparison::summarize(&outcomes);
    let missed: Vec<String> = outcomes.iter().flat_map(Outcome::missed).collect();
    ensure!(missed.is_empty(), "{}", missed.join("; "));
    exported
}

fn print_scene(mut rows: Vec<(&'static str, String)>, contestants: &[Contestant]) {
    let first = |contestant: &Contestant| contestant.first.clone();
    let (ours, torch) = (first(&contestants[0]), first(&contestants[2]));
    rows.push(("trainyard", format!("{}, {}", ours.version, ours.kernels)));
    rows.push(("PyTorch", torch.version));
    scene::print(&rows);
}

/// Every contestant measures once a round; every other round in the opposite order.
fn take_turns(
    arguments: &Arguments,
    contestants: &mut [Contestant],
) -> anyhow::Result<Vec<Measured>> {
    let mut rates = vec![Measured::default(); contestants.len()];
    for round in 0..arguments.rounds.max(1) {
        let mut order: Vec<usize> = (0..contestants.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for number in order {
            rates[number].push(contestants[number].rate(arguments.seconds)?);
        }
    }
    Ok(rates)
}
