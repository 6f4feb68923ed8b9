//! A value of the job file under its dotted key, and how it is read: a value that does not fit is noted and read as `None`.

use crate::job_file::expected::{Expected, Interval};
use crate::job_file::found::Found;
use crate::job_file::keys;
use crate::job_file::mistake::Wrong;
use crate::job_file::spelling::nearest;
use crate::job_file::tree::{Node, Place, Table, Value};
use crate::model::Pair;

/// A value and the dotted key that leads to it.
#[derive(Debug, Clone)]
pub(super) struct Field<'t> {
    pub(super) key: String,
    pub(super) node: &'t Node,
}

/// A table whose keys are all known, or noted.
#[derive(Debug, Clone)]
pub(super) struct Section<'t> {
    key: String,
    place: Place,
    entries: Option<&'t Table>,
}

impl<'t> Field<'t> {
    pub(super) fn place(&self) -> Place {
        self.node.place
    }

    pub(super) fn wrong_type(&self, expected: Expected, found: &mut Found) {
        let (key, got) = (self.key.clone(), self.node.value.described());
        found.add(self.place(), Wrong::WrongType { key, expected, got });
    }

    pub(super) fn out_of_range(&self, expected: Expected, found: &mut Found) {
        let (key, got) = (self.key.clone(), self.node.value.described());
        found.add(self.place(), Wrong::OutOfRange { key, expected, got });
    }

    /// A whole number in `from..=to`.
    pub(super) fn whole(&self, from: u64, to: u64, found: &mut Found) -> Option<u64> {
        self.whole_as(from, to, Expected::Whole { from, to }, found)
    }

    /// A whole number in `1..=to`.
    pub(super) fn count(&self, to: u32, found: &mut Found) -> Option<u32> {
        self.whole(1, u64::from(to), found)
            .and_then(|value| u32::try_from(value).ok())
    }

    /// A whole number in `from..=to`, where `expected` says what else the key would take.
    pub(super) fn whole_as(
        &self,
        from: u64,
        to: u64,
        expected: Expected,
        found: &mut Found,
    ) -> Option<u64> {
        let Value::Whole(_, value) = &self.node.value else {
            self.wrong_type(expected, found);
            return None;
        };
        let value = value
            .and_then(|value| u64::try_from(value).ok())
            .filter(|value| (from..=to).contains(value));
        if value.is_none() {
            self.out_of_range(expected, found);
        }
        value
    }

    /// A number in `interval`.
    pub(super) fn number(&self, interval: Interval, found: &mut Found) -> Option<f64> {
        let expected = Expected::Number(interval);
        let value = match self.node.value {
            Value::Number(_, value) => value,
            Value::Whole(_, Some(value)) => value as f64,
            Value::Whole(_, None) => f64::NAN,
            _ => {
                self.wrong_type(expected, found);
                return None;
            }
        };
        if !interval.contains(value) {
            self.out_of_range(expected, found);
            return None;
        }
        Some(value)
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, found: &mut Found) -> Option<bool> {
        match self.node.value {
            Value::Flag(flag) => Some(flag),
            _ => {
                self.wrong_type(Expected::Flag, found);
                None
            }
        }
    }

