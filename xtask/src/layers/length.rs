//! A file over 400 lines wants a written reason. A split needs a second idea, never a line count.

use super::finding::Finding;
use super::tree::Tree;

/// Lines that a file may have without a reason, its tests included.
const LIMIT: usize = 400;

/// A file that may be longer.
pub struct LongFile {
    /// The file, relative to the root.
    pub path: &'static str,
    /// Why one idea needs that many lines.
    pub reason: &'static str,
}

/// The files that may be longer than the limit.
pub const LONG_FILES: &[LongFile] = &[
    LongFile {
        path: "plan/src/error.rs",
        reason: "one enum: an arm for every way in which a model does not fit, with its facts and its sentence",
    },
    LongFile {
        path: "spec/src/job_file/mistake.rs",
        reason: "one enum: an arm for every mistake of a job file, with its facts and its sentence",
    },
];

/// Finds long files without a reason, and reasons of files that are not long. That every file named here exists is held by a
/// test.
pub fn check(tree: &Tree) -> Vec<Finding> {
    against(tree, LONG_FILES)
}

fn against(tree: &Tree, list: &[LongFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = |text: &str| text.lines().count();
    for (path, text) in tree.files("rs").chain(tree.files("cu")) {
        let listed = list.iter().any(|long| long.path == path);
        if lines(text) > LIMIT && !listed {
            let found = format!("{} lines, more than {LIMIT}", lines(text));
            let remedy = "move a second idea out, or write the reason into LONG_FILES in xtask/src/layers/length.rs";
            findings.push(Finding::file(path, format!("{found}; {remedy}")));
        }
    }
    for long in list {
        let Some(text) = tree.text(long.path) else {
            continue;
        };
        if lines(text) <= LIMIT || long.reason.trim().is_empty() {
            let message = format!(
                "listed in LONG_FILES without a reason, or not over {LIMIT} lines; remove the entry"
            );
            findings.push(Finding::file(long.path, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_with_a_reason_exists() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for long in LONG_FILES {
            assert!(root.join(long.path).is_file(), "{}", long.path);
        }
    }

    #[test]
    fn a_long_file_needs_a_reason_and_a_reason_needs_a_long_file() {
        let long = "x\n".repeat(LIMIT + 1);
        let short = "x\n".repeat(LIMIT);
        let tree = Tree::from([
            ("p/src/a.rs", long.as_str()),
            ("p/src/b.rs", short.as_str()),
            ("p/src/c.cu", long.as_str()),
            ("docs/d.md", long.as_str()),
        ]);
        let paths = |list: &[LongFile]| {
            against(&tree, list)
                .iter()
                .map(|f| f.path.clone())
                .collect::<Vec<_>>()
        };
        let entry = |path, reason| LongFile { path, reason };
        assert_eq!(paths(&[]), ["p/src/a.rs", "p/src/c.cu"]);
        assert_eq!(
            paths(&[
                entry("p/src/a.rs", "one table"),
                entry("p/src/c.cu", "one kernel")
            ]),
            [""; 0]
        );
        assert_eq!(
            paths(&[entry("p/src/a.rs", "one table"), entry("p/src/c.cu", "")]),
            ["p/src/c.cu"]
        );
        assert_eq!(
            paths(&[entry("p/src/b.rs", "was long")]),
            ["p/src/a.rs", "p/src/c.cu", "p/src/b.rs"]
        );
    }
}
