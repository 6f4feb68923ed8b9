//! The virtual environment that has PyTorch.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

const VARIABLE: &str = "TRAINYARD_TORCH_VENV";

const PACKAGES: [&str; 5] = ["torch", "numpy", "safetensors", "onnx", "onnxruntime"];

/// The script that is PyTorch's side.
pub const SCRIPT: &str = "benches/torch_side_by_side.py";

/// A virtual environment with PyTorch.
pub struct Environment {
    /// Its interpreter.
    pub python: PathBuf,
}

impl Environment {
    /// The environment that the variable names, else one under target, made and filled if it is not there.
    ///
    /// # Errors
    /// No Python, or packages that cannot be fetched.
    pub fn prepare(root: &Path) -> anyhow::Result<Self> {
        let folder = std::env::var_os(VARIABLE).map(PathBuf::from);
        let folder = folder.unwrap_or_else(|| root.join("target/torch-venv"));
        let python = folder.join("bin/python");
        if !python.is_file() {
            succeed(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        }
        let wanted = format!("import {}", PACKAGES.join(", "));
        let has = Command::new(&python).args(["-c", &wanted]).output();
        if !has.is_ok_and(|output| output.status.success()) {
            eprintln!("fetching {} into {}", PACKAGES.join(", "), folder.display());
            let install = ["-m", "pip", "install", "--quiet", "--upgrade"];
            succeed(Command::new(&python).args(install).args(PACKAGES))?;
        }
        Ok(Environment { python })
    }

    /// Writes initial parameters and batches for both sides.
    ///
    /// # Errors
    /// A script that fails.
    pub fn make(
        &self,
        root: &Path,
        job: &str,
        input: &str,
        classes: &str,
        file: &Path,
    ) -> anyhow::Result<()> {
        let mut command = Command::new(&self.python);
        command
            .current_dir(root)
            .args([SCRIPT, "make", job, input, classes]);
        succeed(command.arg(file))
    }
}

/// Runs a command whose talk goes to stderr.
fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("{program} cannot be started"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
