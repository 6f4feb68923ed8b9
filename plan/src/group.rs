//! Groups of parameters in the flat buffer: those that are trained alike lie side by side, and what is frozen lies behind
//! them all, so that a gradient, the optimiser's state and averages are one stretch each, without the frozen ones.

use std::ops::Range;

use serde::Serialize;
use spec::group::Group;
use spec::job::Optimizer;
use spec::pattern;

use crate::error::Error;
use crate::parameter::Parameter;

/// A stretch of the flat parameter buffer that is trained in one way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stretch {
    /// Its words.
    pub words: Range<usize>,
    /// What the learning rate of a step is multiplied by.
    pub lr_scale: f64,
    /// Its weight decay, where it is not the optimiser's.
    pub weight_decay: Option<f64>,
}

/// The most names that a refusal lists.
const LISTED: usize = 20;

/// Puts the parameters of one group after another into the flat buffer: those of no group, then those of each group, then
/// the frozen ones. Gives the stretches that are trained, in that order.
pub(crate) fn arrange(
    parameters: &mut [Parameter],
    groups: &[Group],
    optimizer: &Optimizer,
) -> Vec<Stretch> {
    let mut order: Vec<usize> = (0..parameters.len()).collect();
    // Stable: inside a group they keep the order of the layers.
    order.sort_by_key(|&number| {
        let parameter = &parameters[number];
        (
            !parameter.trained,
            parameter.group.filter(|_| parameter.trained),
        )
    });
    let mut stretches: Vec<(Option<usize>, Stretch)> = Vec::new();
    let mut at = 0;
    for number in order {
        let parameter = &mut parameters[number];
        parameter.offset = at;
        at = parameter.words().end;
        if !parameter.trained {
            continue;
        }
        match stretches.last_mut() {
            Some((group, stretch)) if *group == parameter.group => stretch.words.end = at,
            _ => {
                let group = parameter.group.map(|group| &groups[group]);
                let stretch = Stretch {
                    words: parameter.words(),
                    lr_scale: group.map_or(1.0, |group| group.scale(optimizer.lr())),
                    weight_decay: group.and_then(|group| group.weight_decay),
                };
                stretches.push((parameter.group, stretch));
            }
        }
    }
    stretches.into_iter().map(|(_, stretch)| stretch).collect()
}

/// Every pattern stands for something, and every group has something left.
pub(crate) fn check(parameters: &[Parameter], groups: &[Group]) -> Result<(), Error> {
    for (number, group) in groups.iter().enumerate() {
        let idle = group.patterns.iter().find(|pattern| {
            let mut names = parameters.iter().map(|parameter| &parameter.name);
            !names.any(|name| pattern::matches(pattern, name))
        });
        if let Some(pattern) = idle {
            return Err(Error::MatchesNothing {
                list: "training.groups",
                number,
                pattern: pattern.clone(),
                names: names(parameters),
            });
        }
        if !parameters
            .iter()
            .any(|parameter| parameter.group == Some(number))
        {
            return Err(Error::NothingLeft {
                list: "training.groups",
                number,
                patterns: group.patterns.join("\", \""),
            });
        }
    }
    Ok(())
}

/// The names of parameters for a person to choose from.
pub(crate) fn names(parameters: &[Parameter]) -> String {
    let names = parameters.iter().map(|parameter| parameter.name.as_str());
    let mut listed = names.take(LISTED).collect::<Vec<&str>>().join(", ");
    if let Some(more) = parameters
        .len()
        .checked_sub(LISTED)
        .filter(|more| *more > 0)
    {
        listed.push_str(&format!(" and {more} more"));
    }
    listed
}
