//! Rust source as tokens, without comments, and with every literal blanked: enough to see names, paths and attributes.

/// A name, a number, a lifetime, `::`, one other character, or `"` in place of a text or character literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// Its text.
    pub text: &'a str,
    /// Its line, from 1.
    pub line: usize,
}

impl Token<'_> {
    /// Whether it is a name or a keyword.
    pub fn is_name(&self) -> bool {
        self.text
            .starts_with(|first: char| first == '_' || first.is_alphabetic())
    }
}

/// The tokens of a file, cut in two.
#[derive(Debug, Default)]
pub struct Source<'a> {
    /// What is compiled into the product.
    pub product: Vec<Token<'a>>,
    /// Items under `#[cfg(test)]`.
    pub tests: Vec<Token<'a>>,
}

impl<'a> Source<'a> {
    /// Reads a file.
    pub fn of(text: &'a str) -> Self {
        let all = tokens(text);
        let mut source = Source::default();
        let mut at = 0;
        while at < all.len() {
            let end = attribute_end(&all, at).filter(|&end| is_test_only(&all[at..end]));
            match end {
                Some(attribute) => {
                    let end = item_end(&all, attribute);
                    source.tests.extend(&all[at..end]);
                    at = end;
                }
                None => {
                    source.product.push(all[at]);
                    at += 1;
                }
            }
        }
        source
    }
}

