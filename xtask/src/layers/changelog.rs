//! `CHANGELOG.md` says something: at least one section, `Unreleased` or a release, has entries.

use super::finding::Finding;
use super::tree::Tree;

const PAGE: &str = "CHANGELOG.md";

/// Finds a changelog that is absent or empty.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut in_section = false;
    for line in tree.text(PAGE).unwrap_or_default().lines().map(str::trim) {
        if let Some(title) = line.strip_prefix("## ") {
            in_section = is_release(title);
        } else if in_section && !line.is_empty() && !line.starts_with('#') {
            return Vec::new();
        }
    }
    let message = "no section \"## Unreleased\" or \"## 1.2.3\" with entries; tell users what changes for them";
    vec![Finding::file(PAGE, message)]
}

fn is_release(title: &str) -> bool {
    let title = title.trim_start_matches('[');
    title.starts_with("Unreleased")
        || title
            .trim_start_matches('v')
            .starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(text: &str) -> bool {
        check(&Tree::from([("CHANGELOG.md", text)])).is_empty()
    }

    #[test]
    fn a_section_with_entries_passes() {
        assert!(passes(
            "# Changelog\n\n## Unreleased\n\n### Added\n\n- a command\n"
        ));
        assert!(passes("## Unreleased\n\n## 0.1.0\n- a command\n"));
        assert!(passes("## [v0.1.0]\n- a command\n"));
    }

    #[test]
    fn an_absent_or_empty_changelog_is_found() {
        assert_eq!(check(&Tree::from([("README.md", "")])).len(), 1);
        for text in [
            "",
            "# Changelog\nwords\n",
            "## Unreleased\n\n### Added\n",
            "## How to read this\nwords\n",
        ] {
            assert!(!passes(text), "{text:?}");
        }
    }
}
