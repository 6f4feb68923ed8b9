//! The networks that are compared, what they must reach, and how they fared.

use crate::measured::Measured;
use crate::torch::contestant::FirstSteps;

/// How far apart losses may be, to the larger of 1 and ours.
const LOSS_DIFFERENCE: f64 = 1e-3;

/// The most of PyTorch's memory that ours may take.
const MEMORY: f64 = 0.5;

/// A network, and its bars.
pub struct Network {
    pub job: &'static str,
    pub input: &'static str,
    pub classes: &'static str,
    /// Whether its samples are pictures, for which PyTorch has a second layout.
    pub pictures: bool,
    /// What our second contestant cuts a batch into.
    pub microbatches: u32,
    /// The least ratio of our rate to the best of PyTorch's, on one thread and on two.
    pub bars: [f64; 2],
    /// The least ratio of our rate with these microbatches to that with one.
    pub kept: f64,
}

const NETWORKS: [Network; 5] = [
    Network {
        job: "benches/simple-cnn.toml",
        input: "3x32x32",
        classes: "10",
        pictures: true,
        microbatches: 8,
        bars: [1.5, 1.5],
        kept: 0.85,
    },
    Network {
        job: "benches/fashion-cnn.toml",
        input: "1x28x28",
        classes: "10",
        pictures: true,
        microbatches: 8,
        bars: [1.0, 1.0],
        kept: 0.85,
    },
    Network {
        job: "benches/mlp.toml",
        input: "784",
        classes: "10",
        pictures: false,
        microbatches: 8,
        bars: [1.15, 1.3],
        kept: 0.75,
    },
    Network {
        job: "benches/char-lstm.toml",
        input: "64tokens",
        classes: "65",
        pictures: false,
        microbatches: 8,
        bars: [1.0, 1.0],
        kept: 0.85,
    },
    Network {
        job: "benches/word-lstm.toml",
        input: "35tokens",
        classes: "10000",
        pictures: false,
        microbatches: 4,
        bars: [1.0, 1.0],
        kept: 0.85,
    },
];

/// A network on a number of threads.
#[derive(Clone, Copy)]
pub struct Comparison {
    pub network: &'static Network,
    pub threads: u32,
}

/// What one contestant did.
pub struct Side {
    /// What the table calls it.
    pub name: String,
    pub first: FirstSteps,
    /// Samples per second of each turn.
    pub rates: Measured,
}

/// What became of a comparison.
pub struct Outcome {
    comparison: Comparison,
    /// Our rate to the best of PyTorch's.
    ratio: f64,
    /// Our rate with several microbatches to that with one.
    kept: f64,
    /// Our memory to that of PyTorch's fastest.
    memory: f64,
    /// The largest difference of a loss, ours with one microbatch and PyTorch's.
    apart: f64,
}

/// Every network on one thread and on two.
pub fn all() -> impl Iterator<Item = Comparison> {
    NETWORKS
        .iter()
        .flat_map(|network| [1, 2].map(|threads| Comparison { network, threads }))
}

impl Comparison {
    /// What a heading calls it.
    pub fn name(&self) -> String {
        let s = if self.threads == 1 { "" } else { "s" };
        format!("{}, {} thread{s}", self.network.job, self.threads)
    }

    fn bar(&self) -> f64 {
        self.network.bars[self.threads as usize - 1]
    }

    /// Prints the table of one comparison.
    pub fn print(&self, sides: &[Side], outcome: &Outcome) {
        println!("### {}\n", self.name());
        println!(
            "| | samples/s (median) | least | most | loss after {} steps | memory, MiB |",
            sides[0].first.losses.len()
        );
        println!("| --- | ---: | ---: | ---: | ---: | ---: |");
        for Side { name, first, rates } in sides {
            let [median, least, most] = [rates.median(), rates.least(), rates.most()];
            let (loss, memory) = (first.loss_after, first.memory_bytes / f64::from(1 << 20));
            println!("| {name} | {median:.0} | {least:.0} | {most:.0} | {loss:.6} | {memory:.1} |");
        }
        println!(
            "\nRatio to the best of PyTorch: **{:.2}**. Largest difference of a loss in and after these steps: {:.1e}\n",
            outcome.ratio, outcome.apart
        );
    }
}

impl Outcome {
    /// Of ours with one microbatch, ours with several, and each of PyTorch's.
    pub fn new(comparison: Comparison, sides: &[Side]) -> Outcome {
        let (ours, torch) = (&sides[0], &sides[2..]);
        let rate = |side: &Side| side.rates.median();
        let best = torch
            .iter()
            .max_by(|a, b| rate(a).total_cmp(&rate(b)))
            .expect("PyTorch runs at least once");
        let apart = torch
            .iter()
            .map(|other| difference(&ours.first, &other.first));
        Outcome {
            comparison,
            ratio: rate(ours) / rate(best),
            kept: rate(&sides[1]) / rate(ours),
            memory: ours.first.memory_bytes / best.first.memory_bytes,
            apart: apart.fold(0.0, largest),
        }
    }

