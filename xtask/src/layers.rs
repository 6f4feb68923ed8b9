//! `cargo xtask layers`: the house rules that a machine can check, one file per rule.

mod changelog;
mod circles;
mod errors_page;
mod file_names;
mod finding;
mod floors;
mod length;
mod modules;
mod paths;
mod source;
mod tree;
mod unsafety;
mod wire;

use std::path::Path;

use finding::Finding;
use tree::Tree;

/// Check the house rules: floors, import circles, file lengths and names, unsafe, generated types, pages
///
/// Reads the checkout as it is and changes nothing. Each finding is one line, FILE:LINE: what is wrong and what to do;
/// any finding makes the exit status 1.
#[derive(clap::Args)]
pub struct Arguments {}

struct Check {
    name: &'static str,
    run: fn(&Tree) -> Vec<Finding>,
}

const CHECKS: [Check; 8] = [
    Check {
        name: "floors",
        run: floors::check,
    },
    Check {
        name: "circles",
        run: circles::check,
    },
    Check {
        name: "length",
        run: length::check,
    },
    Check {
        name: "file names",
        run: file_names::check,
    },
    Check {
        name: "unsafe",
        run: unsafety::check,
    },
    Check {
        name: "generated types",
        run: wire::check,
    },
    Check {
        name: "docs/errors.md",
        run: errors_page::check,
    },
    Check {
        name: "changelog",
        run: changelog::check,
    },
];

/// Runs every check over the checkout at `root` and prints what is found.
///
/// # Errors
/// Anything found, and a file that cannot be read.
pub fn run(_: &Arguments, root: &Path) -> anyhow::Result<()> {
    let tree = Tree::read(root)?;
    let mut count = 0;
    for check in &CHECKS {
        let mut findings = (check.run)(&tree);
        findings.sort();
        count += findings.len();
        for finding in findings {
            println!("{}: {finding}", check.name);
        }
    }
    anyhow::ensure!(count == 0, "{count} findings in {} files", tree.len());
    println!(
        "{} checks over {} files found nothing",
        CHECKS.len(),
        tree.len()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_finding_of_any_check_is_an_error_and_a_clean_tree_is_none() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        let result = || run(&Arguments {}, root.path());
        write("Cargo.toml", "[workspace]");
        write("CHANGELOG.md", "## Unreleased\n- a room\n");
        write("spec/Cargo.toml", "[package]\nname = \"spec\"");
        write("spec/src/lib.rs", "#![forbid(unsafe_code)]");
        result().expect("a clean tree");
        for (path, bad) in [
            (
                "spec/Cargo.toml",
                "[package]\nname = \"spec\"\n[dependencies]\nplan = \"1\"",
            ),
            (
                "spec/src/lib.rs",
                "#![forbid(unsafe_code)] mod a; pub use a::A; pub struct B;",
            ),
            ("spec/src/a.rs", &"\n".repeat(401)),
            ("spec/src/utils.rs", ""),
            ("spec/src/a.rs", "unsafe fn f() {}"),
            ("spec/src/a.rs", "use proto::v1::X;"),
            ("docs/errors.md", "| a | s | 2 | absent |"),
            ("CHANGELOG.md", ""),
        ] {
            if path.ends_with("lib.rs") {
                write("spec/src/a.rs", "use crate::B; pub struct A;");
            }
            let good = fs::read_to_string(root.path().join(path)).ok();
            write(path, bad);
            let error = result().expect_err(path).to_string();
            assert!(error.starts_with("1 findings"), "{path}: {error}");
            match good {
                Some(good) => write(path, &good),
                None => fs::remove_file(root.path().join(path)).expect("the file was written"),
            }
        }
    }
}
