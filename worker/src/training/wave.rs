//! A step of a model with a norm over all samples: the microbatches of a rank's share run together as one wave, whose parts are
//! folded at every such norm along the tree that the records are folded by, before the step goes on.

use std::time::Instant;

use collective::{Gang, LocalStep, Node, Schedule};
use data::Batch;
use engine::{Joint, WaveError};
use spec::metric::Timing;
use spec::rank::Failure;

use super::failure::{of_engine, of_gang};
use super::microbatch;
use super::session::Training;
use super::steps::{PATIENCE, milliseconds};

/// What a rank adds by itself when each of its microbatches has a place of its own, counted from 0 in their order.
struct Tree {
    /// `places[into] += places[from]`, in this order.
    adds: Vec<(usize, usize)>,
    /// The maximal subtrees and the place that holds each one's sum, in order.
    roots: Vec<(Node, usize)>,
}

impl Tree {
    fn of(schedule: &Schedule) -> Self {
        let (mut adds, mut microbatches) = (Vec::new(), 0);
        // The place whose sum the schedule has in a slot.
        let mut held: Vec<usize> = Vec::new();
        for step in &schedule.steps {
            match *step {
                LocalStep::Compute { slot, .. } => {
                    held.resize(held.len().max(slot + 1), 0);
                    held[slot] = microbatches;
                    microbatches += 1;
                }
                LocalStep::Add { into, from } => adds.push((held[into], held[from])),
            }
        }
        let roots = schedule.roots.iter();
        Tree {
            adds,
            roots: roots.map(|&(node, slot)| (node, held[slot])).collect(),
        }
    }

    /// Folds the parts of this rank's microbatches, and those sums over the gang.
    fn fold(
        &self,
        joint: Joint<'_>,
        gang: &mut Gang,
        operation: u64,
        present: u32,
    ) -> Result<(), Failure> {
        let Joint {
            meeting,
            parts,
            total,
        } = joint;
        let words = total.len();
        for &(into, from) in &self.adds {
            // The right operand lies behind the left one.
            let (before, behind) = parts.split_at_mut(from * words);
            meeting.add(&mut before[into * words..][..words], &behind[..words]);
        }
        let roots: Vec<(Node, &[u8])> = self
            .roots
            .iter()
            .map(|&(node, place)| (node, bytemuck::cast_slice(&parts[place * words..][..words])))
            .collect();
        if let ([(_, sum)], 1) = (&roots[..], gang.ranks()) {
            bytemuck::cast_slice_mut(total).copy_from_slice(sum);
            return Ok(());
        }
        let add = |_: usize, into: &mut [u8], from: &[u8]| meeting.add_bytes(into, from);
        let total = bytemuck::cast_slice_mut(total);
        gang.fold(operation, present, &roots, total, &add, PATIENCE)
            .map_err(|error| of_gang(&error))
    }
}

impl Training {
    /// Runs a rank's microbatches as one wave; the roots of its subtrees and the slots that hold their sums.
    pub(super) fn compute_wave(
        &mut self,
        batch: &Batch,
        schedule: &Schedule,
        gang: &mut Gang,
        operation: &mut u64,
        times: &mut Timing,
    ) -> Result<Vec<(Node, usize)>, Failure> {
        let tree = Tree::of(schedule);
        let step = self.engine.step() + 1;
        let given = batch.microbatches.iter().zip(0..);
        let wave: Vec<_> = given
            .map(|(part, slot)| (microbatch::of_step(part, &self.job, step), slot))
            .collect();
        let took = self.engine.train_wave(&wave, |joint| {
            *operation += 1;
            tree.fold(joint, gang, *operation, batch.present)
        });
        let took = took.map_err(|error| match error {
            WaveError::Engine(error) => of_engine(&error),
            WaveError::Fold(failure) => failure,
        })?;
        let began = Instant::now();
        for &(into, from) in &tree.adds {
            self.engine.add(into, from);
        }
        times.forward_ms += milliseconds(took.forward);
        times.backward_ms += milliseconds(took.backward);
        times.reduce_ms += milliseconds(took.met) + milliseconds(began.elapsed());
        Ok(tree.roots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_microbatch_has_its_place_and_the_sums_are_those_of_the_schedule() {
        for (share, present) in [(0..8, 8), (0..7, 5), (1..6, 6), (3..5, 4), (2..4, 2)] {
            let schedule = collective::schedule(share.clone(), present);
            let tree = Tree::of(&schedule);
            let mut places: Vec<String> = share.map(|number: u32| number.to_string()).collect();
            for &(into, from) in &tree.adds {
                assert!(into < from, "the left operand lies before the right one");
                places[into] = format!("({}+{})", places[into], places[from]);
            }
            let mut slots = vec![String::new(); 16];
            for step in &schedule.steps {
                match *step {
                    LocalStep::Compute { microbatch, slot } => slots[slot] = microbatch.to_string(),
                    LocalStep::Add { into, from } => {
                        slots[into] = format!("({}+{})", slots[into], slots[from]);
                    }
                }
            }
            assert_eq!(tree.roots.len(), schedule.roots.len());
            for (mine, other) in tree.roots.iter().zip(&schedule.roots) {
                assert_eq!((mine.0, &places[mine.1]), (other.0, &slots[other.1]));
            }
        }
    }
}
