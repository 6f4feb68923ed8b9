//! The cargo that the chores run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use serde_json::Value;

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

/// Builds with these words of arguments and returns where cargo says that the executable of `target` is.
///
/// # Errors
/// No cargo, a build that fails, no such target.
pub fn executable(root: &Path, words: &str, target: &str) -> anyhow::Result<PathBuf> {
    let words = format!("{words} --message-format=json-render-diagnostics");
    let output = command(root, &words)
        .stderr(Stdio::inherit())
        .output()
        .context("cargo cannot be started")?;
    anyhow::ensure!(output.status.success(), "cargo {words}: {}", output.status);
    let text = String::from_utf8(output.stdout).context("cargo's messages are not UTF-8")?;
    text.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == target)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .with_context(|| format!("cargo names no executable {target}"))
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
