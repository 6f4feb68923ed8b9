//! The job file as a tree whose every key and value knows where it came from. Holding our own tree lets `--set` change it.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue};

use crate::job_file::spelling::{quoted, shown};

/// No key of a job file lies this deep: what is below stays unread.
const DEPTH: usize = 32;

/// Where a key or value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// At this byte of the file.
    File(usize),
    /// From nowhere: what is missing has no place.
    Nowhere,
    /// From this override, counted from 0.
    Set(usize),
}

impl Place {
    /// Whether an override is the cause.
    pub(super) fn is_set(self) -> bool {
        matches!(self, Place::Set(_))
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    /// A whole number as it was written, and its value unless it is out of reach.
    Whole(String, Option<i64>),
    /// A number with a point or an exponent as it was written, and its value.
    Number(String, f64),
    Flag(bool),
    Date,
    List(Vec<Node>),
    Table(Table),
}

/// The entries of a table by key.
pub(super) type Table = BTreeMap<String, Entry>;

/// A key's place and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: Place,
    pub(super) node: Node,
}

impl Value {
    /// The value in words, for a person who was to write another.
    pub(super) fn described(&self) -> String {
        match self {
            Value::Text(text) => quoted(text),
            Value::Whole(text, _) | Value::Number(text, _) => shown(text),
            Value::Flag(flag) => flag.to_string(),
            Value::Date => "a date or time".to_string(),
            Value::List(nodes) if nodes.is_empty() => "an empty list".to_string(),
            Value::List(_) => "a list".to_string(),
            Value::Table(table) if table.is_empty() => "an empty table".to_string(),
            Value::Table(_) => "a table".to_string(),
        }
    }
}

/// The tree of a parsed document.
pub(super) fn document(document: &DeTable<'_>) -> Table {
    table(document, &|span| Place::File(span.start), 0)
}

/// The tree of the value of override number `set`.
pub(super) fn set_value(value: &Spanned<DeValue<'_>>, set: usize) -> Node {
    node(value, &|_| Place::Set(set), 0)
}

fn table(entries: &DeTable<'_>, place: &dyn Fn(Range<usize>) -> Place, depth: usize) -> Table {
    if depth >= DEPTH {
        return Table::new();
    }
    entries
        .iter()
        .map(|(key, value)| {
            let entry = Entry {
                key: place(key.span()),
                node: node(value, place, depth + 1),
            };
            (key.get_ref().to_string(), entry)
        })
        .collect()
}

fn node(value: &Spanned<DeValue<'_>>, place: &dyn Fn(Range<usize>) -> Place, depth: usize) -> Node {
    let read = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(integer) => Value::Whole(integer.to_string(), whole(integer)),
        DeValue::Float(float) => Value::Number(float.to_string(), number(float)),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(_) if depth >= DEPTH => Value::List(Vec::new()),
        DeValue::Array(nodes) => Value::List(
            nodes
                .iter()
                .map(|value| node(value, place, depth + 1))
                .collect(),
        ),
        DeValue::Table(entries) => Value::Table(table(entries, place, depth)),
    };
    Node {
        place: place(value.span()),
        value: read,
    }
}

fn whole(integer: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A text that Rust does not read as a number counts as none.
fn number(float: &DeFloat<'_>) -> f64 {
    float.as_str().parse().unwrap_or(f64::NAN)
}
