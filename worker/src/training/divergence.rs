//! What a step has to say whose loss or gradient is no number: where it first appeared, over the whole gang.

use std::time::Duration;

use collective::Gang;
use data::Batch;
use engine::Fault;
use spec::rank::Failure;

use super::failure::{of_engine, of_gang};
use super::microbatch;
use super::session::Training;
use crate::depot::lasting;

/// How long a rank waits for what the others found.
const PATIENCE: Duration = Duration::from_secs(120);

impl Training {
    /// The failure of the step under way, whose `what` (loss or gradient) is not finite. All ranks have the same record and
    /// come here together, each with its microbatches.
    pub(super) fn not_finite(
        &mut self,
        what: &str,
        batch: &Batch,
        gang: &mut Gang,
        operation: &mut u64,
    ) -> Failure {
        let first = match self.first_fault(batch, gang, operation) {
            Ok(first) => first,
            Err(failure) => return failure,
        };
        let layer = |number: usize| {
            let layer = &self.engine.plan().layers[number];
            format!("layer {} ({})", layer.path, layer.word)
        };
        let place = match first {
            None => String::new(),
            Some(Fault::Samples) => ", first in the values of the batch".to_string(),
            Some(Fault::Parameters(number)) => {
                format!(", first in the parameters of {}", layer(number))
            }
            Some(Fault::Output(number)) => format!(", first in the output of {}", layer(number)),
            Some(Fault::Gradient(number)) => {
                format!(", first in the gradient of {}", layer(number))
            }
        };
        lasting(format!(
            "the {what} of step {} is not a finite number{place}: look at the data there, lower the learning rate or set training.clip_norm; the checkpoints before are kept",
            self.engine.step() + 1
        ))
    }

    /// The first fault of the forward passes of all ranks; if there is none, that of the folded gradient.
    fn first_fault(
        &mut self,
        batch: &Batch,
        gang: &mut Gang,
        operation: &mut u64,
    ) -> Result<Option<Fault>, Failure> {
        let mut mine = None;
        for part in &batch.microbatches {
            let given = microbatch::of_step(part, &self.job, self.engine.step() + 1);
            let found = self
                .engine
                .forward_fault(&given)
                .map_err(|error| of_engine(&error))?;
            mine = [mine, found].into_iter().flatten().min();
        }
        *operation += 1;
        let all = gang
            .gather(*operation, &encode(mine), PATIENCE)
            .map_err(|error| of_gang(&error))?;
        let first = all.iter().filter_map(decode).min();
        Ok(first.or_else(|| self.engine.gradient_fault()))
    }
}

fn encode(fault: Option<Fault>) -> [u8; 32] {
    let (kind, layer) = match fault {
        None => (0u64, 0),
        Some(Fault::Samples) => (1, 0),
        Some(Fault::Parameters(layer)) => (2, layer),
        Some(Fault::Output(layer)) => (3, layer),
        Some(Fault::Gradient(layer)) => (4, layer),
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&kind.to_le_bytes());
    bytes[8..16].copy_from_slice(&(layer as u64).to_le_bytes());
    bytes
}

fn decode(bytes: &[u8; 32]) -> Option<Fault> {
    let word = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("a word"));
    let layer = word(8) as usize;
    match word(0) {
        1 => Some(Fault::Samples),
        2 => Some(Fault::Parameters(layer)),
        3 => Some(Fault::Output(layer)),
        4 => Some(Fault::Gradient(layer)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rank_found_reaches_the_others_whole() {
        let faults = [
            None,
            Some(Fault::Samples),
            Some(Fault::Parameters(3)),
            Some(Fault::Output(70_000)),
            Some(Fault::Gradient(0)),
        ];
        for fault in faults {
            assert_eq!(decode(&encode(fault)), fault);
        }
    }
}
