//! How long each stage takes, where somebody wants to know. Switched off it costs one test a stage.

use std::time::Duration;

/// How long the parts of the last pass took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// Copying the batch in.
    pub input: Duration,
    /// Forward, by stage.
    pub forward: Vec<Duration>,
    /// The loss, and its gradient where there is one.
    pub loss: Duration,
    /// Backward, by stage; 0 for those that have no backward pass.
    pub backward: Vec<Duration>,
}

/// Notes the times of one pass if it is switched on.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    times: Option<StageTimes>,
    now: Option<fn() -> Duration>,
    last: Duration,
}

impl Clock {
    /// Switches it on for so many stages, by what `now` tells.
    pub fn switch_on(&mut self, stages: usize, now: fn() -> Duration) {
        self.now = Some(now);
        self.times = Some(StageTimes {
            forward: vec![Duration::ZERO; stages],
            backward: vec![Duration::ZERO; stages],
            ..StageTimes::default()
        });
    }

    pub fn times(&self) -> Option<&StageTimes> {
        self.times.as_ref()
    }

    /// A pass begins.
    pub fn start(&mut self) {
        if let Some(now) = self.now {
            self.last = now();
        }
    }

    /// What has run since the start or the last call is `part`.
    pub fn note<'a>(&'a mut self, part: impl FnOnce(&'a mut StageTimes) -> &'a mut Duration) {
        if let (Some(times), Some(now)) = (&mut self.times, self.now) {
            let now = now();
            *part(times) = now.saturating_sub(std::mem::replace(&mut self.last, now));
        }
    }
}
