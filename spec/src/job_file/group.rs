//! The groups of parameters in the `[training]` section.

use crate::group::{Group, GroupRate};
use crate::job_file::expected::{Bound, Expected, Interval};
use crate::job_file::field::{Field, Section};
use crate::job_file::found::Found;
use crate::job_file::keys;
use crate::job_file::mistake::Wrong;
use crate::job_file::optimizer::{NOT_NEGATIVE, RATE};
use crate::job_file::tree::Value;

/// Every pattern is compared with every name.
const MOST_GROUPS: usize = 32;
const MOST_PATTERNS: usize = 32;
const LONGEST_PATTERN: usize = 256;

const SCALE: Interval = Interval {
    low: Bound::Open(0.0),
    high: Bound::Closed(1e6),
};

/// Reads the list.
pub(super) fn groups(field: &Field<'_>, found: &mut Found) -> Option<Vec<Group>> {
    let Value::List(nodes) = &field.node.value else {
        field.wrong_type(Expected::Groups { most: MOST_GROUPS }, found);
        return None;
    };
    if nodes.len() > MOST_GROUPS {
        field.out_of_range(Expected::Groups { most: MOST_GROUPS }, found);
        return None;
    }
    let groups = nodes.iter().enumerate();
    let groups: Vec<Option<Group>> = groups
        .map(|(index, node)| group(&field.item(index, node), found))
        .collect();
    groups.into_iter().collect()
}

fn group(field: &Field<'_>, found: &mut Found) -> Option<Group> {
    let section = field.section(keys::GROUP, found)?;
    let patterns = patterns(&section, "match", found);
    let rate = rate(&section, field, found);
    let weight_decay = section.or("weight_decay", None, found, |field, found| {
        field.number(NOT_NEGATIVE, found).map(Some)
    });
    let frozen = section.or("frozen", false, found, Field::flag);
    if frozen == Some(true) {
        // What is not updated has no rate and no decay.
        for key in ["lr", "lr_scale", "weight_decay"] {
            if let Some(place) = section.key_place(key) {
                let [first, second] = ["frozen", key].map(|key| format!("{}.{key}", field.key));
                found.add(place, Wrong::Exclusive { first, second });
            }
        }
    }
    Some(Group {
        patterns: patterns?,
        rate: rate?,
        weight_decay: weight_decay?,
        frozen: frozen?,
    })
}

/// One pattern or a list of them under `key`.
pub(super) fn patterns(section: &Section<'_>, key: &str, found: &mut Found) -> Option<Vec<String>> {
    let expected = Expected::Patterns {
        most: MOST_PATTERNS,
    };
    let field = section.required(key, expected, found)?;
    let one = |field: &Field<'_>, found: &mut Found| {
        let text = field.text(expected, found)?;
        if text.is_empty() || text.len() > LONGEST_PATTERN {
            field.out_of_range(expected, found);
            return None;
        }
        Some(text.to_string())
    };
    let Value::List(nodes) = &field.node.value else {
        return one(&field, found).map(|pattern| vec![pattern]);
    };
    if nodes.is_empty() || nodes.len() > MOST_PATTERNS {
        field.out_of_range(expected, found);
        return None;
    }
    let patterns = nodes.iter().enumerate();
    let patterns: Vec<Option<String>> = patterns
        .map(|(index, node)| one(&field.item(index, node), found))
        .collect();
    patterns.into_iter().collect()
}

fn rate(section: &Section<'_>, field: &Field<'_>, found: &mut Found) -> Option<GroupRate> {
    let [own, scale] = [("lr", RATE), ("lr_scale", SCALE)].map(|(key, interval)| {
        let field = section.get(key)?;
        Some(field.number(interval, found))
    });
    match (own, scale) {
        (None, None) => Some(GroupRate::Same),
        (Some(own), None) => own.map(GroupRate::Own),
        (None, Some(scale)) => scale.map(GroupRate::Scaled),
        (Some(_), Some(_)) => {
            let (first, second) = ("lr", "lr_scale");
            let later = section.key_place(first).max(section.key_place(second));
            let [first, second] = [first, second].map(|key| format!("{}.{key}", field.key));
            found.add(
                later.unwrap_or(section.place()),
                Wrong::Exclusive { first, second },
            );
            None
        }
    }
}
