//! What an engine is given, held against its plan.

use plan::Signal;

use crate::backend::RowTargets;
use crate::batch::{Samples, Targets};
use crate::engine::Engine;
use crate::error::Error;
use crate::extent::Extent;
use crate::float::Float;

impl<T: Float> Engine<T> {
    /// How much there is, and where it lies.
    pub(crate) fn check(&mut self, samples: &Samples<'_, T>) -> Result<Extent, Error> {
        let plan = &self.views.plan;
        let Signal {
            shape,
            steps,
            vocabulary,
        } = &plan.input;
        let count = match (samples, steps, vocabulary) {
            (Samples::Values(values), None, _) => {
                let (sample, got) = (shape.elements(), values.len());
                if !got.is_multiple_of(sample) {
                    return Err(Error::Values { sample, got });
                }
                got / sample
            }
            (Samples::Tokens { lengths, .. }, Some(_), Some(_))
            | (Samples::Sequences { lengths, .. }, Some(_), None) => lengths.len(),
            (_, None, _) => {
                return Err(Error::SampleKind {
                    expected: "samples of values",
                });
            }
            (_, Some(_), Some(_)) => {
                return Err(Error::SampleKind {
                    expected: "sequences of tokens",
                });
            }
            (_, Some(_), None) => {
                return Err(Error::SampleKind {
                    expected: "sequences of values",
                });
            }
        };
        if count > plan.microbatch {
            return Err(Error::Samples {
                samples: count,
                microbatch: plan.microbatch,
            });
        }
        let (lengths, rows) = match samples {
            Samples::Values(_) => {
                return Ok(Extent {
                    samples: count,
                    rows: count,
                });
            }
            Samples::Tokens { ids, lengths } => (lengths, ids.len()),
            Samples::Sequences { values, lengths } => {
                let (sample, got) = (shape.elements(), values.len());
                if !got.is_multiple_of(sample) {
                    return Err(Error::Values { sample, got });
                }
                (lengths, got / sample)
            }
        };
        self.packing.set(lengths, steps.unwrap_or(0))?;
        if rows != self.packing.rows() {
            return Err(Error::Rows {
                expected: self.packing.rows(),
                got: rows,
            });
        }
        if let (Samples::Tokens { ids, .. }, &Some(vocabulary)) = (samples, vocabulary)
            && let Some(row) = ids.iter().position(|&id| id as usize >= vocabulary)
        {
            return Err(Error::Token {
                row,
                token: ids[row],
                vocabulary,
            });
        }
        Ok(Extent {
            samples: count,
            rows,
        })
    }

    /// All targets, as the loss takes them.
    pub(crate) fn check_targets<'a>(
        &self,
        targets: &Targets<'a, T>,
        extent: Extent,
    ) -> Result<RowTargets<'a>, Error> {
        let (rows, classes) = (extent.targets(self.views.plan.per), self.views.plan.classes);
        let (expected, got) = match targets {
            Targets::Classes(labels) => (rows, labels.len()),
            Targets::Values(values) => (rows * classes, values.len()),
        };
        if got != expected {
            return Err(Error::Targets { expected, got });
        }
        match *targets {
            Targets::Classes(labels) => {
                match labels.iter().position(|&label| label as usize >= classes) {
                    Some(position) => Err(Error::Label {
                        position,
                        label: labels[position],
                        classes,
                    }),
                    None => Ok(RowTargets::Classes(labels)),
                }
            }
            Targets::Values(values) => Ok(RowTargets::Values(bytemuck::cast_slice(values))),
        }
    }
}
