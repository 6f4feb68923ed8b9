//! A point in time, given to the scheduler and never read by it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since an origin that stays the same over restarts.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Time(pub u64);

impl Time {
    /// The point in time `wait` later; the end of time if there is none.
    pub fn after(self, wait: Duration) -> Time {
        Time(self.0.saturating_add(milliseconds(wait)))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Whole milliseconds of a duration.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_ends_instead_of_wrapping() {
        assert_eq!(Time(5).after(Duration::from_secs(1)), Time(1005));
        assert_eq!(Time(5).after(Duration::MAX), Time(u64::MAX));
        assert_eq!(Time(5).since(Time(9)), Duration::ZERO);
    }
}
