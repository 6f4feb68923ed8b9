//! Which line of a CSV file is its header, and which column its label.

use std::path::Path;

use csv::ByteRecord;

use crate::error::Error;

/// The names by which a label's column is known, the first found wins.
pub(crate) const LABEL_NAMES: [&str; 4] = ["label", "class", "target", "y"];

/// How many columns a message lists.
const LISTED: usize = 12;

/// What the columns of a file are.
#[derive(Debug)]
pub(crate) struct Columns {
    names: Option<Vec<String>>,
    count: usize,
    label: usize,
}

impl Columns {
    /// Reads the first line, with the second beside it: the first is a header if it names the label, if none of its
    /// fields is a number, or if one of them is not where the second line has one. `label` is a column's name or its
    /// number from 0; by default a column named `label`, `class`, `target` or `y`, else the last.
    pub(crate) fn read(
        path: &Path,
        first: &ByteRecord,
        second: Option<&ByteRecord>,
        label: Option<&str>,
    ) -> Result<Self, Error> {
        let count = first.len();
        if count < 2 {
            return Err(Error::OneColumn {
                path: path.to_path_buf(),
            });
        }
        let names: Vec<String> = first.iter().map(excerpt).collect();
        let named = |wanted: &str| names.iter().position(|name| name == wanted);
        let known = LABEL_NAMES.iter().find_map(|known| {
            names
                .iter()
                .position(|name| name.eq_ignore_ascii_case(known))
        });
        let is_header = known.is_some()
            || label.is_some_and(|label| !is_number(label.as_bytes()) && named(label).is_some())
            || !first.iter().any(is_number)
            || second.is_some_and(|second| {
                first
                    .iter()
                    .zip(second)
                    .any(|(a, b)| !is_number(a) && is_number(b))
            });
        let names = is_header.then_some(names);
        let asked = label.map(|label| {
            let by_name = names
                .as_ref()
                .and_then(|names| names.iter().position(|name| name == label));
            let by_number = || label.parse().ok().filter(|&number: &usize| number < count);
            by_name
                .or_else(by_number)
                .ok_or_else(|| Error::NoSuchColumn {
                    path: path.to_path_buf(),
                    label: label.to_string(),
                    columns: listed(names.as_deref(), count),
                })
        });
        let label = asked.transpose()?.or(known).unwrap_or(count - 1);
        Ok(Columns {
            names,
            count,
            label,
        })
    }

    /// Whether the first line is a header.
    pub(crate) fn has_header(&self) -> bool {
        self.names.is_some()
    }

    /// How many columns there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The label's column.
    pub(crate) fn label(&self) -> usize {
        self.label
    }

    /// A column as messages call it: its name, else its number from 0.
    pub(crate) fn call(&self, column: usize) -> String {
        match &self.names {
            Some(names) => format!("\"{}\"", names[column]),
            None => column.to_string(),
        }
    }
}

/// A field as text for a message, cut to a readable length.
pub(crate) fn excerpt(field: &[u8]) -> String {
    const LONGEST: usize = 40;
    let text = String::from_utf8_lossy(field.trim_ascii());
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

/// The columns, for a message.
pub(crate) fn listed(names: Option<&[String]>, count: usize) -> String {
    match names {
        None => format!("columns 0 to {} and no header", count - 1),
        Some(names) if count > LISTED => {
            format!("{}, … ({count} in all)", names[..LISTED].join(", "))
        }
        Some(names) => names.join(", "),
    }
}

fn is_number(field: &[u8]) -> bool {
    str::from_utf8(field.trim_ascii()).is_ok_and(|text| text.parse::<f64>().is_ok())
}
