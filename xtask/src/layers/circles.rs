//! No import circles between the files of a package. A file uses what it imports or names by path; a parent that
//! re-exports from a child uses the child. What is compiled for tests only may import anything.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::finding::Finding;
use super::modules::Modules;
use super::paths::Names;
use super::source::{Source, reads};
use super::tree::Tree;

/// For each file, the files that it uses, with the line that first says so.
type Graph<'a> = BTreeMap<&'a str, BTreeMap<&'a str, usize>>;

/// Finds the circles of every package.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for folder in tree.packages() {
        let modules = Modules::of(tree, folder);
        let graph = graph(tree, &modules, &mut findings);
        for circle in circles(&graph) {
            let path: Vec<String> = circle
                .iter()
                .map(|(path, line)| format!("{path}:{line}"))
                .collect();
            let (first, line) = circle[0];
            let message = format!("a circle of imports: {} -> {first}", path.join(" -> "));
            findings.push(Finding::line(first, line, message));
        }
    }
    findings
}

fn graph<'a>(tree: &'a Tree, modules: &Modules<'a>, findings: &mut Vec<Finding>) -> Graph<'a> {
    let sources: Vec<_> = modules
        .iter()
        .map(|(module, path)| {
            (
                module,
                path,
                Source::of(tree.text(path).unwrap_or_default()),
            )
        })
        .collect();
    let mut for_tests: BTreeSet<Vec<&str>> = BTreeSet::new();
    for (module, _, source) in &sources {
        let children = Names::of(&source.tests).children;
        for_tests.extend(
            children
                .iter()
                .map(|child| [*module, &child.inside, &[child.name]].concat()),
        );
    }
    let mut graph = Graph::new();
    for (module, path, source) in &sources {
        let is_test = (1..=module.len()).any(|length| for_tests.contains(&module[..length]));
        if is_test || module.contains(&"tests") {
            continue;
        }
        for (at, token) in source.product.iter().enumerate() {
            if reads(&source.product, at, &["#", "[", "path", "="]) {
                let message = "#[path] hides where a module lies; put the file where its name says";
                findings.push(Finding::line(path, token.line, message));
            }
        }
        let names = Names::of(&source.product);
        let children: Vec<_> = names
            .children
            .iter()
            .map(|child| [*module, &child.inside, &[child.name]].concat())
            .collect();
        let uses = graph.entry(path).or_default();
        for named in &names.paths {
            let here = [*module, &named.inside].concat();
            if let Some(target) = modules.resolve(&here, &named.parts, &children)
                && target != *path
            {
                uses.entry(target).or_insert(named.line);
            }
        }
    }
    graph
}

/// The shortest circle through each file, each circle once, starting at its first file by name: files with the line
/// that leads to the next.
fn circles<'a>(graph: &Graph<'a>) -> Vec<Vec<(&'a str, usize)>> {
    let mut known = BTreeSet::new();
    let mut circles = Vec::new();
    for start in graph.keys() {
        if let Some(mut circle) = shortest_circle(graph, start) {
            let first = (0..circle.len())
                .min_by_key(|&at| circle[at])
                .unwrap_or_default();
            circle.rotate_left(first);
            if known.insert(circle.clone()) {
                circles.push(circle);
            }
        }
    }
    circles
}

fn shortest_circle<'a>(graph: &Graph<'a>, start: &'a str) -> Option<Vec<(&'a str, usize)>> {
    let mut came_from: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    let mut waiting = VecDeque::from([start]);
    while let Some(file) = waiting.pop_front() {
        for (&next, &line) in graph.get(file).into_iter().flatten() {
            if came_from.contains_key(next) {
                continue;
            }
            came_from.insert(next, (file, line));
            if next != start {
                waiting.push_back(next);
                continue;
            }
            let mut circle = Vec::new();
            let mut at = start;
            loop {
                let step = came_from[at];
                circle.push(step);
                at = step.0;
                if at == start {
                    circle.reverse();
                    return Some(circle);
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Findings of a package `p` whose `lib.rs` declares `a` and `b`.
    fn messages<const N: usize>(files: [(&str, &str); N]) -> Vec<String> {
        let files = files.map(|(path, text)| (format!("p/src/{path}"), text));
        let mut tree = vec![("p/Cargo.toml", "")];
        tree.extend(files.iter().map(|(path, text)| (path.as_str(), *text)));
        tree.resize(8, ("p/notes.md", ""));
        let tree: [(&str, &str); 8] = tree.try_into().expect("at most seven files");
        check(&Tree::from(tree))
            .iter()
            .map(Finding::to_string)
            .collect()
    }

    #[test]
    fn a_circle_of_two_is_found_with_its_lines() {
        let found = messages([
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "\nuse crate::b::B;"),
            ("b.rs", "fn f() { super::a::f() }"),
        ]);
        assert_eq!(
            found,
            ["p/src/a.rs:2: a circle of imports: p/src/a.rs:2 -> p/src/b.rs:1 -> p/src/a.rs"]
        );
    }

    #[test]
    fn a_long_circle_is_found_once() {
        let found = messages([
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b;"),
            ("b.rs", "use crate::c::*;"),
            ("c.rs", "pub mod d;"),
            ("c/d.rs", "use super::super::a::X; use super::Y;"),
        ]);
        assert_eq!(found, [""; 0], "c declares d and uses nothing of it");
        let found = messages([
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b;"),
            ("b.rs", "use crate::c::*;"),
            ("c.rs", "use {super::a::X};"),
        ]);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].contains("p/src/a.rs:1 -> p/src/b.rs:1 -> p/src/c.rs:1 -> p/src/a.rs"),
            "{found:?}"
        );
    }

    #[test]
    fn a_parent_that_re_exports_a_child_which_uses_the_parent_is_a_circle() {
        for parent in [
            "mod a; pub use a::A;",
            "mod a; pub use self::a::A;",
            "mod a; fn f() { a::f() }",
        ] {
            let found = messages([("lib.rs", parent), ("a.rs", "use crate::Shared;")]);
            assert_eq!(found.len(), 1, "{parent}");
            let found = messages([("lib.rs", parent), ("a.rs", "struct A;")]);
            assert_eq!(found, [""; 0], "{parent}");
        }
    }

    #[test]
    fn a_parent_may_define_what_its_children_share() {
        let found = messages([
            ("lib.rs", "pub mod a; pub struct Shared;"),
            ("a.rs", "use super::*;"),
        ]);
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn tests_may_import_anything() {
        let found = messages([
            (
                "lib.rs",
                "mod a; mod b; pub use a::A; #[cfg(test)] mod rig;",
            ),
            ("a.rs", "#[cfg(test)] mod tests;"),
            ("a/tests.rs", "use super::*; use crate::b::B;"),
            (
                "b.rs",
                "use crate::a::A; #[cfg(test)] mod tests { use crate::rig::R; }",
            ),
            ("rig.rs", "use crate::b::B;"),
        ]);
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn comments_texts_and_other_packages_are_no_imports() {
        let found = messages([
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::B; use ::b::C; use plan::a;"),
            (
                "b.rs",
                "// crate::a::A\n/// [`crate::a`]\nconst X: &str = \"crate::a::A\"; use std::a::f;",
            ),
        ]);
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn a_module_with_a_path_of_its_own_is_found() {
        let found = messages([
            ("lib.rs", "#[path = \"elsewhere.rs\"] mod a;"),
            ("elsewhere.rs", ""),
        ]);
        assert!(found[0].contains("#[path] hides"), "{found:?}");
    }
}
