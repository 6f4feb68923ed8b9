//! Initial values by name, from the rules of a job to the distributions that parameters are drawn from.

use spec::init::{Fan, InitRule, Values, fans};
use spec::pattern;

use crate::error::Error;
use crate::group::names;
use crate::parameter::{Init, Parameter};

/// Gives each parameter that a rule takes the values of the first that does.
pub(crate) fn set(parameters: &mut [Parameter], rules: &[InitRule]) -> Result<(), Error> {
    for (number, rule) in rules.iter().enumerate() {
        let idle = rule.patterns.iter().find(|pattern| {
            let mut names = parameters.iter().map(|parameter| &parameter.name);
            !names.any(|name| pattern::matches(pattern, name))
        });
        if let Some(pattern) = idle {
            return Err(Error::MatchesNothing {
                list: "training.init",
                number,
                pattern: pattern.clone(),
                names: names(parameters),
            });
        }
    }
    let mut taken = vec![false; rules.len()];
    for parameter in parameters {
        let rule = rules.iter().position(|rule| rule.takes(&parameter.name));
        let Some(number) = rule else { continue };
        taken[number] = true;
        let values = &rules[number].values;
        parameter.init = initial(values, &parameter.shape).ok_or_else(|| Error::OneExtent {
            number,
            word: values.word(),
            name: parameter.name.clone(),
        })?;
    }
    match taken.iter().position(|taken| !taken) {
        None => Ok(()),
        Some(number) => Err(Error::NothingLeft {
            list: "training.init",
            number,
            patterns: rules[number].patterns.join("\", \""),
        }),
    }
}

/// What a parameter of these extents is drawn from; none where fans or rows are asked for and there is one extent only. The
/// formulas are those of `torch.nn.init`.
pub(crate) fn initial(values: &Values, extents: &[usize]) -> Option<Init> {
    let both = || fans(extents).map(|[inputs, outputs]| (inputs + outputs) as f64);
    let one = |fan: Fan| {
        let [inputs, outputs] = fans(extents)?;
        Some(match fan {
            Fan::In => inputs as f64,
            Fan::Out => outputs as f64,
        })
    };
    Some(match *values {
        Values::XavierUniform { gain } => Init::Uniform {
            bound: 3f64.sqrt() * (gain.factor() * (2.0 / both()?).sqrt()),
        },
        Values::XavierNormal { gain } => Init::Normal {
            mean: 0.0,
            std: gain.factor() * (2.0 / both()?).sqrt(),
        },
        Values::KaimingUniform(kaiming) => Init::Uniform {
            bound: 3f64.sqrt()
                * (kaiming.nonlinearity.gain(kaiming.slope) / one(kaiming.mode)?.sqrt()),
        },
        Values::KaimingNormal(kaiming) => Init::Normal {
            mean: 0.0,
            std: kaiming.nonlinearity.gain(kaiming.slope) / one(kaiming.mode)?.sqrt(),
        },
        Values::Orthogonal { gain } => {
            both()?;
            Init::Orthogonal {
                gain: gain.factor(),
            }
        }
        Values::Normal { mean, std } => Init::Normal { mean, std },
        Values::Uniform { low, high } => Init::Range { low, high },
        Values::Constant { value } => Init::Constant { value },
    })
}