    /// A text.
    pub(super) fn text(&self, expected: Expected, found: &mut Found) -> Option<&'t str> {
        match &self.node.value {
            Value::Text(text) => Some(text),
            _ => {
                self.wrong_type(expected, found);
                None
            }
        }
    }

    /// One of `known`.
    pub(super) fn word(
        &self,
        known: &'static [&'static str],
        found: &mut Found,
    ) -> Option<&'static str> {
        let text = self.text(Expected::Word(known), found)?;
        let word = known.iter().copied().find(|word| *word == text);
        if word.is_none() {
            let (key, word, nearest) = (self.key.clone(), text.to_string(), nearest(text, known));
            found.add(
                self.place(),
                Wrong::UnknownWord {
                    key,
                    word,
                    nearest,
                    known,
                },
            );
        }
        word
    }

    /// One whole number for both extents or a list of two, each in `from..=to`.
    pub(super) fn pair(&self, from: u32, to: u32, found: &mut Found) -> Option<Pair> {
        let expected = Expected::Pair { from, to };
        let one = |field: &Field<'_>, expected, found: &mut Found| {
            let value = field.whole_as(u64::from(from), u64::from(to), expected, found)?;
            u32::try_from(value).ok()
        };
        match &self.node.value {
            Value::List(nodes) if nodes.len() == 2 => {
                let expected = Expected::Whole {
                    from: u64::from(from),
                    to: u64::from(to),
                };
                let h = one(&self.item(0, &nodes[0]), expected, found);
                let w = one(&self.item(1, &nodes[1]), expected, found);
                Some(Pair { h: h?, w: w? })
            }
            _ => one(self, expected, found).map(Pair::both),
        }
    }

    /// The list's entry at `index`.
    pub(super) fn item(&self, index: usize, node: &'t Node) -> Field<'t> {
        Field {
            key: format!("{}[{index}]", self.key),
            node,
        }
    }

    /// The table's value of `key`.
    pub(super) fn child(&self, key: &str, node: &'t Node) -> Field<'t> {
        Field {
            key: joined(&self.key, key),
            node,
        }
    }

    /// A table of known keys.
    pub(super) fn section(
        &self,
        known: &'static [&'static str],
        found: &mut Found,
    ) -> Option<Section<'t>> {
        let Value::Table(entries) = &self.node.value else {
            self.wrong_type(Expected::Table, found);
            return None;
        };
        Some(Section::new(
            self.key.clone(),
            self.place(),
            entries,
            known,
            found,
        ))
    }
}

impl Section<'_> {
    /// A table that is not there: every key has its default.
    pub(super) fn absent(key: String) -> Self {
        Section {
            key,
            place: Place::Nowhere,
            entries: None,
        }
    }
}

impl<'t> Section<'t> {
    /// A table; keys that are not `known` are noted.
    pub(super) fn new(
        key: String,
        place: Place,
        entries: &'t Table,
        known: &'static [&'static str],
        found: &mut Found,
    ) -> Self {
        for (unknown, entry) in entries
            .iter()
            .filter(|(key, _)| !known.contains(&key.as_str()))
        {
            found.add(entry.key, unknown_key(&key, unknown, known));
        }
        Section {
            key,
            place,
            entries: Some(entries),
        }
    }

    /// The value of `key`, if it is there.
    pub(super) fn get(&self, key: &str) -> Option<Field<'t>> {
        let entry = self.entries?.get(key)?;
        Some(Field {
            key: joined(&self.key, key),
            node: &entry.node,
        })
    }

    /// Where `key` stands, if it does.
    pub(super) fn key_place(&self, key: &str) -> Option<Place> {
        Some(self.entries?.get(key)?.key)
    }

    /// Where the table stands.
    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// The value of `key`, which must be there.
    pub(super) fn required(
        &self,
        key: &str,
        expected: Expected,
        found: &mut Found,
    ) -> Option<Field<'t>> {
        let field = self.get(key);
        if field.is_none() {
            found.add(
                self.place,
                Wrong::Missing {
                    key: joined(&self.key, key),
                    expected,
                },
            );
        }
        field
    }

    /// The value of `key` as `read` reads it; `default` if it is not there.
    pub(super) fn or<T>(
        &self,
        key: &str,
        default: T,
        found: &mut Found,
        read: impl FnOnce(&Field<'t>, &mut Found) -> Option<T>,
    ) -> Option<T> {
        match self.get(key) {
            Some(field) => read(&field, found),
            None => Some(default),
        }
    }

    /// The table under `key`; an empty one if there is none.
    pub(super) fn section(
        &self,
        key: &str,
        known: &'static [&'static str],
        found: &mut Found,
    ) -> Option<Section<'t>> {
        let empty = Section::absent(joined(&self.key, key));
        self.or(key, empty, found, |field, found| {
            field.section(known, found)
        })
    }
}

/// The mistake of an unknown `key` in the table `parent`: nearest is the key meant there, or the one of that very name
/// elsewhere.
fn unknown_key(parent: &str, key: &str, known: &'static [&'static str]) -> Wrong {
    let elsewhere = || keys::ending_in(key).filter(|dotted| *dotted != joined(parent, key));
    Wrong::UnknownKey {
        parent: parent.to_string(),
        key: key.to_string(),
        nearest: nearest(key, known).map(str::to_string).or_else(elsewhere),
        known: known.iter().map(|known| known.to_string()).collect(),
    }
}

fn joined(parent: &str, key: &str) -> String {
    if parent.is_empty() {
        key.to_string()
    } else {
        format!("{parent}.{key}")
    }
}
