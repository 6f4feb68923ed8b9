//! Groups of parameters that are trained unlike the others, as PyTorch's `param_groups`, chosen by their names.

use serde::{Deserialize, Serialize};

use crate::pattern;

/// Parameters that are trained in a way of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The names that belong to it, `*` and `?` standing for any characters and any one; at least one pattern.
    #[serde(rename = "match")]
    pub patterns: Vec<String>,
    /// How its learning rate differs from the optimiser's.
    #[serde(default)]
    pub rate: GroupRate,
    /// Its weight decay, where it is not the optimiser's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Whether its parameters stay as they are.
    #[serde(default)]
    pub frozen: bool,
}

/// How the learning rate of a group differs from the optimiser's. Schedules change both in proportion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupRate {
    /// Not at all.
    #[default]
    Same,
    /// This much of the optimiser's.
    Scaled(f64),
    /// This where the optimiser has its own `lr`.
    Own(f64),
}

impl Group {
    /// Whether it is the group of a parameter of this name, if no group before it is.
    pub fn takes(&self, name: &str) -> bool {
        self.patterns
            .iter()
            .any(|pattern| pattern::matches(pattern, name))
    }

    /// What the rate of a step is multiplied by, given the optimiser's `lr`.
    pub fn scale(&self, lr: f64) -> f64 {
        match self.rate {
            GroupRate::Same => 1.0,
            GroupRate::Scaled(scale) => scale,
            GroupRate::Own(own) => own / lr,
        }
    }
}

/// The first group that takes a parameter of this name.
pub fn group_of(groups: &[Group], name: &str) -> Option<usize> {
    groups.iter().position(|group| group.takes(name))
}
