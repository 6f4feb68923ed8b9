//! The rate of training over the last second.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(1);

/// Samples per second over the steps of the last second, or over the last step where that is longer.
#[derive(Debug)]
pub struct Pace {
    /// When each step ended, and its samples; the first entry is where the window begins.
    ends: VecDeque<(Instant, u64)>,
    samples: u64,
}

impl Pace {
    /// Begins now.
    pub fn start(now: Instant) -> Self {
        Pace {
            ends: VecDeque::from([(now, 0)]),
            samples: 0,
        }
    }

    /// Time that went into something other than steps does not count: the window begins anew.
    pub fn resume(&mut self, now: Instant) {
        *self = Pace::start(now);
    }

    /// A step of so many samples ended; the rate since the window began.
    pub fn step(&mut self, now: Instant, samples: u64) -> f64 {
        self.ends.push_back((now, samples));
        self.samples += samples;
        while self.ends.len() > 2 && now - self.ends[1].0 >= WINDOW {
            self.ends.pop_front();
            // The samples of the entry that is now the beginning lie before the window.
            self.samples -= self.ends[0].1;
        }
        self.samples as f64 / (now - self.ends[0].0).as_secs_f64().max(1e-9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_second() {
        let start = Instant::now();
        let mut pace = Pace::start(start);
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        assert_eq!(pace.step(at(500), 50), 100.0);
        assert_eq!(pace.step(at(1000), 100), 150.0);
        // The window now begins at 500 ms.
        assert_eq!(pace.step(at(1500), 100), 200.0);
        // A step longer than the window counts alone.
        assert_eq!(pace.step(at(5500), 400), 100.0);
    }

    #[test]
    fn a_pause_does_not_count() {
        let start = Instant::now();
        let mut pace = Pace::start(start);
        pace.step(start + Duration::from_millis(100), 10);
        pace.resume(start + Duration::from_secs(60));
        assert_eq!(pace.step(start + Duration::from_millis(60_100), 10), 100.0);
    }
}
