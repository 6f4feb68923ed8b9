//! Byte offsets of a text as lines and columns, both from 1, columns in characters.

/// Walks a text forward.
pub(super) struct Cursor<'t> {
    rest: std::str::Chars<'t>,
    length: usize,
    line: usize,
    column: usize,
}

impl<'t> Cursor<'t> {
    /// A cursor at the start of `text`.
    pub(super) fn new(text: &'t str) -> Self {
        let mut rest = text.chars();
        // A byte order mark takes no column in an editor.
        if text.starts_with('\u{feff}') {
            rest.next();
        }
        Cursor {
            rest,
            length: text.len(),
            line: 1,
            column: 1,
        }
    }

    /// Line and column of the character at `offset`, which must not lie before one that was asked for earlier; an
    /// offset past the end means the end.
    pub(super) fn at(&mut self, offset: usize) -> (usize, usize) {
        while self.length - self.rest.as_str().len() < offset {
            match self.rest.next() {
                Some('\n') => (self.line, self.column) = (self.line + 1, 1),
                Some(_) => self.column += 1,
                None => break,
            }
        }
        (self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        let text = "é = 1\r\n\nb";
        let mut cursor = Cursor::new(text);
        assert_eq!(cursor.at(0), (1, 1));
        assert_eq!(cursor.at(text.find('=').expect("it is there")), (1, 3));
        assert_eq!(cursor.at(text.find('b').expect("it is there")), (3, 1));
        assert_eq!(cursor.at(1000), (3, 2));
    }

    #[test]
    fn a_byte_order_mark_takes_no_column() {
        assert_eq!(Cursor::new("\u{feff}a").at(3), (1, 1));
    }
}
