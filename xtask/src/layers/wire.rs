//! Generated protobuf types stay at the border: in `proto/` and in one boundary per service and client.

use super::finding::Finding;
use super::paths::Names;
use super::source::tokens;
use super::tree::Tree;

/// The files that may see generated types; a `*` stands for any text without `/`.
const BOUNDARIES: [&str; 6] = [
    "coordinator/src/service.rs",
    "coordinator/src/service/*.rs",
    "worker/src/client.rs",
    "worker/src/client/*.rs",
    "cli/src/client.rs",
    "cli/src/client/*.rs",
];

/// Finds names of generated types elsewhere, tests included.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files("rs") {
        let at_border = BOUNDARIES.iter().any(|pattern| matches(pattern, path));
        if path.starts_with("proto/") || at_border {
            continue;
        }
        let tokens = tokens(text);
        for named in Names::of(&tokens).paths {
            let mut parts = named
                .parts
                .iter()
                .copied()
                .skip_while(|part| part.is_empty());
            let generated = match parts.next() {
                Some("proto") => matches!(parts.next(), Some("v1" | "wire" | "*")),
                Some("tonic") => matches!(parts.next(), Some("include_proto")),
                _ => false,
            };
            if generated {
                let name = named.parts.join("::");
                let message = format!("{name} is a generated type; convert it in a boundary file");
                findings.push(Finding::line(path, named.line, message));
            }
        }
    }
    findings
}

fn matches(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == path,
        Some((start, end)) => path
            .strip_prefix(start)
            .and_then(|rest| rest.strip_suffix(end))
            .is_some_and(|middle| !middle.contains('/')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(path: &str, text: &str) -> Vec<String> {
        check(&Tree::from([(path, text)]))
            .into_iter()
            .map(|finding| finding.path)
            .collect()
    }

    #[test]
    fn a_generated_type_inside_is_found_however_it_is_named() {
        for text in [
            "use proto::v1;",
            "use proto::{Error, v1::Offer};",
            "use ::proto::v1::*;",
            "use proto::*;",
            "fn f(x: proto::v1::Offer) {}",
            "#[cfg(test)] mod tests { use proto::v1::Offer; }",
            "tonic::include_proto!(\"trainyard.v1\");",
        ] {
            assert_eq!(paths("coordinator/src/driver.rs", text).len(), 1, "{text}");
        }
    }

    #[test]
    fn the_border_may_see_generated_types_and_nobody_needs_a_reason_for_the_rest() {
        for path in [
            "proto/src/offer.rs",
            "coordinator/src/service.rs",
            "coordinator/src/service/jobs.rs",
            "worker/src/client/link.rs",
            "cli/src/client.rs",
        ] {
            assert_eq!(paths(path, "use proto::v1::Offer;"), [""; 0], "{path}");
        }
        assert_eq!(
            paths(
                "coordinator/src/service/deep/jobs.rs",
                "use proto::v1::Offer;"
            )
            .len(),
            1
        );
        assert_eq!(
            paths(
                "coordinator/src/driver.rs",
                "use proto::{Command, Error}; // proto::v1::X"
            ),
            [""; 0]
        );
    }
}
