//! `cargo xtask torch`: whole training steps of ours and of PyTorch on the CPU, side by side on this machine. Run by a
//! developer, not by CI.

mod contestant;
mod environment;

use std::path::Path;

use anyhow::{Context, ensure};

use crate::measured::Measured;
use crate::{cargo, scene};
use contestant::{Contestant, FirstSteps};
use environment::Environment;

/// Compare the speed of whole training steps with PyTorch's, on this machine's CPU
///
/// Fetches PyTorch into target/torch-venv unless TRAINYARD_TORCH_VENV names a virtual environment that has it. All sides
/// start from the same parameters and see the same batches; they take turns, in one order and then in the other.
#[derive(clap::Args)]
pub struct Arguments {
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

/// How far apart the losses after the first steps may be.
const LOSS_DIFFERENCE: f64 = 1e-3;

/// A network that is compared.
struct Comparison {
    job: &'static str,
    input: &'static str,
    threads: u32,
    /// The least ratio of our rate to the best of PyTorch's; `None`: for orientation.
    bar: Option<f64>,
}

impl Comparison {
    fn name(&self) -> String {
        let s = if self.threads == 1 { "" } else { "s" };
        format!("{}, {} thread{s}", self.job, self.threads)
    }
}

const CLASSES: &str = "10";

const COMPARISONS: [Comparison; 3] = [
    Comparison {
        job: "benches/simple-cnn.toml",
        input: "3x32x32",
        threads: 1,
        bar: Some(1.0),
    },
    Comparison {
        job: "jobs/fashion-cnn.toml",
        input: "1x28x28",
        threads: 1,
        bar: None,
    },
    Comparison {
        job: "jobs/fashion-cnn.toml",
        input: "1x28x28",
        threads: 2,
        bar: None,
    },
];

/// Runs the comparisons and prints what docs/benchmarks.md has.
///
/// # Errors
/// No PyTorch, a side that fails, losses that differ, a bar that is missed.
pub fn run(arguments: &Arguments, root: &Path) -> anyhow::Result<()> {
    let environment = Environment::prepare(root)?;
    let words = "bench --package engine --bench side_by_side --no-run";
    let ours = cargo::executable(root, words, "side_by_side")?;
    let folder = tempfile::tempdir().context("no temporary folder can be made")?;
    let mut missed = Vec::new();
    let mut scene_is_printed = false;
    for comparison in COMPARISONS
        .iter()
        .filter(|comparison| comparison.name().contains(&arguments.only))
    {
        let file = folder.path().join("batches.safetensors");
        environment.make(root, comparison.job, comparison.input, CLASSES, &file)?;
        let side = contestant::Side {
            root,
            ours: &ours,
            environment: &environment,
            job: comparison.job,
            input: comparison.input,
            classes: CLASSES,
            threads: comparison.threads,
            file: &file,
        };
        let before = scene::rows(root);
        let mut contestants = contestant::all(&side)?;
        if !scene_is_printed {
            scene_is_printed = true;
            print_scene(before, &contestants);
        }
        println!("### {}\n", comparison.name());
        let rates = take_turns(arguments, &mut contestants)?;
        missed.extend(judge(comparison, &contestants, &rates));
    }
    ensure!(missed.is_empty(), "{}", missed.join("; "));
    Ok(())
}

fn print_scene(mut rows: Vec<(&'static str, String)>, contestants: &[Contestant]) {
    let first = |contestant: &Contestant| contestant.first.clone();
    let (ours, torch) = (first(&contestants[0]), first(&contestants[1]));
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

/// Prints a comparison's table; what it misses.
fn judge(comparison: &Comparison, contestants: &[Contestant], rates: &[Measured]) -> Vec<String> {
    println!(
        "| | samples/s (median) | least | most | loss after {} steps |",
        contestants[0].first.losses.len()
    );
    println!("| --- | ---: | ---: | ---: | ---: |");
    for (contestant, rates) in contestants.iter().zip(rates) {
        let [median, least, most] = [rates.median(), rates.least(), rates.most()];
        let loss = contestant.first.loss_after;
        println!(
            "| {} | {median:.0} | {least:.0} | {most:.0} | {loss:.6} |",
            contestant.name
        );
    }
    let best = rates[1..].iter().map(Measured::median).fold(0.0, f64::max);
    let ratio = rates[0].median() / best;
    println!("\nRatio to the best of PyTorch: **{ratio:.2}**");
    let apart = contestants[1..]
        .iter()
        .map(|other| difference(&contestants[0].first, &other.first))
        .fold(0.0, f64::max);
    println!("\nLargest difference of a loss in and after these steps: {apart:.1e}\n");
    let mut missed = Vec::new();
    // A difference that is no number is missed too.
    if apart.is_nan() || apart > LOSS_DIFFERENCE {
        missed.push(format!(
            "{}: losses differ by {apart:.1e}, more than {LOSS_DIFFERENCE:.0e}",
            comparison.name()
        ));
    }
    if let Some(bar) = comparison.bar
        && ratio < bar
    {
        missed.push(format!(
            "{}: {ratio:.2} times PyTorch, the bar is {bar}",
            comparison.name()
        ));
    }
    missed
}

/// The largest difference between losses; not a number if one is none or they are not as many.
fn difference(a: &FirstSteps, b: &FirstSteps) -> f64 {
    if a.losses.len() != b.losses.len() {
        return f64::NAN;
    }
    let after = (a.loss_after, b.loss_after);
    let pairs = a
        .losses
        .iter()
        .copied()
        .zip(b.losses.iter().copied())
        .chain([after]);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, |most, next| {
        if next.is_nan() || next > most {
            next
        } else {
            most
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(losses: &[f64], loss_after: f64) -> FirstSteps {
        FirstSteps {
            losses: losses.to_vec(),
            loss_after,
            ..FirstSteps::default()
        }
    }

    #[test]
    fn the_difference_is_the_largest_and_nothing_passes_that_is_no_number() {
        let ours = steps(&[2.0, 1.5], 1.0);
        assert_eq!(difference(&ours, &steps(&[2.0, 1.25], 1.0)), 0.25);
        assert_eq!(difference(&ours, &steps(&[2.0, 1.5], 1.5)), 0.5);
        assert!(difference(&ours, &steps(&[2.0], 1.0)).is_nan());
        assert!(difference(&ours, &steps(&[f64::NAN, 1.5], 1.0)).is_nan());
    }
}
