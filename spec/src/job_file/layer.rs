//! The `[model]` section: the list of layers.

use std::collections::BTreeMap;

use crate::job_file::activation;
use crate::job_file::dropout::dropout;
use crate::job_file::expected::Expected;
use crate::job_file::field::{Field, Section};
use crate::job_file::found::Found;
use crate::job_file::keys;
use crate::job_file::mistake::Wrong;
use crate::job_file::name::is_layer_name;
use crate::job_file::nested;
use crate::job_file::normalization;
use crate::job_file::sequence;
use crate::job_file::spelling::nearest;
use crate::job_file::tree::{Table, Value};
use crate::job_file::window::{avg_pool2d, conv2d, max_pool2d};
use crate::model::{Layer, LayerKind, Linear, Model, Size};

const MOST_LAYERS: usize = 10_000;
/// So many lists a list of layers may lie in, one inside the other.
const DEEPEST: usize = 8;
/// The largest number of units.
const MOST_UNITS: u32 = 1 << 20;

/// Reads the section.
pub(super) fn model(section: &Section<'_>, found: &mut Found) -> Option<Model> {
    let field = section.required("layers", Expected::Layers, found)?;
    let layers = list(&field, 0, found)?;
    let count = layers
        .iter()
        .map(Layer::unrolled)
        .fold(0, usize::saturating_add);
    if count > MOST_LAYERS {
        let limit = MOST_LAYERS;
        found.add(field.place(), Wrong::TooManyRepeated { count, limit });
        return None;
    }
    Some(Model { layers })
}

/// The layers of a list that lies inside so many others.
fn list(field: &Field<'_>, depth: usize, found: &mut Found) -> Option<Vec<Layer>> {
    let Value::List(nodes) = &field.node.value else {
        field.wrong_type(Expected::Layers, found);
        return None;
    };
    let key = || field.key.clone();
    let refused = match nodes.len() {
        0 => Some(Wrong::NoLayers { key: key() }),
        count if count > MOST_LAYERS => Some(Wrong::TooManyLayers {
            key: key(),
            count,
            limit: MOST_LAYERS,
        }),
        _ if depth > DEEPEST => Some(Wrong::TooDeep {
            key: key(),
            limit: DEEPEST,
        }),
        _ => None,
    };
    if let Some(wrong) = refused {
        found.add(field.place(), wrong);
        return None;
    }
    let mut names = Names {
        list: &field.key,
        taken: BTreeMap::new(),
    };
    let mut layers = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let item = field.item(index, node);
        layers.push(layer(&item, index, depth, &mut names, found));
    }
    layers.into_iter().collect()
}

/// The layers inside a layer that lies inside so many lists: a list, or one alone.
fn inside(field: &Field<'_>, depth: usize, found: &mut Found) -> Option<Vec<Layer>> {
    if let Value::List(_) = &field.node.value {
        return list(field, depth, found);
    }
    let mut names = Names {
        list: &field.key,
        taken: BTreeMap::new(),
    };
    layer(field, 0, depth, &mut names, found).map(|layer| vec![layer])
}

/// The names of a list, each with its position.
struct Names<'l, 't> {
    list: &'l str,
    taken: BTreeMap<&'t str, usize>,
}

fn layer<'t>(
    field: &Field<'t>,
    index: usize,
    depth: usize,
    names: &mut Names<'_, 't>,
    found: &mut Found,
) -> Option<Layer> {
    match &field.node.value {
        Value::Text(word) => bare(field, word, found).map(|kind| Layer { name: None, kind }),
        Value::Table(entries) => {
            let name = match entries.get("name") {
                Some(entry) => {
                    name(&field.child("name", &entry.node), index, names, found).map(Some)
                }
                None => Some(None),
            };
            let kind = tabled(field, entries, depth, found);
            Some(Layer {
                name: name?,
                kind: kind?,
            })
        }
        _ => {
            field.wrong_type(Expected::Layer, found);
            None
        }
    }
}

