//! What a plan can do, but a person may not want.

use std::fmt;

use crate::op::Op;
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
    /// Samples that batch norms normalise over, where there are any.
    pub fn normalised_samples(&self) -> Option<usize> {
        self.norms().next().map(|_| self.microbatch)
    }

    /// What a person may not want of it.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut norms = self.norms();
        let first = norms.next();
        let few = first.filter(|_| self.mode == Mode::Train && self.microbatch < FEW);
        let warning = few.map(|path| Warning::FewSamples {
            path: path.to_string(),
            more: norms.count(),
            samples: self.microbatch,
        });
        warning.into_iter().collect()
    }

    fn norms(&self) -> impl Iterator<Item = &str> {
        let norms = |kind: &Op| matches!(kind, Op::BatchNorm(_));
        let norms = self.layers.iter().filter(move |layer| norms(&layer.kind));
        norms.map(|layer| layer.path.as_str())
    }
}
