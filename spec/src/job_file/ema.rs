//! The averages of weights in the `[training]` section.

use crate::ema::Ema;
use crate::job_file::expected::{Bound, Expected, Interval};
use crate::job_file::field::Field;
use crate::job_file::found::Found;
use crate::job_file::keys;
use crate::job_file::tree::Value;

/// What an average keeps of itself: with 0 it would be the weight, with 1 it would never move.
const KEPT: Interval = Interval {
    low: Bound::Open(0.0),
    high: Bound::Open(1.0),
};
const MOST_STEPS: u64 = 1_000_000_000_000;

/// Reads a decay alone, or a table.
pub(super) fn ema(field: &Field<'_>, found: &mut Found) -> Option<Ema> {
    let expected = Expected::NumberOrTable {
        interval: KEPT,
        example: "{ decay = 0.999, start_step = 100 }",
    };
    let (decay, start_step, every_steps) = match &field.node.value {
        Value::Table(_) => {
            let section = field.section(keys::EMA, found)?;
            let decay = section
                .required("decay", Expected::Number(KEPT), found)
                .and_then(|field| field.number(KEPT, found));
            let [start, every] = ["start_step", "every_steps"].map(|key| {
                section.or(key, 1, found, |field, found| {
                    field.whole(1, MOST_STEPS, found)
                })
            });
            (decay, start, every)
        }
        Value::Number(..) | Value::Whole(..) => (field.number(KEPT, found), Some(1), Some(1)),
        _ => {
            field.wrong_type(expected, found);
            return None;
        }
    };
    Some(Ema {
        decay: decay?,
        start_step: start_step?,
        every_steps: every_steps?,
    })
}
