//! How results are printed: the same value as a table for people and as JSON for programs, so that the two cannot differ.

use std::io::{self, Write};

use serde::Serialize;

/// A result: serialisable, and shown as a row of cells.
pub trait Row: Serialize {
    /// The column names, in upper case, with units.
    const HEADER: &'static [&'static str];

    /// The cells, as many as there are columns.
    fn cells(&self) -> Vec<String>;
}

/// A result shown as lines of key and value.
pub trait Details: Serialize {
    /// Keys and values, in order; a value may have several lines.
    fn lines(&self) -> Vec<(&'static str, String)>;
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// For programs: compact JSON, one object a line.
    Json,
}

impl Format {
    /// Prints a list.
    pub fn list<R: Row>(self, rows: &[R]) {
        match self {
            Format::Json => rows.iter().for_each(|row| self.json(row)),
            Format::Table => {
                let cells: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
                print(&table(R::HEADER, &cells));
            }
        }
    }

    /// Prints one result.
    pub fn details<D: Details>(self, details: &D) {
        match self {
            Format::Json => self.json(details),
            Format::Table => print(&key_values(&details.lines())),
        }
    }

    /// Prints one JSON line.
    pub fn json<T: Serialize>(self, value: &T) {
        let mut line = serde_json::to_string(value).expect("a view is JSON");
        line.push('\n');
        print(&line);
    }
}

/// Writes to stdout; a reader that has gone away ends the program as it does other filters.
pub fn print(text: &str) {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            tell(&format!("trainyard: cannot write the output: {error}"));
            std::process::exit(1);
        }
    }
}

/// Writes a line to stderr. Nobody needs to listen: unlike `eprintln!`, which panics then.
pub fn tell(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Columns two blanks apart; a column of numbers is aligned right.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells
            .chain([header[column].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let is_number = |cell: &String| {
        cell.is_empty() || cell == "-" || cell.starts_with(|c: char| c.is_ascii_digit() || c == '-')
    };
    let numeric =
        |column: usize| !rows.is_empty() && rows.iter().all(|row| is_number(&row[column]));
    let columns: Vec<(usize, bool)> = (0..header.len())
        .map(|column| (width(column), numeric(column)))
        .collect();
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells
            .zip(&columns)
            .map(|(cell, &(width, numeric))| {
                if numeric {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            })
            .collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    };
    line(&mut header.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    text
}

fn key_values(lines: &[(&'static str, String)]) -> String {
    let width = lines.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (key, value) in lines {
        for (number, part) in value.lines().enumerate() {
            let key = if number == 0 { key } else { "" };
            text.push_str(&format!("{key:<width$}  {part}\n"));
        }
    }
    text
}

/// Bytes for people: `1.5 MiB`.
pub fn bytes(count: u64) -> String {
    spec::bytes::Bytes(count).to_string()
}

/// A count for people: `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number that may be absent, with so many decimals.
pub fn optional(number: Option<f64>, decimals: usize) -> String {
    number.map_or_else(|| "-".to_string(), |number| format!("{number:.decimals$}"))
}

/// How long ago a time was: `3 min ago`.
pub fn ago(unix_ms: u64) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64);
    format!("{} ago", duration(now.saturating_sub(unix_ms)))
}

/// A span of time for people: `850 ms`, `12 s`, `3 min`, `5 h`, `2 d`.
pub fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..=999 => format!("{milliseconds} ms"),
        1_000..=119_999 => format!("{} s", milliseconds / 1_000),
        120_000..=7_199_999 => format!("{} min", milliseconds / 60_000),
        7_200_000..=172_799_999 => format!("{} h", milliseconds / 3_600_000),
        _ => format!("{} d", milliseconds / 86_400_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align_numbers_right_and_text_left() {
        let rows = [
            vec!["job-1".into(), "7".into()],
            vec!["job-22".into(), "123".into()],
        ];
        assert_eq!(
            table(&["ID", "STEP"], &rows),
            "ID      STEP\njob-1      7\njob-22   123\n"
        );
    }

    #[test]
    fn sizes_counts_and_times_read_well() {
        assert_eq!(
            (bytes(512), bytes(3 << 20)),
            ("512 B".to_string(), "3.0 MiB".to_string())
        );
        assert_eq!(
            (count(7), count(1234567)),
            ("7".to_string(), "1,234,567".to_string())
        );
        assert_eq!(
            (duration(999), duration(61_000)),
            ("999 ms".to_string(), "61 s".to_string())
        );
    }
}
