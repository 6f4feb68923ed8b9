//! What an engine is given: one numbered microbatch, and when it is.

/// One microbatch.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a, T> {
    /// What goes in.
    pub samples: Samples<'a, T>,
    /// What is to come out.
    pub targets: Targets<'a, T>,
    /// When it is: what randomness is drawn by.
    pub moment: Moment,
}

/// What goes in, sample after sample.
#[derive(Debug, Clone, Copy)]
pub enum Samples<'a, T> {
    /// Samples of one shape: `(N, sample)`.
    Values(&'a [T]),
    /// Packed sequences of tokens: one a row.
    Tokens {
        /// Step after step, in each the samples that are that long, in their order.
        ids: &'a [u32],
        /// Steps of each sample, the longest first.
        lengths: &'a [u32],
    },
    /// Packed sequences of values: `(rows, step)`.
    Sequences {
        /// Step after step, in each the samples that are that long, in their order.
        values: &'a [T],
        /// Steps of each sample, the longest first.
        lengths: &'a [u32],
    },
}

/// What is to come out.
#[derive(Debug, Clone, Copy)]
pub enum Targets<'a, T> {
    /// A class for each row of the output: each sample, or each step of each in packed order.
    Classes(&'a [u32]),
    /// Values for each row of the output, as many as it has.
    Values(&'a [T]),
}

/// When a microbatch is computed, apart from who computes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// The job's seed.
    pub seed: u64,
    /// The step that it belongs to, from 1.
    pub step: u64,
    /// The position of its first sample in the global batch.
    pub position: u64,
}

/// What a forward pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// A backward pass follows, at this moment.
    Train(Moment),
    /// None does.
    Evaluate,
}

impl<'a, T> Batch<'a, T> {
    /// Samples of one shape with a class each, at no moment in particular.
    pub fn classified(values: &'a [T], classes: &'a [u32]) -> Self {
        Batch {
            samples: Samples::Values(values),
            targets: Targets::Classes(classes),
            moment: Moment::default(),
        }
    }
}
