//! The lines of a CSV file: fields with their line number, blank lines left out, none longer than there is memory for.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use csv::{ByteRecord, ReaderBuilder, Terminator};

use super::input::{Input, Origin};
use crate::error::Error;
use crate::fault::CsvFault;

/// The longest line that is read, in bytes.
pub(crate) const MAX_LINE_BYTES: u64 = 64 << 20;

/// How the fields of a line are told apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dialect {
    /// By commas; a field in double quotes may hold some.
    #[default]
    Comma,
    /// By semicolons, else as [`Dialect::Comma`].
    Semicolon,
    /// By tabs; a double quote is a character like others.
    Tab,
}

impl Dialect {
    fn delimiter(self) -> u8 {
        match self {
            Dialect::Comma => b',',
            Dialect::Semicolon => b';',
            Dialect::Tab => b'\t',
        }
    }
}

/// A line with its number, from 1.
pub(crate) struct Line {
    pub(crate) number: u64,
    pub(crate) fields: ByteRecord,
}

/// The lines of a file that are not blank.
pub(crate) struct Lines<'a> {
    origin: Origin,
    budget: Rc<Cell<u64>>,
    reader: csv::Reader<io::Chain<Budgeted<Input<'a>>, &'static [u8]>>,
    waiting: Option<Line>,
}

impl<'a> Lines<'a> {
    /// The lines of a file.
    pub(crate) fn new(input: Input<'a>, dialect: Dialect) -> Self {
        let origin = input.origin().clone();
        let budget = Rc::new(Cell::new(MAX_LINE_BYTES));
        let budgeted = Budgeted {
            input,
            budget: budget.clone(),
        };
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .delimiter(dialect.delimiter())
            .quoting(dialect != Dialect::Tab)
            .flexible(true)
            // A line break at the very end, and `\n` alone as the end of a record, make line numbers exact; what `\r`
            // leaves behind is trimmed.
            .terminator(Terminator::Any(b'\n'))
            .from_reader(budgeted.chain(b"\n".as_slice()));
        Lines {
            origin,
            budget,
            reader,
            waiting: None,
        }
    }

    /// The next line.
    pub(crate) fn next(&mut self) -> Result<Option<Line>, Error> {
        self.after(Line {
            number: 0,
            fields: ByteRecord::new(),
        })
    }

    /// Puts a line back, and gives the one before it.
    pub(crate) fn give_back(&mut self, later: Option<Line>, earlier: Line) -> Option<Line> {
        self.waiting = later;
        Some(earlier)
    }

    /// The next line, in the memory of one that is done with.
    pub(crate) fn after(&mut self, mut line: Line) -> Result<Option<Line>, Error> {
        if let Some(waiting) = self.waiting.take() {
            return Ok(Some(waiting));
        }
        loop {
            self.budget.set(MAX_LINE_BYTES);
            let start = self.reader.position().line();
            let read = self
                .reader
                .read_byte_record(&mut line.fields)
                .map_err(|error| self.fault(error, start))?;
            if !read {
                return Ok(None);
            }
            let breaks: usize = line
                .fields
                .iter()
                .map(|field| field.iter().filter(|&&byte| byte == b'\n').count())
                .sum();
            line.number = if breaks == 0 {
                self.reader.position().line() - 1
            } else {
                start
            };
            if line.fields.len() > 1
                || line
                    .fields
                    .iter()
                    .any(|field| !field.trim_ascii().is_empty())
            {
                return Ok(Some(line));
            }
        }
    }

    fn fault(&self, error: csv::Error, line: u64) -> Error {
        if self.budget.get() == 0 {
            let fault = CsvFault::TooLong {
                limit: MAX_LINE_BYTES,
            };
            return Error::Csv {
                path: self.origin.path.clone(),
                line,
                fault,
            };
        }
        match error.into_kind() {
            csv::ErrorKind::Io(source) => self.origin.fault(source),
            // Byte records of any length have no other errors.
            kind => self.origin.fault(io::Error::other(format!("{kind:?}"))),
        }
    }
}

/// Ends in an error when one record takes more than its budget of bytes.
struct Budgeted<R> {
    input: R,
    budget: Rc<Cell<u64>>,
}

impl<R: Read> Read for Budgeted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.budget
            .set(self.budget.get().saturating_sub(count as u64));
        if self.budget.get() == 0 {
            return Err(io::Error::other("the line is too long"));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_an_end_is_refused_before_it_fills_the_memory() {
        struct Endless;
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                buffer.fill(b'1');
                Ok(buffer.len())
            }
        }
        let budget = Rc::new(Cell::new(1000));
        let mut budgeted = Budgeted {
            input: Endless,
            budget,
        };
        let mut out = Vec::new();
        assert!(budgeted.read_to_end(&mut out).is_err());
        assert!(out.len() < 2000);
    }
}
