//! What a plan can do, but a person may not want.

use std::fmt;

use crate::op::{BatchNorm, Op};
use crate::plan::{Mode, Plan};

/// Batch norms over fewer samples than these are warned of.
const FEW: usize = 8;

/// Something about a plan that a person may not want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// Batch norms normalise over so few samples that their statistics are mostly chance.
    FewSamples {
        /// The name of the first of them.
        path: String,
        /// How many more there are.
        more: usize,
        /// Samples of a full microbatch.
        samples: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Warning::FewSamples {
            path,
            more,
            samples,
        } = self;
        write!(f, "layer {path} (batch_norm)")?;
        if *more > 0 {
            write!(f, " and {more} more")?;
        }
        write!(
            f,
            ": statistics over the {samples} samples of a microbatch are mostly chance: raise training.batch_size or lower \
             training.microbatches until a microbatch has at least {FEW}"
        )
    }
}

impl Plan {
    /// Samples that batch norms normalise over in steps of `batch_size`, where there are any: those over all samples of a step
    /// over the batch, the others over a full microbatch; of both kinds the fewer.
    pub fn normalised_samples(&self, batch_size: usize) -> Option<usize> {
        let over = |norm: &BatchNorm| match norm.sync {
            true => batch_size,
            false => self.microbatch,
        };
        self.norms().map(|(_, norm)| over(norm)).min()
    }

    /// What a person may not want of it.
    pub fn warnings(&self) -> Vec<Warning> {
        // Over all samples of a step there are enough.
        let mut norms = self.norms().filter(|(_, norm)| !norm.sync);
        let first = norms.next();
        let few = first.filter(|_| self.mode == Mode::Train && self.microbatch < FEW);
        let warning = few.map(|(path, _)| Warning::FewSamples {
            path: path.to_string(),
            more: norms.count(),
            samples: self.microbatch,
        });
        warning.into_iter().collect()
    }

    fn norms(&self) -> impl Iterator<Item = (&str, &BatchNorm)> {
        self.layers.iter().filter_map(|layer| match &layer.kind {
            Op::BatchNorm(norm) => Some((layer.path.as_str(), norm)),
            _ => None,
        })
    }
}
