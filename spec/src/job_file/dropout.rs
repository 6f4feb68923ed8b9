//! The layer that sets values to 0 by chance.

use crate::job_file::expected::{Bound, Expected, Interval};
use crate::job_file::field::Field;
use crate::job_file::found::Found;
use crate::job_file::keys;
use crate::job_file::tree::Value;
use crate::model::Dropout;

/// The values of a dropout: its rate, or a table.
pub(super) fn dropout(field: &Field<'_>, found: &mut Found) -> Option<Dropout> {
    let interval = Interval {
        low: Bound::Closed(0.0),
        high: Bound::Open(1.0),
    };
    let rate = match field.node.value {
        Value::Table(_) => field
            .section(keys::DROPOUT, found)?
            .required("rate", Expected::Number(interval), found)?
            .number(interval, found),
        _ => field.number(interval, found),
    };
    rate.map(|rate| Dropout { rate })
}