fn name<'t>(
    field: &Field<'t>,
    index: usize,
    names: &mut Names<'_, 't>,
    found: &mut Found,
) -> Option<String> {
    let text = field.text(Expected::LayerName, found)?;
    if !is_layer_name(text) {
        field.out_of_range(Expected::LayerName, found);
        return None;
    }
    let first = *names.taken.entry(text).or_insert(index);
    if first != index {
        let (key, name) = (field.key.clone(), text.to_string());
        let list = names.list.to_string();
        found.add(
            field.place(),
            Wrong::DuplicateName {
                key,
                name,
                list,
                first,
            },
        );
        return None;
    }
    Some(text.to_string())
}

/// A layer that is its word alone.
fn bare(field: &Field<'_>, word: &str, found: &mut Found) -> Option<LayerKind> {
    let (layer, example) = match word {
        "relu" => return Some(LayerKind::Relu),
        "flatten" => return Some(LayerKind::Flatten),
        "softmax" => return Some(LayerKind::Softmax),
        "log_softmax" => return Some(LayerKind::LogSoftmax),
        "linear" => ("linear", "{ linear = 128 } or { linear = \"classes\" }"),
        "conv2d" => ("conv2d", "{ conv2d = { filters = 32, kernel = 3 } }"),
        "max_pool2d" => ("max_pool2d", "{ max_pool2d = 2 }"),
        "avg_pool2d" => ("avg_pool2d", "{ avg_pool2d = 2 }"),
        "global_avg_pool" => return Some(LayerKind::GlobalAvgPool),
        "global_max_pool" => return Some(LayerKind::GlobalMaxPool),
        "batch_norm" => return Some(normalization::bare_batch_norm()),
        "layer_norm" => return Some(normalization::bare_layer_norm()),
        "group_norm" => ("group_norm", "{ group_norm = 8 }"),
        "embedding" => ("embedding", "{ embedding = 64 }"),
        "rnn" => ("rnn", "{ rnn = 128 }"),
        "lstm" => ("lstm", "{ lstm = 128 }"),
        "gru" => ("gru", "{ gru = 128 }"),
        "dropout" => ("dropout", "{ dropout = 0.25 }"),
        "residual" => ("residual", "{ residual = [{ linear = 64 }, \"relu\"] }"),
        "repeat" => (
            "repeat",
            "{ repeat = { times = 2, layers = [{ linear = 64 }, \"relu\"] } }",
        ),
        _ => {
            let activation = activation::bare(word).map(LayerKind::Activation);
            if activation.is_none() {
                found.add(field.place(), unknown_layer(field, word));
            }
            return activation;
        }
    };
    found.add(
        field.place(),
        Wrong::BareLayer {
            key: field.key.clone(),
            layer,
            example,
        },
    );
    None
}

/// A layer that is a table of its word and, perhaps, its name. Keys that do not belong there are noted, and there is a
/// layer all the same: the notes refuse the file.
fn tabled<'t>(
    field: &Field<'t>,
    entries: &'t Table,
    depth: usize,
    found: &mut Found,
) -> Option<LayerKind> {
    let (mut words, strays): (Vec<_>, Vec<_>) = entries
        .iter()
        .filter(|(key, _)| *key != "name")
        .partition(|(key, _)| keys::LAYERS.contains(&key.as_str()));
    words.sort_by_key(|(_, entry)| entry.key);
    let Some((word, entry)) = words.first().copied() else {
        if strays.is_empty() {
            let (key, known) = (field.key.clone(), keys::LAYERS);
            found.add(field.place(), Wrong::NoLayer { key, known });
        }
        for (stray, entry) in strays {
            found.add(entry.key, unknown_layer(field, stray));
        }
        return None;
    };
    for (second, entry) in &words[1..] {
        let (key, first, second) = (field.key.clone(), word.clone(), second.to_string());
        found.add(entry.key, Wrong::SeveralLayers { key, first, second });
    }
    for (stray, entry) in strays {
        found.add(entry.key, stray_key(field, word, stray));
    }
    kind(word, &field.child(word, &entry.node), depth, found)
}

