//! The fence: a token that tells one gang's messages from those of any other, earlier or later.

use std::fmt;

/// Carried by every message and compared for equality. Opaque here; its owner puts (job, attempt, generation) into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence(pub [u64; 3]);

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = self.0;
        write!(f, "{a}.{b}.{c}")
    }
}
