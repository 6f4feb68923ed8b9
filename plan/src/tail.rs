//! What stands behind the numbers of a record: sums of other types, and what each is.

use serde::Serialize;
use spec::metric::Metric;

/// The words behind a record's numbers, 8 bytes each, little-endian: first the f64, then the u64, then zeros up to a multiple of
/// 64 bytes. A *row* is what has one target: a sample, or a time step of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tail {
    /// The k of each top-k that is counted.
    pub tops: Vec<u32>,
    /// What is counted by class.
    pub by_class: ByClass,
    /// How many classes there are.
    pub classes: usize,
}

/// What is counted by class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ByClass {
    /// Nothing.
    Nothing,
    /// Right answers, then answers, then rows: three words a class.
    Counts,
    /// Rows by class and answer: a word for each pair, those of one class together.
    Pairs,
}

impl Tail {
    /// Words that are f64; they come first.
    pub const FLOATS: usize = 2;
    /// Sum of the losses of the rows.
    pub const LOSS: usize = 0;
    /// Sum of the weights of the rows, where classes have weights.
    pub const WEIGHT: usize = 1;
    /// Samples.
    pub const SAMPLES: usize = 2;
    /// Samples of microbatches of at least two: those whose statistics over samples have a variance.
    pub const PAIRED: usize = 3;
    /// Tokens that came in.
    pub const TOKENS: usize = 4;
    /// Rows that count: all but those of the class that is ignored.
    pub const ROWS: usize = 5;
    /// Rows that count and have a class.
    pub const JUDGED: usize = 6;
    /// Of those, the ones whose largest output stands at their class.
    pub const CORRECT: usize = 7;
    /// Where the counts of `tops` begin, one each; behind them what is counted by class.
    pub const TOPS: usize = 8;

    /// The words that these metrics need, of so many classes; with `pairs` all pairs of class and answer too.
    pub(crate) fn new(metrics: &[Metric], classes: usize, pairs: bool) -> Tail {
        let tops = metrics.iter().filter_map(|metric| match metric {
            Metric::Top(count) => Some(*count),
            _ => None,
        });
        let by_class = if pairs {
            ByClass::Pairs
        } else if metrics.iter().any(|metric| metric.by_class()) {
            ByClass::Counts
        } else {
            ByClass::Nothing
        };
        Tail {
            tops: tops.collect(),
            by_class,
            classes,
        }
    }

    /// Where what is counted by class begins.
    pub fn classes_at(&self) -> usize {
        Tail::TOPS + self.tops.len()
    }

    /// Its size in bytes, or none if that cannot be counted.
    pub(crate) fn checked_bytes(&self) -> Option<u64> {
        let by_class = match self.by_class {
            ByClass::Nothing => 0,
            ByClass::Counts => self.classes.checked_mul(3)?,
            ByClass::Pairs => self.classes.checked_mul(self.classes)?,
        };
        let words = by_class.checked_add(self.classes_at())?;
        (words as u64).checked_mul(8)?.checked_next_multiple_of(64)
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> usize {
        self.words() * 8
    }

    /// Its size in words, the zeros at its end included.
    pub fn words(&self) -> usize {
        let by_class = match self.by_class {
            ByClass::Nothing => 0,
            ByClass::Counts => 3 * self.classes,
            ByClass::Pairs => self.classes * self.classes,
        };
        (self.classes_at() + by_class).next_multiple_of(8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_has_the_words_that_its_metrics_need() {
        let plain = Tail::new(&[Metric::Accuracy, Metric::Perplexity], 10, false);
        assert_eq!((plain.by_class, plain.bytes()), (ByClass::Nothing, 64));
        let metrics = [Metric::Top(5), Metric::F1, Metric::Top(2)];
        let counts = Tail::new(&metrics, 10, false);
        assert_eq!(
            (&counts.tops[..], counts.by_class),
            (&[5, 2][..], ByClass::Counts)
        );
        assert_eq!((counts.classes_at(), counts.words()), (10, 40));
        let pairs = Tail::new(&metrics, 10, true);
        assert_eq!((pairs.by_class, pairs.words()), (ByClass::Pairs, 112));
        for tail in [plain, counts, pairs] {
            assert_eq!(tail.checked_bytes(), Some(tail.bytes() as u64));
        }
        assert_eq!(Tail::new(&[], usize::MAX, true).checked_bytes(), None);
    }
}