fn unknown_layer(field: &Field<'_>, word: &str) -> Wrong {
    Wrong::UnknownLayer {
        key: field.key.clone(),
        layer: word.to_string(),
        nearest: nearest(word, keys::LAYERS),
        known: keys::LAYERS,
    }
}

/// A key beside the layer's word: one that belongs inside is shown there.
fn stray_key(field: &Field<'_>, word: &str, key: &str) -> Wrong {
    let inside = keys::of_layer(word)
        .contains(&key)
        .then(|| format!("{word}.{key}"));
    Wrong::UnknownKey {
        parent: field.key.clone(),
        key: key.to_string(),
        nearest: inside.or_else(|| nearest(key, &["name"]).map(str::to_string)),
        known: vec![word.to_string(), "name".to_string()],
    }
}

fn kind(word: &str, field: &Field<'_>, depth: usize, found: &mut Found) -> Option<LayerKind> {
    let inside = |field: &Field<'_>, found: &mut Found| inside(field, depth + 1, found);
    match word {
        "linear" => linear(field, found).map(LayerKind::Linear),
        "conv2d" => conv2d(field, found).map(LayerKind::Conv2d),
        "max_pool2d" => max_pool2d(field, found).map(LayerKind::MaxPool2d),
        "avg_pool2d" => avg_pool2d(field, found).map(LayerKind::AvgPool2d),
        "batch_norm" => normalization::batch_norm(field, found),
        "layer_norm" => normalization::layer_norm(field, found),
        "group_norm" => normalization::group_norm(field, found),
        "gelu" => activation::gelu(field, found).map(LayerKind::Activation),
        "leaky_relu" => activation::leaky_relu(field, found).map(LayerKind::Activation),
        "elu" => activation::elu(field, found).map(LayerKind::Activation),
        "embedding" => sequence::embedding(field, found),
        "rnn" | "lstm" | "gru" => sequence::recurrent(word, field, found),
        "dropout" => dropout(field, found).map(LayerKind::Dropout),
        "residual" => nested::residual(field, &inside, found).map(LayerKind::Residual),
        "repeat" => nested::repeat(field, &inside, found).map(LayerKind::Repeat),
        _ => {
            let layer = keys::LAYERS.iter().find(|layer| **layer == word)?;
            without_values(field, layer, found)?;
            bare(field, word, found)
        }
    }
}

fn without_values(field: &Field<'_>, layer: &'static str, found: &mut Found) -> Option<()> {
    match &field.node.value {
        Value::Table(entries) => {
            field.section(&[], found);
            entries.is_empty().then_some(())
        }
        _ => {
            field.wrong_type(Expected::NoValue { layer }, found);
            None
        }
    }
}

fn linear(field: &Field<'_>, found: &mut Found) -> Option<Linear> {
    let Value::Table(_) = field.node.value else {
        return Some(Linear {
            units: units(field, found)?,
            bias: true,
            tied: None,
        });
    };
    let section = field.section(keys::LINEAR, found)?;
    let expected = Expected::Units { to: MOST_UNITS };
    let units = section
        .required("units", expected, found)
        .and_then(|field| units(&field, found));
    let bias = section.or("bias", true, found, Field::flag);
    let tied = section.or("tied", None, found, |field, found| {
        let text = field.text(Expected::LayerName, found)?;
        Some(Some(text.to_string()))
    });
    Some(Linear {
        units: units?,
        bias: bias?,
        tied: tied?,
    })
}

fn units(field: &Field<'_>, found: &mut Found) -> Option<Size> {
    let expected = Expected::Units { to: MOST_UNITS };
    match &field.node.value {
        Value::Text(text) if text == "classes" => Some(Size::Classes),
        Value::Text(text) if text == "vocabulary" => Some(Size::Vocabulary),
        Value::Text(_) => {
            field.out_of_range(expected, found);
            None
        }
        _ => {
            let count = field.whole_as(1, u64::from(MOST_UNITS), expected, found)?;
            u32::try_from(count).ok().map(Size::Count)
        }
    }
}
