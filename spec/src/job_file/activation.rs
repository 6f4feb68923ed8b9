//! Layers that are a function of one value.

use crate::job_file::expected::{Bound, Interval};
use crate::job_file::field::{Field, Section};
use crate::job_file::found::Found;
use crate::job_file::keys;
use crate::job_file::tree::Value;
use crate::model::{Activation, Gelu};

const SLOPE: f64 = 0.01;
const ALPHA: f64 = 1.0;

/// The activation that is written as its word alone, with its defaults.
pub(super) fn bare(word: &str) -> Option<Activation> {
    Some(match word {
        "gelu" => Activation::Gelu(Gelu::Erf),
        "silu" | "swish" => Activation::Silu,
        "tanh" => Activation::Tanh,
        "sigmoid" => Activation::Sigmoid,
        "leaky_relu" => Activation::LeakyRelu { slope: SLOPE },
        "elu" => Activation::Elu { alpha: ALPHA },
        "softplus" => Activation::Softplus,
        "hardtanh" => Activation::Hardtanh,
        "logsigmoid" => Activation::Logsigmoid,
        _ => return None,
    })
}

/// The values of a gelu: `"erf"`, `"tanh"` or a table.
pub(super) fn gelu(field: &Field<'_>, found: &mut Found) -> Option<Activation> {
    let word = |field: &Field<'_>, found: &mut Found| field.word(keys::GELU_FORMS, found);
    let word = main_value(field, keys::GELU, found, |section, found| {
        section.or("approximate", "erf", found, word)
    })
    .unwrap_or_else(|| word(field, found))?;
    Some(Activation::Gelu(match word {
        "tanh" => Gelu::Tanh,
        _ => Gelu::Erf,
    }))
}

/// The values of a leaky relu: its slope, or a table.
pub(super) fn leaky_relu(field: &Field<'_>, found: &mut Found) -> Option<Activation> {
    let slope = factor(field, "slope", SLOPE, keys::LEAKY_RELU, found)?;
    Some(Activation::LeakyRelu { slope })
}

/// The values of an elu: its alpha, or a table.
pub(super) fn elu(field: &Field<'_>, found: &mut Found) -> Option<Activation> {
    let alpha = factor(field, "alpha", ALPHA, keys::ELU, found)?;
    Some(Activation::Elu { alpha })
}

fn factor(
    field: &Field<'_>,
    key: &str,
    default: f64,
    known: &'static [&'static str],
    found: &mut Found,
) -> Option<f64> {
    let interval = Interval {
        low: Bound::Closed(0.0),
        high: Bound::Closed(1e6),
    };
    main_value(field, known, found, |section, found| {
        section.or(key, default, found, |field, found| {
            field.number(interval, found)
        })
    })
    .unwrap_or_else(|| field.number(interval, found))
}

/// What `read` finds in a table of `known` keys; `None` if the field is no table but the main value itself.
fn main_value<'t, T>(
    field: &Field<'t>,
    known: &'static [&'static str],
    found: &mut Found,
    read: impl FnOnce(&Section<'t>, &mut Found) -> Option<T>,
) -> Option<Option<T>> {
    let Value::Table(_) = field.node.value else {
        return None;
    };
    let section = field.section(known, found)?;
    Some(read(&section, found))
}
