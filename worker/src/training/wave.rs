//! What a rank does of a step before the fold over the gang: waves of microbatches, and the sums of its subtrees. Without a norm
//! over all samples of the step a wave is one microbatch. With such norms the share is one wave, whose parts are folded at
//! each of them, before the step goes on, along the tree that the records are folded by.

use std::ops::Range;
use std::time::{Duration, Instant};

use collective::{Gang, LocalStep, Node, Schedule};
use data::Batch;
use engine::{Joint, WaveError};
use plan::Plan;
use spec::metric::Timing;
use spec::rank::Failure;

use super::failure::{of_engine, of_gang};
use super::microbatch;
use super::session::Training;

/// How long a rank waits for the others. A dead one is seen at once; this is for one that hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// A turn of a rank.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Turn {
    /// These microbatches of the share, counted from 0, into slots from this one on.
    Wave { parts: Range<usize>, slot: usize },
    /// `slots[into] += slots[from]`.
    Add { into: usize, from: usize },
}

/// A rank's part of a step.
pub(super) struct Walk {
    turns: Vec<Turn>,
    /// The maximal subtrees of the share and the slot that holds each one's sum, in order.
    pub(super) roots: Vec<(Node, usize)>,
}

impl Walk {
    /// As the schedule has it, or with norms over all samples of a step as one wave.
    pub(super) fn of(plan: &Plan, schedule: &Schedule) -> Self {
        match plan.sync_norms().next() {
            Some(_) => Walk::at_once(schedule),
            None => Walk::one_by_one(schedule),
        }
    }

    fn one_by_one(schedule: &Schedule) -> Self {
        let (mut turns, mut part) = (Vec::with_capacity(schedule.steps.len()), 0);
        for step in &schedule.steps {
            turns.push(match *step {
                LocalStep::Compute { slot, .. } => {
                    part += 1;
                    Turn::Wave {
                        parts: part - 1..part,
                        slot,
                    }
                }
                LocalStep::Add { into, from } => Turn::Add { into, from },
            });
        }
        Walk {
            turns,
            roots: schedule.roots.clone(),
        }
    }

    /// Every microbatch keeps a slot of its own, in their order. A share that is absent is an empty wave, which takes part in the folds.
    fn at_once(schedule: &Schedule) -> Self {
        let (mut adds, mut parts) = (Vec::new(), 0);
        // Where the sum lies that the schedule has in a slot.
        let mut held: Vec<usize> = Vec::new();
        for step in &schedule.steps {
            match *step {
                LocalStep::Compute { slot, .. } => {
                    held.resize(held.len().max(slot + 1), 0);
                    held[slot] = parts;
                    parts += 1;
                }
                LocalStep::Add { into, from } => adds.push(Turn::Add {
                    into: held[into],
                    from: held[from],
                }),
            }
        }
        let wave = Turn::Wave {
            parts: 0..parts,
            slot: 0,
        };
        let roots = schedule.roots.iter();
        Walk {
            turns: [wave].into_iter().chain(adds).collect(),
            roots: roots.map(|&(node, slot)| (node, held[slot])).collect(),
        }
    }

    /// Folds the parts of a wave of the whole share, as its records are folded later, and those sums over the gang.
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
        for turn in &self.turns {
            if let &Turn::Add { into, from } = turn {
                // The right operand lies behind the left one.
                let (before, behind) = parts.split_at_mut(from * words);
                meeting.add(&mut before[into * words..][..words], &behind[..words]);
            }
        }
        let roots: Vec<(Node, &[u8])> = self
            .roots
            .iter()
            .map(|&(node, slot)| (node, bytemuck::cast_slice(&parts[slot * words..][..words])))
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
    /// Runs a rank's microbatches forward and backward and adds up its subtrees.
    pub(super) fn compute(
        &mut self,
        batch: &Batch,
        walk: &Walk,
        gang: &mut Gang,
        operation: &mut u64,
        times: &mut Timing,
    ) -> Result<(), Failure> {
        let step = self.engine.step() + 1;
        for turn in &walk.turns {
            match turn {
                Turn::Wave { parts, slot } => {
                    let given = batch.microbatches[parts.clone()].iter();
                    let first = gang.share().start + parts.start as u32;
                    debug_assert!(
                        given
                            .clone()
                            .map(|part| part.number)
                            .eq((first..).take(parts.len())),
                        "the loader brings the share in order"
                    );
                    let wave: Vec<_> = given
                        .map(|part| microbatch::of_step(part, &self.job, step))
                        .zip(*slot..)
                        .collect();
                    let took = self.engine.train_wave(&wave, |joint| {
                        *operation += 1;
                        walk.fold(joint, gang, *operation, batch.present)
                    });
                    let took = took.map_err(|error| match error {
                        WaveError::Engine(error) => of_engine(&error),
                        WaveError::Fold(failure) => failure,
                    })?;
                    times.forward_ms += milliseconds(took.forward);
                    times.backward_ms += milliseconds(took.backward);
                    times.reduce_ms += milliseconds(took.met);
                }
                Turn::Add { into, from } => {
                    let began = Instant::now();
                    self.engine.add(*into, *from);
                    times.reduce_ms += milliseconds(began.elapsed());
                }
            }
        }
        Ok(())
    }
}

pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What lies in the slots after all turns, as sums of numbers of microbatches, and the most microbatches of a wave.
    fn sums(walk: &Walk, first: u32) -> (Vec<String>, usize) {
        let (mut slots, mut most) = (vec![String::new(); 16], 0);
        for turn in &walk.turns {
            match turn {
                Turn::Wave { parts, slot } => {
                    most = most.max(parts.len());
                    for (part, slot) in parts.clone().zip(*slot..) {
                        slots[slot] = (first + part as u32).to_string();
                    }
                }
                &Turn::Add { into, from } => {
                    slots[into] = format!("({}+{})", slots[into], slots[from]);
                }
            }
        }
        let roots = walk.roots.iter();
        (roots.map(|&(_, slot)| slots[slot].clone()).collect(), most)
    }

    #[test]
    fn a_share_in_one_wave_gives_the_sums_of_one_microbatch_after_the_other() {
        for (share, present) in [(0..8, 8), (0..7, 5), (1..6, 6), (3..5, 4), (2..4, 2)] {
            let schedule = collective::schedule(share.clone(), present);
            let [apart, at_once] =
                [Walk::one_by_one(&schedule), Walk::at_once(&schedule)].map(|walk| {
                    let nodes: Vec<Node> = walk.roots.iter().map(|&(node, _)| node).collect();
                    (nodes, sums(&walk, share.start), walk)
                });
            let computed = share.end.min(present).saturating_sub(share.start) as usize;
            assert_eq!(apart.0, at_once.0);
            assert_eq!(apart.1.0, at_once.1.0);
            assert_eq!((apart.1.1, at_once.1.1), (computed.min(1), computed));
            let waves = |walk: &Walk| {
                let turns = walk.turns.iter();
                turns
                    .filter(|turn| matches!(turn, Turn::Wave { .. }))
                    .count()
            };
            assert_eq!(waves(&apart.2), computed);
            assert_eq!(waves(&at_once.2), 1, "an absent share takes part too");
            for turn in &at_once.2.turns {
                if let &Turn::Add { into, from } = turn {
                    assert!(into < from, "the left operand lies before the right one");
                }
            }
        }
    }
}
