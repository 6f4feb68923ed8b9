//! How much of a microbatch there is.

use plan::Per;

/// How much of a microbatch there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Samples.
    pub samples: usize,
    /// Steps of all of them together, where they are sequences.
    pub rows: usize,
}

impl Extent {
    /// How many rows there are of what has so many steps at most.
    pub fn of(&self, steps: Option<usize>) -> usize {
        match steps {
            None => self.samples,
            Some(_) => self.rows,
        }
    }

    /// How many targets there are.
    pub fn targets(&self, per: Per) -> usize {
        match per {
            Per::Sample => self.samples,
            Per::Step => self.rows,
        }
    }
}
