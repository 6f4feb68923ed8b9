//! The labels of a source and the classes that they make.

use std::collections::BTreeMap;
use std::path::Path;

use super::columns::excerpt;
use crate::error::Error;
use crate::fault::CsvFault;

/// The most classes there can be.
pub(crate) const MAX_CLASSES: u32 = 1 << 16;

/// Up to so many classes may be empty without a question.
const FEW_CLASSES: usize = 16;

/// The names of classes that are numbers: `0` to `last`.
pub(crate) fn numbered(last: u32) -> Vec<String> {
    (0..=last).map(|class| class.to_string()).collect()
}

/// Refuses labels that leave most of many classes without a row: one wild number among them, or a column that is no
/// label.
pub(crate) fn check_density(path: &Path, labels: &[u32]) -> Result<(), Error> {
    let label = labels.iter().copied().max().unwrap_or(0);
    let mut seen = vec![false; label as usize + 1];
    for &label in labels {
        seen[label as usize] = true;
    }
    let empty = seen.iter().filter(|&&seen| !seen).count();
    if seen.len() > FEW_CLASSES && empty * 2 > seen.len() {
        return Err(Error::SparseClasses {
            path: path.to_path_buf(),
            label,
            classes: seen.len(),
            empty,
        });
    }
    Ok(())
}

/// The labels of a text source, all numbers or all text, until their classes are known.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    /// The class number, or the id of the text.
    rows: Vec<u32>,
    /// Each text's id, in the order in which they came.
    texts: BTreeMap<String, u32>,
    first: Option<First>,
}

#[derive(Debug)]
struct First {
    text: String,
    line: u64,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
}

impl Labels {
    /// Takes the label of the next row.
    pub(crate) fn push(&mut self, column: &str, text: &str, line: u64) -> Result<(), CsvFault> {
        let (column, shown) = (|| column.to_string(), || excerpt(text.as_bytes()));
        if text.is_empty() {
            return Err(CsvFault::NoLabel { column: column() });
        }
        let number = text.parse::<f64>().ok().filter(|number| !number.is_nan());
        let kind = if number.is_some() {
            Kind::Number
        } else {
            Kind::Text
        };
        let first = self.first.get_or_insert_with(|| First {
            text: shown(),
            line,
            kind,
        });
        if first.kind != kind {
            let (first, first_line) = (first.text.clone(), first.line);
            return Err(CsvFault::MixedLabels {
                column: column(),
                text: shown(),
                first,
                first_line,
            });
        }
        let label = match number {
            Some(number)
                if number >= 0.0 && number < f64::from(MAX_CLASSES) && number.trunc() == number =>
            {
                number as u32
            }
            Some(_) => {
                return Err(CsvFault::Label {
                    column: column(),
                    text: shown(),
                    last: MAX_CLASSES - 1,
                });
            }
            None => {
                let next = self.texts.len() as u32;
                match self.texts.get(text) {
                    Some(&id) => id,
                    None if next == MAX_CLASSES => {
                        return Err(CsvFault::TooManyClasses {
                            column: column(),
                            limit: MAX_CLASSES,
                        });
                    }
                    None => {
                        self.texts.insert(text.to_string(), next);
                        next
                    }
                }
            }
        };
        self.rows.push(label);
        Ok(())
    }

    /// Labels that are the names of these classes, in this order.
    pub(crate) fn of_classes<'a>(classes: impl Iterator<Item = &'a str>) -> Self {
        let mut labels = Labels::default();
        for class in classes {
            let next = labels.texts.len() as u32;
            labels.texts.entry(class.to_string()).or_insert(next);
        }
        labels
    }

    /// Takes the class of the next row, one of [`Labels::of_classes`].
    pub(crate) fn push_class(&mut self, class: &str) {
        self.rows.extend(self.texts.get(class));
    }

    /// The class of each row, and the classes: numbers keep their number, texts are sorted by their bytes.
    pub(crate) fn finish(mut self, path: &Path) -> Result<(Vec<u32>, Vec<String>), Error> {
        if self.texts.is_empty() {
            check_density(path, &self.rows)?;
            let last = self.rows.iter().copied().max().unwrap_or(0);
            return Ok((self.rows, numbered(last)));
        }
        let mut classes = vec![0; self.texts.len()];
        for (class, &id) in self.texts.values().enumerate() {
            classes[id as usize] = class as u32;
        }
        for label in &mut self.rows {
            *label = classes[*label as usize];
        }
        Ok((self.rows, self.texts.into_keys().collect()))
    }
}
