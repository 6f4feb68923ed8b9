//! CSV with numeric features and one label, with or without a header.

use std::path::Path;

use spec::dataset::Element;
use spec::{DatasetManifest, Shape};

use super::classes::Labels;
use super::columns::{Columns, excerpt};
use super::input::{Input, Progress};
use super::records::{Dialect, Line, Lines};
use super::split::{Pushed, SplitWriter};
use crate::error::Error;
use crate::fault::CsvFault;
use crate::sink::ChunkSink;

/// What a CSV file does not say itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CsvOptions {
    /// The label's column: a name of the header, or a number from 0. By default a column named `label`, `class`,
    /// `target` or `y`, else the last.
    pub label: Option<String>,
    /// The shape of a row, with as many values as there are features. By default `[F]`.
    pub shape: Option<Shape>,
    /// The largest value there can be. By default the largest absolute value there is.
    pub maximum: Option<f64>,
    /// How lines are written.
    pub dialect: Dialect,
}

/// Imports a CSV file, compressed or not, as split `train`. Features are kept as f32. Labels are class numbers, which
/// stay what they are, or text, which is sorted into classes.
///
/// # Errors
/// A file that is missing, empty or damaged; a line that is no row, with its number and column; options that do not fit
/// the file; a failing sink.
pub fn import_csv(
    file: &Path,
    options: &CsvOptions,
    sink: &mut dyn ChunkSink,
    progress: &mut dyn FnMut(&Progress),
) -> Result<DatasetManifest, Error> {
    import(Input::open(file)?, options, sink, progress)
}

/// Imports the content of a CSV file, compressed or not; `name` stands for its path in messages.
///
/// # Errors
/// As [`import_csv`].
pub fn import_csv_bytes(
    name: &str,
    bytes: &[u8],
    options: &CsvOptions,
    sink: &mut dyn ChunkSink,
    progress: &mut dyn FnMut(&Progress),
) -> Result<DatasetManifest, Error> {
    import(Input::of_bytes(name, bytes)?, options, sink, progress)
}

fn import(
    input: Input,
    options: &CsvOptions,
    sink: &mut dyn ChunkSink,
    progress: &mut dyn FnMut(&Progress),
) -> Result<DatasetManifest, Error> {
    if let Some(maximum) = options.maximum
        && !(maximum > 0.0 && maximum.is_finite())
    {
        return Err(Error::Maximum { maximum });
    }
    let (path, total, taken) = (input.path(), input.total(), input.taken());
    let mut lines = Lines::new(input, options.dialect);
    let Some(first) = lines.next()? else {
        return Err(Error::Empty { path });
    };
    let second = lines.next()?;
    let columns = Columns::read(
        &path,
        &first.fields,
        second.as_ref().map(|line| &line.fields),
        options.label.as_deref(),
    )?;
    let features = columns.count() - 1;
    let shape = match &options.shape {
        Some(shape) if shape.elements() != features => {
            return Err(Error::ShapeMismatch {
                path,
                shape: shape.clone(),
                features,
            });
        }
        Some(shape) => shape.clone(),
        None => {
            Shape::new(vec![features]).expect("a line of bounded length has fewer than 2^40 fields")
        }
    };

    let mut report = |rows: u32| {
        progress(&Progress {
            done: taken.get(),
            total: Some(total),
            rows: u64::from(rows),
        })
    };
    let mut table = Table {
        columns: &columns,
        maximum: options.maximum,
        largest: 0.0,
        labels: Labels::default(),
    };
    let mut writer = SplitWriter::new(&path, sink, Element::F32, shape.channels(), features)?;
    let mut row = Vec::with_capacity(4 * features);
    let mut next = if columns.has_header() {
        second
    } else {
        lines.give_back(second, first)
    };
    while let Some(line) = next {
        table.read(&line, &mut row).map_err(|fault| Error::Csv {
            path: path.clone(),
            line: line.number,
            fault,
        })?;
        if writer.push(&row)? == Pushed::Kept {
            report(writer.rows());
        }
        next = lines.after(line)?;
    }
    if writer.rows() == 0 {
        return Err(Error::NoRows { path: path.clone() });
    }
    report(writer.rows());
    let largest = if table.largest > 0.0 {
        f64::from(table.largest)
    } else {
        1.0
    };
    let (labels, classes) = table.labels.finish(&path)?;
    let split = writer.finish("train", &labels, classes.len())?;
    let maximum = options.maximum.unwrap_or(largest);
    Ok(DatasetManifest {
        kind: "csv".to_string(),
        shape,
        element: Element::F32,
        maximum,
        classes,
        tokens: None,
        splits: vec![split],
    })
}

/// What the rows have shown so far.
struct Table<'a> {
    columns: &'a Columns,
    maximum: Option<f64>,
    largest: f32,
    labels: Labels,
}

impl Table<'_> {
    /// Reads a line into the bytes of a row and the next label.
    fn read(&mut self, line: &Line, row: &mut Vec<u8>) -> Result<(), CsvFault> {
        if line.fields.iter().any(|field| field.contains(&b'\n')) {
            return Err(CsvFault::Quote);
        }
        if line.fields.len() != self.columns.count() {
            return Err(CsvFault::Ragged {
                found: line.fields.len(),
                expected: self.columns.count(),
            });
        }
        row.clear();
        for (column, field) in line.fields.iter().enumerate() {
            let field = field.trim_ascii();
            if column == self.columns.label() {
                let text = str::from_utf8(field).map_err(|_| self.not_a_number(column, field))?;
                self.labels
                    .push(&self.columns.call(column), text, line.number)?;
            } else {
                row.extend_from_slice(&self.feature(column, field)?.to_le_bytes());
            }
        }
        Ok(())
    }

    fn feature(&mut self, column: usize, field: &[u8]) -> Result<f32, CsvFault> {
        let parsed = str::from_utf8(field)
            .ok()
            .and_then(|text| text.parse::<f32>().ok());
        let value = parsed.ok_or_else(|| self.not_a_number(column, field))?;
        let (name, text) = (|| self.columns.call(column), || excerpt(field));
        if !value.is_finite() {
            return Err(CsvFault::Finite {
                column: name(),
                text: text(),
            });
        }
        match self.maximum {
            // Compared as kept: 0.1 as f32 is a little above 0.1.
            Some(maximum) if value.abs() > maximum as f32 => Err(CsvFault::Maximum {
                column: name(),
                text: text(),
                maximum,
            }),
            _ => {
                self.largest = self.largest.max(value.abs());
                Ok(value)
            }
        }
    }

    fn not_a_number(&self, column: usize, field: &[u8]) -> CsvFault {
        CsvFault::Number {
            column: self.columns.call(column),
            text: excerpt(field),
        }
    }
}

#[cfg(test)]
mod tests;
