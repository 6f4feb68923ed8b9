//! What microbatches meet with at a norm over all samples of a step, and how two such parts become one.

use plan::Plan;

use crate::error::Error;

/// What the parts of a meeting are, channel after channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meeting {
    /// Number of values, their mean, the sum of their squares without it, and a 0 that makes it 32 bytes.
    Moments,
    /// The gradients of weight and bias.
    Gradients,
}

impl Meeting {
    /// Numbers of a channel.
    pub fn words(self) -> usize {
        match self {
            Meeting::Moments => 4,
            Meeting::Gradients => 2,
        }
    }

    /// Adds the right part to the left one.
    pub fn add(self, into: &mut [f64], from: &[f64]) {
        match self {
            Meeting::Moments => {
                for (into, from) in into.chunks_exact_mut(4).zip(from.chunks_exact(4)) {
                    merge(into, from);
                }
            }
            Meeting::Gradients => {
                for (into, from) in into.iter_mut().zip(from) {
                    *into += from;
                }
            }
        }
    }

    /// The same for whole channels as bytes, of no alignment: the adder of a fold.
    pub fn add_bytes(self, into: &mut [u8], from: &[u8]) {
        const WORD: usize = size_of::<f64>();
        let width = self.words();
        let parts = into.chunks_exact_mut(width * WORD);
        for (into, from) in parts.zip(from.chunks_exact(width * WORD)) {
            let mut left: [f64; 4] = [0.0; 4];
            let mut right = left;
            for word in 0..width {
                let at = word * WORD..(word + 1) * WORD;
                left[word] = bytemuck::pod_read_unaligned(&into[at.clone()]);
                right[word] = bytemuck::pod_read_unaligned(&from[at]);
            }
            self.add(&mut left[..width], &right[..width]);
            into.copy_from_slice(bytemuck::cast_slice(&left[..width]));
        }
    }
}

/// The moments of two sets of values together (Chan, Golub and LeVeque, 1979). What is empty changes nothing.
fn merge(into: &mut [f64], from: &[f64]) {
    if from[0] == 0.0 {
        return;
    }
    if into[0] == 0.0 {
        into.copy_from_slice(from);
        return;
    }
    let values = into[0] + from[0];
    let apart = from[1] - into[1];
    into[1] += apart * (from[0] / values);
    into[2] += from[2] + apart * apart * (into[0] * from[0] / values);
    into[0] = values;
}

/// What microbatches meet for: a part of each, to be folded over all of the step.
#[derive(Debug)]
pub struct Joint<'a> {
    /// What the parts are, and so how they are added.
    pub meeting: Meeting,
    /// The parts of the wave's microbatches, one behind the other; whoever folds may write over them.
    pub parts: &'a mut [f64],
    /// The sum over all microbatches of the step: as long as one part.
    pub total: &'a mut [f64],
}

/// Why a wave has ended early. What is in slots is worthless then; committed state has not changed.
#[derive(Debug)]
pub enum WaveError<F> {
    /// The engine was given what does not fit its plan: nothing has run.
    Engine(Error),
    /// The parts could not be folded.
    Fold(F),
}

/// Memory for what microbatches meet with.
#[derive(Debug)]
pub(crate) struct Joints {
    pub parts: Vec<f64>,
    pub total: Vec<f64>,
}

impl Joints {
    /// For the widest norm of a plan.
    pub fn new(plan: &Plan) -> Self {
        let words = plan.joint_bytes() as usize / size_of::<f64>();
        Joints {
            parts: vec![0.0; words * plan.lanes],
            total: vec![0.0; words],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(values: &[f64]) -> [f64; 4] {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count.max(1.0);
        let squares = values.iter().map(|value| (value - mean) * (value - mean));
        [count, mean, squares.sum(), 0.0]
    }

    #[test]
    fn two_sets_have_the_moments_of_all_their_values_wherever_they_are_cut() {
        let values = [3.0, -1.5, 8.25, 0.5, 1e3, -7.0, 2.0];
        let whole = moments(&values);
        for cut in 0..=values.len() {
            let (left, right) = values.split_at(cut);
            let (mut left, right) = (moments(left), moments(right));
            let mut bytes: Vec<u8> = bytemuck::cast_slice(&left).to_vec();
            Meeting::Moments.add_bytes(&mut bytes, bytemuck::cast_slice(&right));
            Meeting::Moments.add(&mut left, &right);
            let as_bytes: Vec<u8> = bytemuck::cast_slice(&left).to_vec();
            assert_eq!(bytes, as_bytes, "cut at {cut}");
            for (got, want) in left.iter().zip(whole) {
                assert!(
                    (got - want).abs() <= 1e-12 * want.abs().max(1.0),
                    "cut at {cut}: {got} {want}"
                );
            }
        }
    }

    #[test]
    fn gradients_are_added_word_by_word() {
        let mut into = [1.0, 2.0, 3.0, 4.0];
        Meeting::Gradients.add(&mut into, &[0.5, -2.0, 1.0, 0.25]);
        assert_eq!(into, [1.5, 0.0, 4.0, 4.25]);
    }
}
