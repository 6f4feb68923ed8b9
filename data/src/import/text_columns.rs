//! Which columns of a table hold text and label, and whether its first line names them.

use std::path::Path;

use csv::ByteRecord;

use super::columns::{LABEL_NAMES, excerpt, listed};
use crate::error::Error;
use crate::text_fault::TextFault;

/// The columns asked for, each by name or by number from 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnNames {
    /// The column of text.
    pub text: String,
    /// The column of labels. By default one named `label`, `class`, `target` or `y`, else the other one of two.
    pub label: Option<String>,
}

/// What the columns of a table are.
#[derive(Debug)]
pub(crate) struct TextColumns {
    names: Option<Vec<String>>,
    count: usize,
    text: usize,
    label: usize,
}

impl TextColumns {
    /// Reads the first line: it is a header if it names a column that is asked for, or has one called as labels are.
    pub(crate) fn read(
        path: &Path,
        first: &ByteRecord,
        asked: &ColumnNames,
    ) -> Result<Self, Error> {
        let count = first.len();
        if count < 2 {
            let path = path.to_path_buf();
            return Err(Error::OneColumn { path });
        }
        let names: Vec<String> = first.iter().map(excerpt).collect();
        // A number asked for is a column's number: the label of a first row may be that very number.
        let named = |wanted: &str| {
            let is_number = wanted.bytes().all(|byte| byte.is_ascii_digit());
            names.iter().position(|name| !is_number && name == wanted)
        };
        let known = LABEL_NAMES.iter().find_map(|known| {
            names
                .iter()
                .position(|name| name.eq_ignore_ascii_case(known))
        });
        let is_header = known.is_some()
            || named(&asked.text).is_some()
            || asked.label.as_deref().and_then(named).is_some();
        let find = |wanted: &str| {
            let by_name = named(wanted).filter(|_| is_header);
            let by_number = || wanted.parse().ok().filter(|&number: &usize| number < count);
            by_name
                .or_else(by_number)
                .ok_or_else(|| Error::NoSuchColumn {
                    path: path.to_path_buf(),
                    label: wanted.to_string(),
                    columns: listed(is_header.then_some(names.as_slice()), count),
                })
        };
        let text = find(&asked.text)?;
        let label = match &asked.label {
            Some(label) => find(label)?,
            None => match known.filter(|&known| known != text) {
                Some(known) => known,
                None if count == 2 => 1 - text,
                None => {
                    let path = path.to_path_buf();
                    return Err(TextFault::WhichLabel {
                        path,
                        columns: count,
                    }
                    .into());
                }
            },
        };
        if label == text {
            let column = asked.text.clone();
            return Err(TextFault::OneColumnForBoth { column }.into());
        }
        Ok(TextColumns {
            names: is_header.then_some(names),
            count,
            text,
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

    /// The column of text.
    pub(crate) fn text(&self) -> usize {
        self.text
    }

    /// The column of labels.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        first: &[&str],
        text: &str,
        label: Option<&str>,
    ) -> Result<(usize, usize, bool), String> {
        let asked = ColumnNames {
            text: text.to_string(),
            label: label.map(str::to_string),
        };
        let columns = TextColumns::read(
            Path::new("a.csv"),
            &ByteRecord::from(first.to_vec()),
            &asked,
        );
        columns
            .map(|columns| (columns.text(), columns.label(), columns.has_header()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_header_is_known_by_the_names_that_are_asked_for_or_that_labels_have() {
        assert_eq!(read(&["ham", "Go until"], "1", None), Ok((1, 0, false)));
        assert_eq!(
            read(&["kind", "message"], "message", None),
            Ok((1, 0, true))
        );
        assert_eq!(read(&["a", "Label", "b"], "2", None), Ok((2, 1, true)));
        assert_eq!(read(&["a", "b", "c"], "0", Some("c")), Ok((0, 2, true)));
        assert_eq!(read(&["a", "b", "c"], "0", Some("1")), Ok((0, 1, false)));
        assert_eq!(read(&["Good", "0"], "0", None), Ok((0, 1, false)));
    }

    #[test]
    fn columns_that_are_not_there_or_not_told_apart_are_refused() {
        let refused = |first: &[&str], text, label| read(first, text, label).unwrap_err();
        assert_eq!(
            refused(&["a", "b"], "2", None),
            "a.csv has no column \"2\": it has columns 0 to 1 and no header"
        );
        assert_eq!(
            refused(&["a", "b", "c"], "0", None),
            "a.csv has 3 columns, none of them named label, class, target or y: say which is the label with --label"
        );
        assert_eq!(
            refused(&["a", "b"], "1", Some("1")),
            "column 1 cannot be both text and label: give --text and --label different columns"
        );
    }
}
