//! The paths that a file's tokens name, with `use` trees written out, and the modules that it declares.

use super::source::Token;

/// A path as it is written: `crate::a::B`, `super::c`, `proto::v1::*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path<'a> {
    /// The inline modules of the file that it stands in, outermost first.
    pub inside: Vec<&'a str>,
    /// Its parts. The first is empty if the path starts with `::`.
    pub parts: Vec<&'a str>,
    /// The line of its first part.
    pub line: usize,
}

/// A module declared with `mod name;`: its text is another file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child<'a> {
    /// The inline modules of the file that the declaration stands in.
    pub inside: Vec<&'a str>,
    /// Its name.
    pub name: &'a str,
}

/// What a file names and declares.
#[derive(Debug, Default)]
pub struct Names<'a> {
    /// Paths in the order in which they stand.
    pub paths: Vec<Path<'a>>,
    /// Modules in other files.
    pub children: Vec<Child<'a>>,
}

impl<'a> Names<'a> {
    /// Reads tokens that start outside every inline module.
    pub fn of(tokens: &[Token<'a>]) -> Self {
        let mut names = Names::default();
        let mut braces: Vec<Option<&'a str>> = Vec::new();
        let word = |at: usize| tokens.get(at).map_or("", |token| token.text);
        let mut at = 0;
        while at < tokens.len() {
            let before = at.checked_sub(1).map_or("", word);
            let inside = || braces.iter().flatten().copied().collect::<Vec<_>>();
            match (word(at), word(at + 1), word(at + 2)) {
                ("mod", name, ";") => {
                    let inside = inside();
                    names.children.push(Child { inside, name });
                    at += 3;
                }
                ("mod", name, "{") => {
                    braces.push(Some(name));
                    at += 3;
                }
                ("use", next, _) if next != "<" => {
                    let mut tree = UseTree {
                        tokens,
                        at: at + 1,
                        inside: inside(),
                        paths: &mut names.paths,
                    };
                    tree.read(&[]);
                    at = tree.at;
                }
                ("{", ..) => {
                    braces.push(None);
                    at += 1;
                }
                ("}", ..) => {
                    braces.pop();
                    at += 1;
                }
                (_, "::", _) if tokens[at].is_name() && before != "::" && before != "." => {
                    let start = at;
                    let mut parts = vec![tokens[at].text];
                    while word(at + 1) == "::" && tokens.get(at + 2).is_some_and(Token::is_name) {
                        parts.push(tokens[at + 2].text);
                        at += 2;
                    }
                    at += 1;
                    // `pub(in path)` limits who sees an item and uses nothing.
                    let limits = before == "in"
                        && start >= 3
                        && word(start - 2) == "("
                        && word(start - 3) == "pub";
                    if !limits {
                        let inside = inside();
                        names.paths.push(Path {
                            inside,
                            parts,
                            line: tokens[start].line,
                        });
                    }
                }
                _ => at += 1,
            }
        }
        names
    }
}

struct UseTree<'t, 'a> {
    tokens: &'t [Token<'a>],
    at: usize,
    inside: Vec<&'a str>,
    paths: &'t mut Vec<Path<'a>>,
}

impl<'a> UseTree<'_, 'a> {
    /// Reads one tree after `prefix` and stops before the `,`, `}` or `;` that follows it.
    fn read(&mut self, prefix: &[&'a str]) {
        let mut parts = prefix.to_vec();
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        while let Some(token) = self.tokens.get(self.at) {
            match token.text {
                "," | "}" | ";" => break,
                "{" => {
                    self.at += 1;
                    self.read_group(&parts);
                    return;
                }
                "as" => self.at += 1,
                "::" if parts.is_empty() => parts.push(""),
                "self" if !parts.is_empty() => {}
                "*" => parts.push("*"),
                name if token.is_name() => parts.push(name),
                _ => {}
            }
            self.at += 1;
        }
        if parts.len() > prefix.len() || !prefix.is_empty() {
            self.paths.push(Path {
                inside: self.inside.clone(),
                parts,
                line,
            });
        }
    }

    fn read_group(&mut self, prefix: &[&'a str]) {
        while let Some(token) = self.tokens.get(self.at) {
            match token.text {
                "}" => {
                    self.at += 1;
                    return;
                }
                ";" => return,
                "," => self.at += 1,
                _ => self.read(prefix),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::tokens;
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        let tokens = tokens(text);
        let names = Names::of(&tokens);
        names
            .paths
            .iter()
            .map(|path| format!("{}|{}", path.inside.join("::"), path.parts.join("::")))
            .collect()
    }

    #[test]
    fn use_trees_are_written_out() {
        assert_eq!(
            paths(
                "pub use crate::{a::b, c::{self, d as e, f::*}}; use super::g as _; use ::h::i; fn x() {}"
            ),
            [
                "|crate::a::b",
                "|crate::c",
                "|crate::c::d",
                "|crate::c::f::*",
                "|super::g",
                "|::h::i"
            ]
        );
    }

    #[test]
    fn paths_in_code_are_found_with_the_module_they_stand_in() {
        assert_eq!(
            paths(
                "mod m { fn x() -> Vec<crate::a::B> { super::c::<u8>(y.z::<d::E>()) } } fn y() { self::f!(0) }"
            ),
            ["m|crate::a::B", "m|super::c", "m|d::E", "|self::f"]
        );
    }

    #[test]
    fn a_limit_of_visibility_uses_nothing() {
        assert_eq!(
            paths(
                "pub(in crate::a) struct B; fn f() -> impl X + use<'_> { for g in crate::h() {} }"
            ),
            ["|crate::h"]
        );
    }

    #[test]
    fn modules_in_other_files_are_children() {
        let tokens = tokens("mod a; pub mod b { pub(crate) mod c; } mod d {}");
        let names = Names::of(&tokens);
        let children: Vec<_> = names
            .children
            .iter()
            .map(|child| (child.inside.join("::"), child.name))
            .collect();
        assert_eq!(children, [(String::new(), "a"), ("b".to_string(), "c")]);
    }
}
