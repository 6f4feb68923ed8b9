//! Which part of split `train` becomes split `test`: the end of a stream, or the last rows of each class.

use spec::dataset::held_out;

/// The split that is trained on.
pub(crate) const TRAIN: &str = "train";
/// The split that is cut off it.
pub(crate) const TEST: &str = "test";

/// Which part of split `train` becomes split `test`.
#[derive(Debug, Default)]
pub(crate) struct Sides {
    /// The first token of the test part of a stream.
    boundary: Option<u64>,
    /// For each row whether it is tested on; empty where none is.
    tested: Vec<bool>,
}

impl Sides {
    /// The last `fraction` of so many tokens.
    pub(crate) fn of_stream(fraction: f64, tokens: u64) -> Self {
        Sides {
            boundary: Some(tokens - held_out(tokens, fraction)),
            tested: Vec::new(),
        }
    }

    /// The last `fraction` of the training rows of each class.
    pub(crate) fn of_rows(
        fraction: f64,
        labels: &[u32],
        is_training: impl Fn(usize) -> bool,
    ) -> Self {
        let classes = labels.iter().max().map_or(0, |&last| last as usize + 1);
        let mut left = vec![0u64; classes];
        for (row, &label) in labels.iter().enumerate() {
            left[label as usize] += u64::from(is_training(row));
        }
        left.iter_mut()
            .for_each(|count| *count = held_out(*count, fraction));
        let mut tested = vec![false; labels.len()];
        for (row, &label) in labels.iter().enumerate().rev() {
            if is_training(row) && left[label as usize] > 0 {
                left[label as usize] -= 1;
                tested[row] = true;
            }
        }
        Sides {
            boundary: None,
            tested,
        }
    }

    /// Whether there is a part that is tested on.
    pub(crate) fn has_test(&self) -> bool {
        self.boundary.is_some() || !self.tested.is_empty()
    }

    /// The first token of the test part of a stream.
    pub(crate) fn boundary(&self) -> Option<u64> {
        self.boundary
    }

    /// Whether a row, counted through all files, is tested on.
    pub(crate) fn is_tested(&self, row: usize) -> bool {
        self.tested.get(row).copied().unwrap_or(false)
    }
}
