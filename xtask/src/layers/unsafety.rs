//! `unsafe` stays where hardware and foreign libraries are touched.

use super::finding::Finding;
use super::source::{reads, tokens};
use super::tree::Tree;

/// Where `unsafe` may stand: folders end with `/`.
const ROOMS: [&str; 4] = [
    "engine/src/cpu/",
    "engine/src/cuda/",
    "collective/src/nccl.rs",
    "collective/src/shm.rs",
];

/// Finds `unsafe` elsewhere, and crate roots that do not rule it out.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files("rs") {
        if ROOMS.iter().any(|room| path.starts_with(room)) {
            continue;
        }
        for token in tokens(text).iter().filter(|token| token.text == "unsafe") {
            let message = format!("unsafe may stand only in {}", ROOMS.join(", "));
            findings.push(Finding::line(path, token.line, message));
        }
    }
    for folder in tree.packages() {
        let source = format!("{folder}/src/");
        let has_room = tree.files("rs").any(|(path, _)| {
            path.starts_with(&source) && ROOMS.iter().any(|room| path.starts_with(room))
        });
        let levels: &[&str] = if has_room {
            &["deny", "forbid"]
        } else {
            &["forbid"]
        };
        for root in ["lib.rs", "main.rs"] {
            let path = format!("{source}{root}");
            let Some(text) = tree.text(&path) else {
                continue;
            };
            let tokens = tokens(text);
            let rules_out = |level| {
                let attribute = ["#", "!", "[", level, "(", "unsafe_code", ")", "]"];
                (0..tokens.len()).any(|at| reads(&tokens, at, &attribute))
            };
            if !levels.iter().any(|level| rules_out(level)) {
                findings.push(Finding::file(
                    &path,
                    format!("#![{}(unsafe_code)] is missing", levels[0]),
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORBID: &str = "#![forbid(unsafe_code)]";
    const DENY: &str = "#![deny(unsafe_code)]";

    fn found<const N: usize>(files: [(&str, &str); N]) -> Vec<String> {
        check(&Tree::from(files))
            .iter()
            .map(Finding::to_string)
            .collect()
    }

    #[test]
    fn unsafe_outside_its_rooms_is_found_in_tests_too() {
        let files = [
            ("p/src/a.rs", "// unsafe\nfn f() { unsafe { g() } }"),
            ("p/tests/b.rs", "#[cfg(test)] mod t { unsafe fn f() {} }"),
            ("engine/src/cpu/gemm.rs", "unsafe fn f() {}"),
            ("engine/src/cpu.rs", "const X: &str = \"unsafe\";"),
            ("collective/src/shm.rs", "unsafe fn f() {}"),
        ];
        let found = found(files);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].starts_with("p/src/a.rs:2: unsafe may stand only in"),
            "{found:?}"
        );
    }

    #[test]
    fn a_root_that_does_not_forbid_unsafe_is_found() {
        for root in ["p/src/lib.rs", "p/src/main.rs"] {
            assert_eq!(found([("p/Cargo.toml", ""), (root, FORBID)]), [""; 0]);
            for text in ["", DENY, "// #![forbid(unsafe_code)]"] {
                let found = found([("p/Cargo.toml", ""), (root, text)]);
                assert_eq!(
                    found,
                    [format!("{root}: #![forbid(unsafe_code)] is missing")]
                );
            }
        }
    }

    #[test]
    fn a_crate_with_such_a_room_denies_it_elsewhere() {
        let engine = |text| {
            found([
                ("engine/Cargo.toml", ""),
                ("engine/src/cpu/gemm.rs", ""),
                ("engine/src/lib.rs", text),
            ])
        };
        assert_eq!(engine(DENY), [""; 0]);
        assert_eq!(
            engine(""),
            ["engine/src/lib.rs: #![deny(unsafe_code)] is missing"]
        );
    }
}
