//! The overrides of `--set key=value`: put into the tree of the file before it is read, so that they are checked alike.

use toml::de::DeValue;

use crate::job_file::found::Found;
use crate::job_file::keys;
use crate::job_file::mistake::Wrong;
use crate::job_file::spelling::nearest;
use crate::job_file::tree::{Entry, Node, Place, Table, Value, set_value};

/// The longest override.
const LONGEST: usize = 1 << 16;

/// Puts the overrides into the document, the later over the earlier. An override also takes away what the file says to the
/// contrary: steps for epochs, another loss, optimiser or schedule.
pub(super) fn apply(document: &mut Table, set: &[String], found: &mut Found) {
    for (index, text) in set.iter().enumerate() {
        if let Err(wrong) = apply_one(document, index, text) {
            found.add(Place::Set(index), wrong);
        }
    }
}

fn apply_one(document: &mut Table, index: usize, text: &str) -> Result<(), Wrong> {
    if text.len() > LONGEST {
        return Err(Wrong::TooLong {
            bytes: text.len(),
            limit: LONGEST,
        });
    }
    let (key, value) = text.split_once('=').ok_or(Wrong::NoValueSet)?;
    let (key, value) = (key.trim(), value.trim());
    if !keys::dotted().iter().any(|known| known == key) {
        return Err(unknown_key(key));
    }
    let node = match DeValue::parse(value) {
        Ok(value) => set_value(&value, index),
        Err(_) => Node {
            place: Place::Set(index),
            value: Value::Text(value.to_string()),
        },
    };
    match key {
        "training.epochs" => forget(document, "steps"),
        "training.steps" => forget(document, "epochs"),
        _ => {}
    }
    let path: Vec<&str> = key.split('.').collect();
    put(document, &path, node);
    Ok(())
}

/// Takes a key of the file's `[training]` away.
fn forget(document: &mut Table, key: &str) {
    let training = document
        .get_mut("training")
        .map(|entry| &mut entry.node.value);
    if let Some(Value::Table(training)) = training {
        training.retain(|other, entry| other != key || entry.key.is_set());
    }
}

/// Puts the node at the end of the path. A value of the file in the middle of the path that is no table stays, to be noted.
fn put(table: &mut Table, path: &[&str], node: Node) {
    let [key, rest @ ..] = path else { return };
    if rest.is_empty() {
        table.insert(
            key.to_string(),
            Entry {
                key: node.place,
                node,
            },
        );
        return;
    }
    let place = node.place;
    let empty = || Entry {
        key: place,
        node: Node {
            place,
            value: Value::Table(Table::new()),
        },
    };
    let entry = table.entry(key.to_string()).or_insert_with(empty);
    if ["loss", "optimizer", "lr_schedule"].contains(key) {
        choose(entry, rest[0]);
    }
    if let Value::Table(inner) = &mut entry.node.value {
        put(inner, rest, node);
    }
}

/// Writes a choice given by its word as a table, and takes away one of the file that is not `chosen`.
fn choose(choice: &mut Entry, chosen: &str) {
    let place = choice.node.place;
    if let Value::Text(word) = &choice.node.value {
        let values = Entry {
            key: place,
            node: Node {
                place,
                value: Value::Table(Table::new()),
            },
        };
        choice.node.value = Value::Table(Table::from([(word.clone(), values)]));
    }
    if let Value::Table(table) = &mut choice.node.value {
        table.retain(|word, entry| word == chosen || entry.key.is_set());
    }
}

fn unknown_key(key: &str) -> Wrong {
    let known = keys::dotted();
    let inside: Vec<String> = known
        .iter()
        .filter(|dotted| is_inside(dotted, key))
        .cloned()
        .collect();
    let (nearest, known) = if inside.is_empty() {
        let words: Vec<&str> = known.iter().map(String::as_str).collect();
        (
            keys::ending_in(key).or_else(|| nearest(key, &words).map(str::to_string)),
            known,
        )
    } else {
        (None, inside)
    };
    Wrong::UnknownKey {
        parent: String::new(),
        key: key.to_string(),
        nearest,
        known,
    }
}

/// Whether a dotted key stands right inside this section.
fn is_inside(dotted: &str, section: &str) -> bool {
    dotted
        .rsplit_once('.')
        .is_some_and(|(parent, _)| parent == section)
}
