//! Averages of weights: a moving average of every trained parameter beside the parameter itself, as PyTorch's
//! `AveragedModel` with `get_ema_multi_avg_fn`. Running statistics are not averaged: they are averages already.

use serde::{Deserialize, Serialize};

/// How averages follow the weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ema {
    /// How much of the averages an update keeps, in (0, 1).
    pub decay: f64,
    /// The step, from 1, whose weights are the first averages. Before it there are none.
    pub start_step: u64,
    /// From then on the averages move after every so many steps, at least 1.
    pub every_steps: u64,
}

/// What a step does to the averages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Averaging {
    /// They become the weights.
    Begin,
    /// They become `a + (1 - decay) (w - a)`.
    Move {
        /// How much of them stays.
        decay: f64,
    },
    /// They stay.
    Rest,
}

impl Ema {
    /// What is done after a step, from 1, has changed the weights.
    pub fn at(&self, step: u64) -> Averaging {
        match step.checked_sub(self.start_step) {
            None => Averaging::Rest,
            Some(0) => Averaging::Begin,
            Some(since) if since.is_multiple_of(self.every_steps.max(1)) => {
                Averaging::Move { decay: self.decay }
            }
            Some(_) => Averaging::Rest,
        }
    }

    /// Whether there are averages after this many steps.
    pub fn begun(&self, steps: u64) -> bool {
        steps >= self.start_step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_begin_with_the_weights_of_their_first_step_and_move_now_and_then() {
        let ema = Ema {
            decay: 0.5,
            start_step: 3,
            every_steps: 2,
        };
        let done: Vec<Averaging> = (1..=7).map(|step| ema.at(step)).collect();
        let moved = Averaging::Move { decay: 0.5 };
        use Averaging::{Begin, Rest};
        assert_eq!(done, [Rest, Rest, Begin, Rest, moved, Rest, moved]);
        assert_eq!([2, 3, 4].map(|steps| ema.begun(steps)), [false, true, true]);
    }
}
