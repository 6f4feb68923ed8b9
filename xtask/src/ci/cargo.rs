//! The cargo that the steps run.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;

/// The cargo that runs this program, else the one on the path, with its words of arguments, at the root, without input.
pub fn command(root: &Path, words: &str) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command
        .args(words.split(' '))
        .current_dir(root)
        .stdin(Stdio::null());
    command
}

/// Runs cargo to its end, with more variables in its environment.
///
/// # Errors
/// No cargo, or one that fails.
pub fn run(root: &Path, words: &str, variables: &[(&str, &str)]) -> anyhow::Result<()> {
    let status = command(root, words)
        .envs(variables.iter().copied())
        .status()
        .context("cargo cannot be started")?;
    anyhow::ensure!(status.success(), "cargo {words}: {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cargo_that_fails_is_an_error_with_its_words() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let error =
            run(root.path(), "locate-project --quiet", &[]).expect_err("there is no package here");
        assert_eq!(
            error.to_string(),
            "cargo locate-project --quiet: exit status: 101"
        );
        run(root.path(), "--version", &[]).expect("cargo tells its version anywhere");
    }
}
