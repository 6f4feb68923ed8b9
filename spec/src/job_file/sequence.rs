//! Layers of sequences: embeddings and recurrent layers.

use crate::job_file::expected::{Bound, Expected, Interval};
use crate::job_file::field::{Field, Section};
use crate::job_file::found::Found;
use crate::job_file::keys;
use crate::job_file::mistake::Wrong;
use crate::job_file::tree::Value;
use crate::model::LayerKind;
use crate::recurrent::{Cell, Embedding, Nonlinearity, Output, Recurrent};

/// The largest number of hidden units, and of values of an embedding.
const MOST_UNITS: u32 = 1 << 20;
/// The largest number of recurrent layers on each other.
const MOST_STACKED: u32 = 64;

/// The values of an embedding: its size, or a table.
pub(super) fn embedding(field: &Field<'_>, found: &mut Found) -> Option<LayerKind> {
    let Value::Table(_) = field.node.value else {
        return Some(LayerKind::Embedding(Embedding {
            size: field.count(MOST_UNITS, found)?,
            padding_index: None,
        }));
    };
    let section = field.section(keys::EMBEDDING, found)?;
    let size = required_count(&section, "size", found);
    let padding_index = section.or("padding_index", None, found, |field, found| {
        let index = field.whole(0, u64::from(u32::MAX), found)?;
        u32::try_from(index).ok().map(Some)
    });
    Some(LayerKind::Embedding(Embedding {
        size: size?,
        padding_index: padding_index?,
    }))
}

/// The values of a recurrent layer: its hidden units, or a table.
pub(super) fn recurrent(word: &str, field: &Field<'_>, found: &mut Found) -> Option<LayerKind> {
    let cell = |nonlinearity| match word {
        "lstm" => Cell::Lstm,
        "gru" => Cell::Gru,
        _ => Cell::Rnn(nonlinearity),
    };
    let Value::Table(_) = field.node.value else {
        return Some(LayerKind::Recurrent(Recurrent {
            cell: cell(Nonlinearity::Tanh),
            hidden: field.count(MOST_UNITS, found)?,
            layers: 1,
            bidirectional: false,
            dropout: 0.0,
            output: Output::All,
            bias: true,
        }));
    };
    let section = field.section(keys::of_layer(word), found)?;
    let hidden = required_count(&section, "hidden", found);
    let layers = section.or("layers", 1, found, |field, found| {
        field.count(MOST_STACKED, found)
    });
    let bidirectional = section.or("bidirectional", false, found, Field::flag);
    let share = Interval {
        low: Bound::Closed(0.0),
        high: Bound::Open(1.0),
    };
    let dropout = section.or("dropout", 0.0, found, |field, found| {
        field.number(share, found)
    });
    let output = section.or("output", "all", found, |field, found| {
        field.word(keys::OUTPUTS, found)
    });
    let nonlinearity = section.or("nonlinearity", "tanh", found, |field, found| {
        field.word(keys::NONLINEARITIES, found)
    });
    let bias = section.or("bias", true, found, Field::flag);
    if let (Some(1), Some(dropout), Some(field)) = (layers, dropout, section.get("dropout"))
        && dropout > 0.0
    {
        let key = field.key.clone();
        found.add(field.place(), Wrong::DropoutBetweenNothing { key });
        return None;
    }
    Some(LayerKind::Recurrent(Recurrent {
        cell: cell(match nonlinearity? {
            "relu" => Nonlinearity::Relu,
            _ => Nonlinearity::Tanh,
        }),
        hidden: hidden?,
        layers: layers?,
        bidirectional: bidirectional?,
        dropout: dropout?,
        output: match output? {
            "last" => Output::Last,
            "mean" => Output::Mean,
            _ => Output::All,
        },
        bias: bias?,
    }))
}

fn required_count(section: &Section<'_>, key: &str, found: &mut Found) -> Option<u32> {
    let count = Expected::Whole {
        from: 1,
        to: u64::from(MOST_UNITS),
    };
    section
        .required(key, count, found)
        .and_then(|field| field.count(MOST_UNITS, found))
}
