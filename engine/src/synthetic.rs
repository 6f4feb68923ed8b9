//! Batches without data: values that fit a plan, for measurements.

use plan::{Per, Plan};
use spec::random::{Purpose, Stream};

use crate::batch::{Batch, Moment, Samples, Targets};

/// A microbatch of made-up samples, the same for the same plan and number. Sequences are as long as can be.
#[derive(Debug, Clone)]
pub struct Synthetic {
    values: Vec<f32>,
    tokens: Vec<u32>,
    /// Of sequences.
    lengths: Option<Vec<u32>>,
    classes: Vec<u32>,
}

impl Synthetic {
    /// So many samples for a plan: values in [-1, 1), or tokens, and classes that it knows.
    pub fn new(plan: &Plan, samples: usize) -> Self {
        let mut stream = Stream::new(1, Purpose::RowOrder, 0);
        let input = &plan.input;
        let steps = input.steps.unwrap_or(1);
        let rows = samples * steps;
        let (mut values, mut tokens) = (Vec::new(), Vec::new());
        match input.vocabulary {
            Some(vocabulary) => {
                tokens.extend((0..rows).map(|_| stream.below(vocabulary as u64) as u32));
            }
            None => {
                let count = rows * input.shape.elements();
                values.extend((0..count).map(|_| (2.0 * stream.next_f64() - 1.0) as f32));
            }
        }
        let targets = match plan.per {
            Per::Sample => samples,
            Per::Step => rows,
        };
        let classes = (0..targets).map(|_| stream.below(plan.classes as u64) as u32);
        Synthetic {
            values,
            tokens,
            lengths: input.steps.map(|steps| vec![steps as u32; samples]),
            classes: classes.collect(),
        }
    }

    /// The samples alone.
    pub fn samples(&self) -> Samples<'_, f32> {
        match &self.lengths {
            None => Samples::Values(&self.values),
            Some(lengths) if self.values.is_empty() => Samples::Tokens {
                ids: &self.tokens,
                lengths,
            },
            Some(lengths) => Samples::Sequences {
                values: &self.values,
                lengths,
            },
        }
    }

    /// The samples with what is to come out.
    pub fn batch(&self) -> Batch<'_, f32> {
        Batch {
            samples: self.samples(),
            targets: Targets::Classes(&self.classes),
            moment: Moment {
                step: 1,
                ..Moment::default()
            },
        }
    }
}
