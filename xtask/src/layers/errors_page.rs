//! `docs/errors.md` has one row per case (case, sentence, exit code, test), and each row's test exists.

use std::collections::BTreeSet;

use super::finding::Finding;
use super::source::{Token, attribute_end, tokens};
use super::tree::Tree;

const PAGE: &str = "docs/errors.md";
const COLUMNS: [&str; 4] = ["case", "sentence", "exit code", "test"];
const EXIT_CODES: [&str; 4] = ["1", "2", "3", "130"];

/// Finds rows without a test that runs, and rows that are cut wrongly. A tree without the page has no findings.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.text(PAGE) else {
        return Vec::new();
    };
    let tests: BTreeSet<&str> = tree
        .files("rs")
        .flat_map(|(_, text)| tests(&tokens(text)))
        .collect();
    let mut findings = Vec::new();
    let mut rows = 0;
    for (index, line) in page.lines().enumerate() {
        let Some(cells) = cells(line) else { continue };
        let heading = cells
            .iter()
            .map(|cell| cell.to_lowercase())
            .eq(COLUMNS.map(str::to_string));
        if heading
            || cells
                .iter()
                .all(|cell| cell.trim_matches([':', '-']).is_empty())
        {
            continue;
        }
        rows += 1;
        let mut found = |message: String| findings.push(Finding::line(PAGE, index + 1, message));
        let [_, sentence, code, test] = cells.as_slice() else {
            found(format!(
                "{} cells; the columns are {}",
                cells.len(),
                COLUMNS.join(", ")
            ));
            continue;
        };
        if sentence.is_empty() {
            found("the row has no sentence".to_string());
        }
        if !EXIT_CODES.contains(&code.trim_matches('`')) {
            found(format!(
                "\"{code}\" is none of the exit codes {}",
                EXIT_CODES.join(", ")
            ));
        }
        let names: Vec<&str> = names(test).collect();
        if names.is_empty() {
            found("the row names no test".to_string());
        }
        for name in names.iter().filter(|name| !tests.contains(*name)) {
            found(format!("no test that runs is called {name}"));
        }
    }
    if rows == 0 {
        findings.push(Finding::file(PAGE, "the page has no rows"));
    }
    findings
}

/// The cells of a table's row; none for other lines. A `\|` is part of a cell.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.trim().strip_prefix('|')?;
    let inner = inner
        .strip_suffix('|')
        .unwrap_or(inner)
        .replace("\\|", "\u{0}");
    Some(
        inner
            .split('|')
            .map(|cell| cell.trim().replace('\u{0}', "|"))
            .collect(),
    )
}

/// The test functions that a cell names: `a_name`, `file::a_name`, several with commas or spaces between.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split([',', ' ', '`'])
        .map(|word| word.rsplit("::").next().unwrap_or(word))
        .filter(|name| !name.is_empty())
}

/// The functions of a file that `cargo test` runs: those with a `test` attribute and none that ignores them.
fn tests<'a>(tokens: &[Token<'a>]) -> Vec<&'a str> {
    let mut tests = Vec::new();
    let (mut is_test, mut is_ignored) = (false, false);
    let mut at = 0;
    while at < tokens.len() {
        if let Some(end) = attribute_end(tokens, at) {
            // `test`, `tokio::test(…)`, but not `cfg(test)`.
            let name = tokens[at..end]
                .iter()
                .skip(2)
                .take_while(|token| token.is_name() || token.text == "::")
                .last();
            is_test |= name.is_some_and(|name| name.text == "test");
            is_ignored |= name.is_some_and(|name| name.text == "ignore");
            at = end;
            continue;
        }
        match tokens[at].text {
            "fn" => {
                if let (true, false, Some(name)) = (is_test, is_ignored, tokens.get(at + 1)) {
                    tests.push(name.text);
                }
                (is_test, is_ignored) = (false, false);
            }
            "mod" | "struct" | "enum" | "impl" | "use" | "}" => {
                (is_test, is_ignored) = (false, false)
            }
            _ => {}
        }
        at += 1;
    }
    tests
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "#[test]\nfn a_bad_port_is_named() {} #[tokio::test(flavor = \"x\")] async fn b() {}\n\
                        #[cfg(test)] mod tests { fn helper() {} }\n\
                        #[test] #[ignore = \"slow\"] fn ignored() {} fn plain() {}\n\
                        proptest! { #[test] fn inside_a_macro(x in 0..1) {} }";

    fn messages(rows: &str) -> Vec<String> {
        let page = format!(
            "# Errors\n\n| case | sentence | exit code | test |\n| --- | :-: | --: | --- |\n{rows}\n"
        );
        let tree = Tree::from([("docs/errors.md", page.as_str()), ("cli/tests/x.rs", CODE)]);
        check(&tree)
            .into_iter()
            .map(|finding| finding.message)
            .collect()
    }

    #[test]
    fn rows_with_tests_that_run_pass() {
        let rows = "| a port | `x \\| y` | 2 | `a_bad_port_is_named` |\n| two | s | `3` | x::b, `inside_a_macro` |";
        assert_eq!(messages(rows), [""; 0]);
    }

    #[test]
    fn a_test_that_is_absent_ignored_or_no_test_is_found() {
        for name in ["c", "ignored", "plain", "helper", "a_bad_port"] {
            let expected = format!("no test that runs is called {name}");
            assert_eq!(messages(&format!("| a | s | 2 | `{name}` |")), [expected]);
        }
    }

    #[test]
    fn a_row_that_is_cut_wrongly_is_found() {
        assert_eq!(messages("| a | s | 2 | |"), ["the row names no test"]);
        assert_eq!(messages("| a | | 2 | b |"), ["the row has no sentence"]);
        assert!(messages("| a | s | 0 | b |")[0].contains("none of the exit codes"));
        assert!(messages("| a | s | b |")[0].contains("3 cells"));
        assert_eq!(messages("no table"), ["the page has no rows"]);
    }

    #[test]
    fn a_tree_without_the_page_has_nothing_to_check() {
        assert!(check(&Tree::from([("a.rs", "")])).is_empty());
    }
}
