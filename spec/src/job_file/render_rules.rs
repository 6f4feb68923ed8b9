//! From rules for parameters to text.

use std::fmt::Write;

use crate::group::{Group, GroupRate};
use crate::init::{Fan, Gain, InitRule, Values};

/// A list, an entry a line; nothing if it is empty.
pub(super) fn lines(
    out: &mut String,
    key: &str,
    entries: impl ExactSizeIterator<Item = String>,
) -> std::fmt::Result {
    if entries.len() == 0 {
        return Ok(());
    }
    writeln!(out, "{key} = [")?;
    for entry in entries {
        writeln!(out, "  {entry},")?;
    }
    writeln!(out, "]")
}

fn texts(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// Initial values.
pub(super) fn initial(rule: &InitRule) -> String {
    let gain = |gain: Gain| match gain {
        Gain::Number(factor) => format!("gain = {factor:?}"),
        Gain::Of(function) => format!("gain = \"{}\"", function.word()),
    };
    let values = match rule.values {
        Values::XavierUniform { gain: one }
        | Values::XavierNormal { gain: one }
        | Values::Orthogonal { gain: one } => gain(one),
        Values::KaimingUniform(kaiming) | Values::KaimingNormal(kaiming) => {
            let mode = match kaiming.mode {
                Fan::In => "fan_in",
                Fan::Out => "fan_out",
            };
            format!(
                "mode = \"{mode}\", nonlinearity = \"{}\", slope = {:?}",
                kaiming.nonlinearity.word(),
                kaiming.slope
            )
        }
        Values::Normal { mean, std } => format!("mean = {mean:?}, std = {std:?}"),
        Values::Uniform { low, high } => format!("low = {low:?}, high = {high:?}"),
        Values::Constant { value } => format!("value = {value:?}"),
    };
    let (patterns, word) = (texts(&rule.patterns), rule.values.word());
    format!("{{ match = {patterns}, values = {{ {word} = {{ {values} }} }} }}")
}

/// A group of parameters.
pub(super) fn group(group: &Group) -> String {
    let mut text = format!("{{ match = {}", texts(&group.patterns));
    match group.rate {
        GroupRate::Same => {}
        GroupRate::Scaled(scale) => text.push_str(&format!(", lr_scale = {scale:?}")),
        GroupRate::Own(lr) => text.push_str(&format!(", lr = {lr:?}")),
    }
    if let Some(weight_decay) = group.weight_decay {
        text.push_str(&format!(", weight_decay = {weight_decay:?}"));
    }
    text + &format!(", frozen = {} }}", group.frozen)
}

/// A text as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_string()).to_string()
}
