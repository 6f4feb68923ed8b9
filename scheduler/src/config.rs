//! How patient the scheduler is.

use std::time::Duration;

/// How long the scheduler waits for what, and how often it tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// A worker that is silent for so long is lost.
    pub lease: Duration,
    /// Failed attempts in a row, none of which brought a newer checkpoint, after which a job has failed.
    pub max_attempts: u32,
    /// The wait before a failed job is tried again.
    pub backoff: Backoff,
    /// All ranks are ready within this after placement, else the attempt has failed.
    pub ready_timeout: Duration,
    /// A rank told to end that has not exited after this is told to stop, and told again each time this passes.
    pub stop_timeout: Duration,
    /// How long a running gang of which one rank reported a passing failure (a lost peer, as a rule) is left to exit
    /// by itself, so that the exit of the process that really died is seen before the scheduler's own stop blurs it.
    pub evidence_wait: Duration,
}

/// A wait that doubles with each failure in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// At most this.
    pub most: Duration,
}

impl Backoff {
    /// The wait after this many failures in a row, counted from 1.
    pub fn wait(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.most)
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            lease: Duration::from_secs(10),
            max_attempts: 3,
            backoff: Backoff {
                first: Duration::from_secs(1),
                most: Duration::from_secs(60),
            },
            ready_timeout: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(10),
            evidence_wait: Duration::from_millis(500),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_back_off_doubles_up_to_its_most() {
        let backoff = Config::default().backoff;
        let seconds: Vec<u64> = [1, 2, 3, 6, 7, 8, u32::MAX]
            .iter()
            .map(|&n| backoff.wait(n).as_secs())
            .collect();
        assert_eq!(seconds, [1, 2, 4, 32, 60, 60, 60]);
    }
}