    /// The bars that were not reached. A ratio that is no number reaches none.
    pub fn missed(&self) -> Vec<String> {
        let network = self.comparison.network;
        let microbatches = network.microbatches;
        let least = [
            (
                self.ratio,
                self.comparison.bar(),
                "of PyTorch's rate".to_string(),
            ),
            (
                self.kept,
                network.kept,
                format!("of its own rate with {microbatches} microbatches"),
            ),
        ];
        let most = [
            (self.memory, MEMORY, "of PyTorch's memory"),
            (self.apart, LOSS_DIFFERENCE, "between losses"),
        ];
        let name = self.comparison.name();
        let below = least
            .into_iter()
            .filter(|(got, bar, _)| got.is_nan() || got < bar);
        let above = most
            .into_iter()
            .filter(|(got, bar, _)| got.is_nan() || got > bar);
        below
            .map(|(got, bar, of)| format!("{name}: {got:.2} {of}, the bar is {bar}"))
            .chain(above.map(|(got, bar, of)| format!("{name}: {got:.2e} {of}, at most {bar}")))
            .collect()
    }
}

/// Prints all outcomes in one table.
pub fn summarize(outcomes: &[Outcome]) {
    println!("### All\n");
    println!(
        "| | to PyTorch's rate | bar | with microbatches, to one | bar | to PyTorch's memory | bar |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for outcome in outcomes {
        let (comparison, network) = (&outcome.comparison, outcome.comparison.network);
        println!(
            "| {} | **{:.2}** | {} | {:.2} ({} microbatches) | {} | {:.2} | {MEMORY} |",
            comparison.name(),
            outcome.ratio,
            comparison.bar(),
            outcome.kept,
            network.microbatches,
            network.kept,
            outcome.memory,
        );
    }
    println!();
}

/// The larger one; not a number if one is none.
fn largest(most: f64, next: f64) -> f64 {
    if next.is_nan() || next > most {
        next
    } else {
        most
    }
}

/// The largest difference between losses, to the larger of 1 and ours; not a number if one is none or they are not as many.
fn difference(a: &FirstSteps, b: &FirstSteps) -> f64 {
    if a.losses.len() != b.losses.len() {
        return f64::NAN;
    }
    let pairs = a.losses.iter().zip(&b.losses);
    let pairs = pairs.chain([(&a.loss_after, &b.loss_after)]);
    pairs
        .map(|(a, b)| (a - b).abs() / a.abs().max(1.0))
        .fold(0.0, largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(losses: &[f64], loss_after: f64) -> FirstSteps {
        FirstSteps {
            losses: losses.to_vec(),
            loss_after,
            memory_bytes: 1e6,
            ..FirstSteps::default()
        }
    }

    fn side(rate: f64, memory_bytes: f64) -> Side {
        let mut rates = Measured::default();
        rates.push(rate);
        let first = FirstSteps {
            memory_bytes,
            ..steps(&[2.0, 1.5], 1.0)
        };
        Side {
            name: "a side".to_string(),
            first,
            rates,
        }
    }

    #[test]
    fn the_difference_is_the_largest_and_nothing_passes_that_is_no_number() {
        let ours = steps(&[2.0, 1.5], 1.0);
        assert_eq!(difference(&ours, &steps(&[1.75, 1.5], 1.0)), 0.125);
        assert_eq!(difference(&ours, &steps(&[2.0, 1.5], 1.5)), 0.5);
        assert!(difference(&ours, &steps(&[2.0], 1.0)).is_nan());
        assert!(difference(&ours, &steps(&[f64::NAN, 1.5], 1.0)).is_nan());
    }

    #[test]
    fn ratios_are_to_the_fastest_of_pytorch_and_what_falls_short_is_told() {
        let comparison = all().next().expect("a first network");
        let sides = [
            side(30.0, 1e6),
            side(24.0, 1e6),
            side(10.0, 9e6),
            side(20.0, 4e6),
        ];
        let outcome = Outcome::new(comparison, &sides);
        assert_eq!(
            (outcome.ratio, outcome.kept, outcome.memory),
            (1.5, 0.8, 0.25)
        );
        assert_eq!(
            outcome.missed(),
            [
                "benches/simple-cnn.toml, 1 thread: 0.80 of its own rate with 8 microbatches, the bar is 0.85"
            ]
        );
        let slow = [side(f64::NAN, 3e6), side(24.0, 1e6), side(20.0, 4e6)];
        assert_eq!(Outcome::new(comparison, &slow).missed().len(), 3);
    }
}
