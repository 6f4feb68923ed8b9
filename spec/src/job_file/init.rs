//! The initial values in the `[training]` section.

use crate::init::{Fan, Gain, InitRule, Kaiming, Nonlinearity, Values};
use crate::job_file::choice::choice;
use crate::job_file::expected::{Bound, Expected, Interval};
use crate::job_file::field::{Field, Section};
use crate::job_file::found::Found;
use crate::job_file::group::patterns;
use crate::job_file::keys;
use crate::job_file::optimizer::{NOT_NEGATIVE, number};
use crate::job_file::tree::Value;

const MOST_RULES: usize = 32;

const GAIN: Interval = Interval {
    low: Bound::Open(0.0),
    high: Bound::Closed(1e6),
};
const ANY: Interval = Interval {
    low: Bound::Closed(-1e6),
    high: Bound::Closed(1e6),
};

/// Reads the list.
pub(super) fn init(field: &Field<'_>, found: &mut Found) -> Option<Vec<InitRule>> {
    let expected = Expected::Initials { most: MOST_RULES };
    let Value::List(nodes) = &field.node.value else {
        field.wrong_type(expected, found);
        return None;
    };
    if nodes.len() > MOST_RULES {
        field.out_of_range(expected, found);
        return None;
    }
    let rules = nodes.iter().enumerate();
    let rules: Vec<Option<InitRule>> = rules
        .map(|(index, node)| rule(&field.item(index, node), found))
        .collect();
    rules.into_iter().collect()
}

fn rule(field: &Field<'_>, found: &mut Found) -> Option<InitRule> {
    let section = field.section(keys::INIT, found)?;
    let patterns = patterns(&section, "match", found);
    let example = "{ normal = { std = 0.02 } }";
    let expected = Expected::Choice {
        words: keys::INITS,
        example,
    };
    let values = section
        .required("values", expected, found)
        .and_then(|field| {
            let (word, section) = choice(&field, keys::INITS, keys::of_init, example, found)?;
            values(word, &section, found)
        });
    Some(InitRule {
        patterns: patterns?,
        values: values?,
    })
}

fn values(word: &str, section: &Section<'_>, found: &mut Found) -> Option<Values> {
    match word {
        "xavier_uniform" => gain(section, found).map(|gain| Values::XavierUniform { gain }),
        "xavier_normal" => gain(section, found).map(|gain| Values::XavierNormal { gain }),
        "kaiming_uniform" => kaiming(section, found).map(Values::KaimingUniform),
        "kaiming_normal" => kaiming(section, found).map(Values::KaimingNormal),
        "orthogonal" => gain(section, found).map(|gain| Values::Orthogonal { gain }),
        "normal" => {
            let mean = number(section, "mean", 0.0, ANY, found);
            let std = number(section, "std", 1.0, NOT_NEGATIVE, found);
            Some(Values::Normal {
                mean: mean?,
                std: std?,
            })
        }
        "uniform" => {
            let low = number(section, "low", 0.0, ANY, found);
            let high = number(section, "high", 1.0, ANY, found);
            let (low, high) = (low?, high?);
            if low > high {
                // Whichever was written is the one to move.
                let (key, interval) = match section.get("high") {
                    Some(_) => (
                        "high",
                        Interval {
                            low: Bound::Closed(low),
                            ..ANY
                        },
                    ),
                    None => (
                        "low",
                        Interval {
                            high: Bound::Closed(high),
                            ..ANY
                        },
                    ),
                };
                if let Some(field) = section.get(key) {
                    field.out_of_range(Expected::Number(interval), found);
                }
                return None;
            }
            Some(Values::Uniform { low, high })
        }
        "zeros" => Some(Values::Constant { value: 0.0 }),
        "ones" => Some(Values::Constant { value: 1.0 }),
        _ => {
            let field = section.required("value", Expected::Number(ANY), found)?;
            let value = field.number(ANY, found)?;
            Some(Values::Constant { value })
        }
    }
}

/// A number, or the function that follows.
fn gain(section: &Section<'_>, found: &mut Found) -> Option<Gain> {
    section.or("gain", Gain::Number(1.0), found, |field, found| {
        if let Value::Text(_) = field.node.value {
            return nonlinearity(field, found).map(Gain::Of);
        }
        field.number(GAIN, found).map(Gain::Number)
    })
}

fn nonlinearity(field: &Field<'_>, found: &mut Found) -> Option<Nonlinearity> {
    let word = field.word(Nonlinearity::WORDS, found)?;
    Nonlinearity::named(word)
}

fn kaiming(section: &Section<'_>, found: &mut Found) -> Option<Kaiming> {
    let mode = section.or("mode", Fan::In, found, |field, found| {
        let word = field.word(keys::FANS, found)?;
        Some(if word == "fan_in" { Fan::In } else { Fan::Out })
    });
    let nonlinearity = section.or("nonlinearity", Nonlinearity::LeakyRelu, found, nonlinearity);
    let slope = number(section, "slope", 0.0, NOT_NEGATIVE, found);
    Some(Kaiming {
        mode: mode?,
        nonlinearity: nonlinearity?,
        slope: slope?,
    })
}
