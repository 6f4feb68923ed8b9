//! Files are called by what they hold: no `mod.rs`, no drawers for odds and ends, and every `.cu` beside the `.rs` that
//! launches it.

use super::finding::Finding;
use super::tree::Tree;

/// Names that say nothing about what is inside.
const DRAWERS: [&str; 11] = [
    "base", "common", "core", "helper", "helpers", "manager", "misc", "types", "util", "utility",
    "utils",
];

/// Finds files and folders with such names, and kernels without a launcher.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, _) in tree.files("rs").chain(tree.files("cu")) {
        let (stem, _) = path.rsplit_once('.').expect("the extension was asked for");
        if stem == "mod" || stem.ends_with("/mod") {
            let message = "name the file after its module and put it beside the module's folder";
            findings.push(Finding::file(path, message));
        }
        if let Some(drawer) = stem.split('/').find(|part| DRAWERS.contains(part)) {
            let message =
                format!("\"{drawer}\" does not say what is inside; name the thing that it holds");
            findings.push(Finding::file(path, message));
        }
        if path.ends_with(".cu") && tree.text(&format!("{stem}.rs")).is_none() {
            findings.push(Finding::file(
                path,
                format!("no {stem}.rs launches this kernel"),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths<const N: usize>(files: [(&str, &str); N]) -> Vec<String> {
        check(&Tree::from(files))
            .into_iter()
            .map(|finding| finding.path)
            .collect()
    }

    #[test]
    fn a_mod_rs_is_found() {
        assert_eq!(
            paths([("p/src/a/mod.rs", ""), ("p/src/modest.rs", "")]),
            ["p/src/a/mod.rs"]
        );
    }

    #[test]
    fn a_drawer_is_found_as_a_file_and_as_a_folder() {
        for path in [
            "p/src/utils.rs",
            "p/tests/common/gang.rs",
            "engine/src/cuda/helpers.cu",
        ] {
            let launcher = path.replace(".cu", ".rs");
            assert!(
                paths([(path, ""), (&launcher, "")]).contains(&path.to_string()),
                "{path}"
            );
        }
        assert_eq!(
            paths([("p/src/database.rs", ""), ("docs/types.md", "")]),
            [""; 0]
        );
    }

    #[test]
    fn a_kernel_without_its_launcher_is_found() {
        assert_eq!(
            paths([("e/add.cu", ""), ("e/mul.cu", ""), ("e/mul.rs", "")]),
            ["e/add.cu"]
        );
    }
}