/// Whether the tokens at `at` read like this.
pub fn reads(tokens: &[Token<'_>], at: usize, expected: &[&str]) -> bool {
    tokens.get(at..at + expected.len()).is_some_and(|found| {
        found
            .iter()
            .map(|token| token.text)
            .eq(expected.iter().copied())
    })
}

/// Where the attribute that starts at `at` ends; none if none starts there.
pub fn attribute_end(tokens: &[Token<'_>], at: usize) -> Option<usize> {
    let open = if reads(tokens, at, &["#", "["]) {
        at + 1
    } else if reads(tokens, at, &["#", "!", "["]) {
        at + 2
    } else {
        return None;
    };
    let mut depth = 0usize;
    for (offset, token) in tokens[open..].iter().enumerate() {
        match token.text {
            "[" => depth += 1,
            "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(open + offset + 1);
        }
    }
    None
}

fn is_test_only(attribute: &[Token<'_>]) -> bool {
    let has = |word: &str| attribute.iter().any(|token| token.text == word);
    reads(attribute, 0, &["#", "[", "cfg", "("]) && has("test") && !has("not") && !has("any")
}

/// Where the item after an attribute ends: after its `;`, after the brace that closes its body, or, for a field or an
/// arm, after its comma.
fn item_end(tokens: &[Token<'_>], mut at: usize) -> usize {
    while let Some(end) = attribute_end(tokens, at) {
        at = end;
    }
    let word = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let is_bound = matches!(word(at), "let" | "use" | "static" | "type")
        || (word(at) == "const" && word(at + 1) != "fn")
        || (word(at) == "pub" && word(at + 1) == "use");
    let is_item = is_bound
        || matches!(
            word(at),
            "pub"
                | "fn"
                | "mod"
                | "struct"
                | "enum"
                | "union"
                | "trait"
                | "impl"
                | "unsafe"
                | "async"
                | "extern"
                | "const"
                | "macro_rules"
        );
    let mut depth = 0usize;
    for (offset, token) in tokens[at..].iter().enumerate() {
        let after = at + offset + 1;
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => return after - 1,
            ")" | "]" => depth -= 1,
            "}" => {
                depth -= 1;
                if depth == 0 && !is_bound {
                    return after;
                }
            }
            ";" if depth == 0 => return after,
            "," if depth == 0 && !is_item => return after,
            _ => {}
        }
    }
    tokens.len()
}

/// Every token of a text.
pub fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer {
        text,
        at: 0,
        line: 1,
    };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next_token() {
        tokens.push(token);
    }
    tokens
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Moves over `bytes` bytes, which end at a character's boundary.
    fn skip(&mut self, bytes: usize) -> &'a str {
        let passed = &self.rest()[..bytes];
        self.line += passed.matches('\n').count();
        self.at += bytes;
        passed
    }

    fn skip_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        self.skip(rest.find(|c| !keep(c)).unwrap_or(rest.len()))
    }

    fn next_token(&mut self) -> Option<Token<'a>> {
        loop {
            self.skip_while(char::is_whitespace);
            if self.rest().starts_with("//") {
                self.skip_while(|c| c != '\n');
            } else if self.rest().starts_with("/*") {
                self.skip_comment();
            } else {
                break;
            }
        }
        let line = self.line;
        let first = self.rest().chars().next()?;
        let text = match first {
            '"' => self.skip_text(),
            '\'' => self.quote(),
            ':' if self.rest().starts_with("::") => self.skip(2),
            '_' => self.name(),
            _ if first.is_alphabetic() => self.name(),
            _ if first.is_ascii_digit() => self.skip_while(|c| c == '_' || c.is_alphanumeric()),
            _ => self.skip(first.len_utf8()),
        };
        Some(Token { text, line })
    }

    fn skip_comment(&mut self) {
        let mut depth = 0usize;
        while !self.rest().is_empty() {
            if self.rest().starts_with("/*") {
                depth += 1;
                self.skip(2);
            } else if self.rest().starts_with("*/") {
                depth -= 1;
                self.skip(2);
                if depth == 0 {
                    return;
                }
            } else {
                let first = self.rest().chars().next().expect("the rest is not empty");
                self.skip(first.len_utf8());
            }
        }
    }

    /// Over a text literal, from its opening quote.
    fn skip_text(&mut self) -> &'a str {
        let rest = self.rest();
        let mut escaped = false;
        let end = rest[1..].find(|c| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        });
        self.skip(end.map_or(rest.len(), |end| end + 2));
        "\""
    }

    /// Over a raw text literal, from its hashes; none if it is no literal.
    fn skip_raw_text(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        if !rest[hashes..].starts_with('"') {
            return None;
        }
        let closing = format!("\"{}", "#".repeat(hashes));
        let body = hashes + 1;
        let end = rest[body..].find(&closing);
        self.skip(end.map_or(rest.len(), |end| body + end + closing.len()));
        Some("\"")
    }

    /// A lifetime or a character literal.
    fn quote(&mut self) -> &'a str {
        let rest = self.rest();
        let mut after = rest[1..].chars();
        let first = after.next();
        if first == Some('\\') {
            let escaped = after.next().map_or(0, char::len_utf8);
            let end = rest[2 + escaped..].find('\'');
            self.skip(end.map_or(rest.len(), |end| 2 + escaped + end + 1));
            "\""
        } else if after.next() == Some('\'') {
            let width = first.map_or(0, char::len_utf8);
            self.skip(width + 2);
            "\""
        } else {
            let name = rest[1..].find(|c: char| c != '_' && !c.is_alphanumeric());
            self.skip(name.map_or(rest.len(), |end| end + 1))
        }
    }

    /// A name, or the literal that it is the prefix of.
    fn name(&mut self) -> &'a str {
        let name = self.skip_while(|c| c == '_' || c.is_alphanumeric());
        let next = self.rest().chars().next();
        match (name, next) {
            ("r" | "br" | "cr", Some('"' | '#')) => match self.skip_raw_text() {
                Some(literal) => literal,
                None if name == "r" => {
                    self.skip(1);
                    self.skip_while(|c| c == '_' || c.is_alphanumeric())
                }
                None => name,
            },
            ("b" | "c", Some('"')) => self.skip_text(),
            ("b", Some('\'')) => self.quote(),
            _ => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        tokens(text).iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_literals_hold_no_names() {
        let text = "a /* crate::x /* deep */ still */ b // crate::y\n \"crate::\\\"z\" r#\"un\"safe\"# b'\\'' '\"' c";
        assert_eq!(texts(text), ["a", "b", "\"", "\"", "\"", "\"", "c"]);
    }

    #[test]
    fn lifetimes_are_not_characters() {
        assert_eq!(
            texts("&'a str, 'é', '\\u{41}', 'b"),
            ["&", "'a", "str", ",", "\"", ",", "\"", ",", "'b"]
        );
    }

    #[test]
    fn raw_names_are_names() {
        assert_eq!(texts("r#mod::x br\"y\""), ["mod", "::", "x", "\""]);
    }

    #[test]
    fn lines_are_counted_through_literals_and_comments() {
        let found = tokens("/* 1\n2 */ a \"3\n4\" b");
        assert_eq!(
            found.iter().map(|token| token.line).collect::<Vec<_>>(),
            [2, 2, 3]
        );
    }

    #[test]
    fn an_unfinished_literal_ends_with_the_text() {
        for text in ["\"abc", "'\\", "r#\"x\"", "/* x", "b'", "'", "#["] {
            assert!(tokens(text).len() <= 2, "{text}");
        }
    }

    #[test]
    fn items_under_cfg_test_are_set_apart() {
        let text = "use a; #[cfg(test)] #[path = \"x\"] use b::{c, d}; fn e() {} #[cfg(test)] mod f { fn g() {} }\n\
                    #[cfg(test)] const H: [u8; 2] = [1, 2]; #[cfg(not(test))] fn i() {} struct J { #[cfg(test)] k: u8 }";
        let source = Source::of(text);
        let names: Vec<&str> = source
            .product
            .iter()
            .filter(|t| t.is_name())
            .map(|t| t.text)
            .collect();
        assert_eq!(
            names,
            [
                "use", "a", "fn", "e", "cfg", "not", "test", "fn", "i", "struct", "J"
            ]
        );
        assert!(source.tests.iter().any(|token| token.text == "g"));
        assert!(source.tests.iter().any(|token| token.text == "k"));
    }
}
