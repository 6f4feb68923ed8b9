//! `cargo xtask ci`: everything that a change must pass, in one command.

mod quickstart;

use std::path::Path;
use std::time::Instant;

use anyhow::Context;

use crate::{cargo, layers};

/// Run everything that a change must pass; stops at the first step that fails
///
/// All steps use the release profile. Each prints a heading, and its duration at its end.
#[derive(clap::Args)]
pub struct Arguments {
    /// Run this step alone.
    #[arg(long, value_name = "STEP")]
    only: Option<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Step {
    /// The code is formatted as rustfmt does it.
    Fmt,
    /// Clippy has no warnings, for all targets and features.
    Clippy,
    /// Every test passes.
    Test,
    /// The documentation builds without warnings.
    Doc,
    /// The house rules hold (cargo xtask layers).
    Layers,
    /// The binary alone, in an empty folder with an empty home, trains and leaves nothing running.
    Quickstart,
}

impl Step {
    fn word(self) -> &'static str {
        match self {
            Step::Fmt => "fmt",
            Step::Clippy => "clippy",
            Step::Test => "test",
            Step::Doc => "doc",
            Step::Layers => "layers",
            Step::Quickstart => "quickstart",
        }
    }

    fn run(self, root: &Path) -> anyhow::Result<()> {
        match self {
            Step::Fmt => cargo::run(root, "fmt --all --check", &[]),
            Step::Clippy => cargo::run(
                root,
                "clippy --release --workspace --all-targets --all-features -- -D warnings",
                &[],
            ),
            Step::Test => cargo::run(root, "test --release --workspace", &[]),
            Step::Doc => cargo::run(
                root,
                "doc --release --workspace --no-deps",
                &[("RUSTDOCFLAGS", "-D warnings")],
            ),
            Step::Layers => layers::run(&layers::Arguments {}, root),
            Step::Quickstart => quickstart::check(root),
        }
    }
}

const STEPS: [Step; 6] = [
    Step::Fmt,
    Step::Clippy,
    Step::Test,
    Step::Doc,
    Step::Layers,
    Step::Quickstart,
];

/// Runs the steps.
///
/// # Errors
/// The first step that fails, named.
pub fn run(arguments: &Arguments, root: &Path) -> anyhow::Result<()> {
    for step in STEPS {
        if arguments.only.is_some_and(|only| only != step) {
            continue;
        }
        println!("== {}", step.word());
        let start = Instant::now();
        let result = step.run(root);
        let ending = if result.is_ok() { "passed" } else { "failed" };
        println!(
            "== {} {ending} after {:.1} s",
            step.word(),
            start.elapsed().as_secs_f64()
        );
        result.with_context(|| format!("step {} failed", step.word()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_step_runs_once_and_is_asked_for_by_its_word() {
        for step in Step::value_variants() {
            assert_eq!(
                STEPS.iter().filter(|other| *other == step).count(),
                1,
                "{step:?}"
            );
            assert_eq!(Step::from_str(step.word(), false), Ok(*step));
        }
    }

    #[test]
    fn a_step_that_fails_is_an_error_with_its_name() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let arguments = Arguments {
            only: Some(Step::Layers),
        };
        let error = run(&arguments, root.path()).expect_err("there is no changelog here");
        assert_eq!(
            format!("{error:#}"),
            "step layers failed: 1 findings in 0 files"
        );
    }
}
