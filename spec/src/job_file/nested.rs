//! Layers that hold lists of layers.

use crate::job_file::expected::Expected;
use crate::job_file::field::Field;
use crate::job_file::found::Found;
use crate::job_file::keys;
use crate::job_file::mistake::Wrong;
use crate::job_file::tree::Value;
use crate::model::{Layer, Repeat, Residual};

/// The most times that layers are repeated.
const MOST_TIMES: u32 = 10_000;

/// What the name of a residual's projection is, as a child of it.
const PROJECTION: &str = "projection";

/// Reads the layers inside a layer: a list, or one alone.
type Inside<'i> = &'i dyn Fn(&Field<'_>, &mut Found) -> Option<Vec<Layer>>;

/// The values of a residual: its layers, or a table.
pub(super) fn residual(
    field: &Field<'_>,
    inside: Inside<'_>,
    found: &mut Found,
) -> Option<Residual> {
    let section = match &field.node.value {
        Value::List(_) => {
            return Some(Residual {
                layers: branch(field, inside, found)?,
                projection: Vec::new(),
            });
        }
        Value::Table(_) => field.section(keys::RESIDUAL, found)?,
        _ => {
            field.wrong_type(Expected::Residual, found);
            return None;
        }
    };
    let layers = section
        .required("layers", Expected::Layers, found)
        .and_then(|field| branch(&field, inside, found));
    let projection = section.or("projection", Vec::new(), found, |field, found| match &field
        .node
        .value
    {
        Value::List(_) | Value::Text(_) | Value::Table(_) => inside(field, found),
        _ => {
            field.wrong_type(Expected::Projection, found);
            None
        }
    });
    Some(Residual {
        layers: layers?,
        projection: projection?,
    })
}

/// The layers of a residual, none of which is called as its projection.
fn branch(field: &Field<'_>, inside: Inside<'_>, found: &mut Found) -> Option<Vec<Layer>> {
    let layers = list(field, inside, found);
    if let Value::List(nodes) = &field.node.value {
        for (index, node) in nodes.iter().enumerate() {
            let Value::Table(entries) = &node.value else {
                continue;
            };
            let item = field.item(index, node);
            let name = entries
                .get("name")
                .map(|entry| item.child("name", &entry.node));
            let taken = |name: &Field<'_>| matches!(&name.node.value, Value::Text(text) if text == PROJECTION);
            if let Some(name) = name.filter(taken) {
                let key = name.key.clone();
                found.add(name.place(), Wrong::ProjectionName { key });
            }
        }
    }
    layers
}

/// The values of a repeat.
pub(super) fn repeat(field: &Field<'_>, inside: Inside<'_>, found: &mut Found) -> Option<Repeat> {
    let section = field.section(keys::REPEAT, found)?;
    let count = Expected::Whole {
        from: 1,
        to: u64::from(MOST_TIMES),
    };
    let times = section
        .required("times", count, found)
        .and_then(|field| field.count(MOST_TIMES, found));
    let layers = section
        .required("layers", Expected::Layers, found)
        .and_then(|field| list(&field, inside, found));
    Some(Repeat {
        times: times?,
        layers: layers?,
    })
}

fn list(field: &Field<'_>, inside: Inside<'_>, found: &mut Found) -> Option<Vec<Layer>> {
    let Value::List(_) = &field.node.value else {
        field.wrong_type(Expected::Layers, found);
        return None;
    };
    inside(field, found)
}
