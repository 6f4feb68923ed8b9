//! Layers that normalise.

use crate::job_file::expected::{Bound, Expected, Interval};
use crate::job_file::field::{Field, Section};
use crate::job_file::found::Found;
use crate::job_file::keys;
use crate::job_file::tree::Value;
use crate::model::{BatchNorm, GroupNorm, LayerKind, LayerNorm};

const EPS: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;
/// The largest number of groups.
const MOST_GROUPS: u32 = 1 << 20;

/// A batch norm that is its word alone.
pub(super) fn bare_batch_norm() -> LayerKind {
    LayerKind::BatchNorm(BatchNorm {
        eps: EPS,
        momentum: MOMENTUM,
        sync: false,
    })
}

/// The values of a batch norm.
pub(super) fn batch_norm(field: &Field<'_>, found: &mut Found) -> Option<LayerKind> {
    let section = field.section(keys::BATCH_NORM, found)?;
    let share = Interval {
        low: Bound::Closed(0.0),
        high: Bound::Closed(1.0),
    };
    let eps = eps(&section, found);
    let momentum = section.or("momentum", MOMENTUM, found, |field, found| {
        field.number(share, found)
    });
    let sync = section.or("sync", false, found, Field::flag);
    Some(LayerKind::BatchNorm(BatchNorm {
        eps: eps?,
        momentum: momentum?,
        sync: sync?,
    }))
}

/// A layer norm that is its word alone.
pub(super) fn bare_layer_norm() -> LayerKind {
    LayerKind::LayerNorm(LayerNorm {
        eps: EPS,
        affine: true,
    })
}

/// The values of a layer norm.
pub(super) fn layer_norm(field: &Field<'_>, found: &mut Found) -> Option<LayerKind> {
    let section = field.section(keys::LAYER_NORM, found)?;
    let eps = eps(&section, found);
    let affine = section.or("affine", true, found, Field::flag);
    Some(LayerKind::LayerNorm(LayerNorm {
        eps: eps?,
        affine: affine?,
    }))
}

/// The values of a group norm: its number of groups, or a table.
pub(super) fn group_norm(field: &Field<'_>, found: &mut Found) -> Option<LayerKind> {
    let Value::Table(_) = field.node.value else {
        return Some(LayerKind::GroupNorm(GroupNorm {
            groups: field.count(MOST_GROUPS, found)?,
            eps: EPS,
            affine: true,
        }));
    };
    let section = field.section(keys::GROUP_NORM, found)?;
    let count = Expected::Whole {
        from: 1,
        to: u64::from(MOST_GROUPS),
    };
    let groups = section
        .required("groups", count, found)
        .and_then(|field| field.count(MOST_GROUPS, found));
    let eps = eps(&section, found);
    let affine = section.or("affine", true, found, Field::flag);
    Some(LayerKind::GroupNorm(GroupNorm {
        groups: groups?,
        eps: eps?,
        affine: affine?,
    }))
}

fn eps(section: &Section<'_>, found: &mut Found) -> Option<f64> {
    let interval = Interval {
        low: Bound::Closed(1e-30),
        high: Bound::Closed(1.0),
    };
    section.or("eps", EPS, found, |field, found| {
        field.number(interval, found)
    })
}
