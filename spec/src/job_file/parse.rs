//! From text to job.

use toml::de::DeTable;

use crate::job::Job;
use crate::job_file::found::Found;
use crate::job_file::job::job;
use crate::job_file::mistake::{Mistakes, Wrong};
use crate::job_file::overrides;
use crate::job_file::position::Cursor;
use crate::job_file::tree::{Node, Place, Table, Value, document};

/// The longest job file, in bytes.
const LONGEST: usize = 1 << 20;

/// Parses and checks a job file.
///
/// # Errors
/// All mistakes of the file at once; a text that is no TOML has one.
pub fn parse(text: &str) -> Result<Job, Mistakes> {
    parse_with(text, &[])
}

/// Parses and checks a job file after the overrides `set`, each `key=value`: a dotted key of the job file, as
/// `training.epochs` or `training.optimizer.sgd.lr`, and a TOML value, else a string. Later overrides win. One of epochs or
/// steps takes the place of the file's other, an optimiser that of the file's other.
///
/// # Errors
/// All mistakes of the file and the overrides at once; those that an override causes carry its text.
pub fn parse_with(text: &str, set: &[String]) -> Result<Job, Mistakes> {
    let mut found = Found::default();
    let job = tree(text, &mut found).and_then(|mut document| {
        overrides::apply(&mut document, set, &mut found);
        job(&document, &mut found)
    });
    match found.into_mistakes(text, set) {
        Some(mistakes) => Err(mistakes),
        None => Ok(job.expect("a file without mistakes has every part of a job")),
    }
}

/// Line and column, from 1, of each entry of `model.layers`, each followed by those of the lists inside it, in order;
/// empty if the text has none.
pub fn layer_positions(text: &str) -> Vec<(usize, usize)> {
    positions(text, "model", "layers")
}

/// Line and column, from 1, of each entry of `training.groups`, in order; empty if the text has none.
pub fn group_positions(text: &str) -> Vec<(usize, usize)> {
    positions(text, "training", "groups")
}

/// Line and column, from 1, of each entry of `training.init`, in order; empty if the text has none.
pub fn init_positions(text: &str) -> Vec<(usize, usize)> {
    positions(text, "training", "init")
}

fn positions(text: &str, section: &str, key: &str) -> Vec<(usize, usize)> {
    let document = tree(text, &mut Found::default()).unwrap_or_default();
    let mut places = Vec::new();
    if let Some(Value::Table(section)) = document.get(section).map(|entry| &entry.node.value) {
        entries(section, key, &mut places);
    }
    let offsets = places.into_iter().filter_map(|place| match place {
        Place::File(offset) => Some(offset),
        Place::Nowhere | Place::Set(_) => None,
    });
    let offsets: Vec<usize> = offsets.collect();
    let mut order: Vec<usize> = (0..offsets.len()).collect();
    order.sort_by_key(|&number| offsets[number]);
    let (mut cursor, mut positions) = (Cursor::new(text), vec![(0, 0); offsets.len()]);
    for number in order {
        positions[number] = cursor.at(offsets[number]);
    }
    positions
}

/// Adds the places of the layers under `key`, each followed by those inside it.
fn entries(table: &Table, key: &str, places: &mut Vec<Place>) {
    match table.get(key).map(|entry| &entry.node) {
        Some(Node {
            value: Value::List(nodes),
            ..
        }) => nodes.iter().for_each(|node| entry(node, places)),
        Some(node) if key == "projection" => entry(node, places),
        _ => {}
    }
}

/// Adds the place of a layer, and those inside it.
fn entry(node: &Node, places: &mut Vec<Place>) {
    places.push(node.place);
    let Value::Table(layer) = &node.value else {
        return;
    };
    for word in ["residual", "repeat"] {
        match layer.get(word).map(|entry| &entry.node.value) {
            Some(Value::Table(values)) => {
                entries(values, "layers", places);
                entries(values, "projection", places);
            }
            Some(Value::List(_)) => entries(layer, word, places),
            _ => {}
        }
    }
}

fn tree(text: &str, found: &mut Found) -> Option<Table> {
    if text.len() > LONGEST {
        found.add(
            Place::Nowhere,
            Wrong::TooLong {
                bytes: text.len(),
                limit: LONGEST,
            },
        );
        return None;
    }
    match DeTable::parse(text) {
        Ok(parsed) => Some(document(parsed.get_ref())),
        Err(error) => {
            let place = error
                .span()
                .map_or(Place::Nowhere, |span| Place::File(span.start));
            found.add(
                place,
                Wrong::Syntax {
                    detail: detail(&error, text),
                },
            );
            None
        }
    }
}

/// What the TOML parser says, with the text it points at.
fn detail(error: &toml::de::Error, text: &str) -> String {
    let at = error
        .span()
        .and_then(|span| text.get(span))
        .unwrap_or_default();
    if at.trim().is_empty() || at.contains('\n') {
        return error.message().to_string();
    }
    format!("{}, at `{at}`", error.message())
}
