//! The `[data]` section, and splits as people write them.

use crate::job::{Data, Normalize, SplitRef, Validation};
use crate::job_file::expected::{Bound, Expected, Interval};
use crate::job_file::field::{Field, Section};
use crate::job_file::found::Found;
use crate::job_file::keys;
use crate::job_file::name::is_name;
use crate::job_file::tree::Value;

const FRACTION: Interval = Interval {
    low: Bound::Open(0.0),
    high: Bound::Open(1.0),
};

/// The most tokens of a sample.
const MOST_TOKENS: u32 = 1 << 16;

/// A text that names no split.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a split: expected dataset/split or dataset@digest/split")]
pub struct ParseSplitError {
    /// The text that was given.
    pub text: String,
}

/// The split that `dataset/split`, `dataset@digest/split` or, for its split `train`, `dataset` names.
///
/// # Errors
/// A text of another form, or with a name that is none.
pub fn parse_split(text: &str) -> Result<SplitRef, ParseSplitError> {
    split(text, Some("train")).ok_or_else(|| ParseSplitError {
        text: text.to_string(),
    })
}

fn split(text: &str, default: Option<&str>) -> Option<SplitRef> {
    let (versioned, split) = match text.split_once('/') {
        Some(parts) => parts,
        None => (text, default?),
    };
    let (dataset, digest) = match versioned.split_once('@') {
        Some((dataset, digest)) => (dataset, Some(digest.parse().ok()?)),
        None => (versioned, None),
    };
    (is_name(dataset) && is_name(split)).then(|| SplitRef {
        dataset: dataset.to_string(),
        digest,
        split: split.to_string(),
    })
}

/// Reads the section.
pub(super) fn data(section: &Section<'_>, found: &mut Found) -> Option<Data> {
    let train = section
        .required("train", Expected::Training, found)
        .and_then(|field| {
            let read = split(field.text(Expected::Training, found)?, Some("train"));
            if read.is_none() {
                field.out_of_range(Expected::Training, found);
            }
            read
        });
    let validation = section.or("validation", None, found, |field, found| {
        validation(field, found).map(Some)
    });
    let normalize = section.or("normalize", Normalize::Standard, found, |field, found| {
        Some(match field.word(keys::NORMALIZE, found)? {
            "none" => Normalize::None,
            "unit" => Normalize::Unit,
            _ => Normalize::Standard,
        })
    });
    let sequence_length = section.or("sequence_length", None, found, |field, found| {
        let length = field.whole(1, u64::from(MOST_TOKENS), found)?;
        Some(u32::try_from(length).ok())
    });
    Some(Data {
        train: train?,
        validation: validation?,
        normalize: normalize?,
        sequence_length: sequence_length?,
    })
}

fn validation(field: &Field<'_>, found: &mut Found) -> Option<Validation> {
    let read = match &field.node.value {
        // A dataset alone would mean validation on the rows trained on.
        Value::Text(text) => split(text, None).map(Validation::Split),
        Value::Number(_, value) => Some(*value)
            .filter(|value| FRACTION.contains(*value))
            .map(Validation::Fraction),
        Value::Whole(..) => None,
        _ => {
            field.wrong_type(Expected::Validation, found);
            return None;
        }
    };
    if read.is_none() {
        field.out_of_range(Expected::Validation, found);
    }
    read
}
