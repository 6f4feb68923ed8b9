//! What one rank computes and adds by itself, in which buffers: its microbatches in order, each subtree folded as soon
//! as it is complete, so that few buffers are alive at once.

use std::ops::Range;

use crate::tree::{Node, RootIter, height};

/// One thing that a rank does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalStep {
    /// Write the sum of a microbatch into a slot.
    Compute {
        /// Its number.
        microbatch: u32,
        /// Where its sum goes.
        slot: usize,
    },
    /// `slots[into] += slots[from]`, in this order of operands; `from` is free afterwards.
    Add {
        /// The left child, and then the parent.
        into: usize,
        /// The right child.
        from: usize,
    },
}

/// What one rank does by itself, and where the subtree sums are afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The steps, in order.
    pub steps: Vec<LocalStep>,
    /// The maximal subtrees and the slot that holds each one's sum, in order; what `Gang::fold` takes.
    pub roots: Vec<(Node, usize)>,
}

/// The schedule of a rank that owns `share` when `present` microbatches are there.
pub fn schedule(share: Range<u32>, present: u32) -> Schedule {
    let roots: Vec<(Node, usize)> = RootIter::new(share, present).zip(0..).collect();
    let mut steps = Vec::new();
    for &(node, slot) in &roots {
        sum(node, slot, present, &mut steps);
    }
    Schedule { steps, roots }
}

/// Steps that leave the sum of `node` in `slot` and use no slot below it.
fn sum(node: Node, slot: usize, present: u32, steps: &mut Vec<LocalStep>) {
    if node.level == 0 {
        steps.push(LocalStep::Compute {
            microbatch: node.index,
            slot,
        });
        return;
    }
    sum(node.left(), slot, present, steps);
    if node.right().is_present(present) {
        sum(node.right(), slot + 1, present, steps);
        steps.push(LocalStep::Add {
            into: slot,
            from: slot + 1,
        });
    }
}

/// The slots that any schedule over `microbatches` can need, whatever the share and however many are present: with
/// d = ceil(log2 `microbatches`), the larger of d + 1 (the whole tree) and 2d - 1 (the tree without its first leaf: d - 1
/// roots wait while a subtree of height d - 1 is summed).
pub fn slots(microbatches: u32) -> usize {
    let d = height(microbatches) as usize;
    (d + 1).max((2 * d).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::roots;

    fn used(schedule: &Schedule) -> usize {
        let slot = |step: &LocalStep| match *step {
            LocalStep::Compute { slot, .. } => slot,
            LocalStep::Add { into, from } => into.max(from),
        };
        schedule
            .steps
            .iter()
            .map(slot)
            .max()
            .map_or(0, |slot| slot + 1)
    }

    /// The microbatches of each slot as an expression, after running the schedule.
    fn run(schedule: &Schedule, slots: usize) -> Vec<Option<String>> {
        let mut held: Vec<Option<String>> = vec![None; slots];
        for step in &schedule.steps {
            match *step {
                LocalStep::Compute { microbatch, slot } => {
                    assert!(held[slot].is_none(), "slot {slot} is taken");
                    held[slot] = Some(microbatch.to_string());
                }
                LocalStep::Add { into, from } => {
                    let right = held[from].take().expect("a right operand");
                    let left = held[into].take().expect("a left operand");
                    held[into] = Some(format!("({left}+{right})"));
                }
            }
        }
        held
    }

    /// The sum of `[start, start + length)`, absent halves passed through.
    fn expression(start: u64, length: u64, present: u64) -> String {
        let half = length / 2;
        match length {
            1 => start.to_string(),
            _ if start + half >= present => expression(start, half, present),
            _ => {
                format!(
                    "({}+{})",
                    expression(start, half, present),
                    expression(start + half, half, present)
                )
            }
        }
    }

    #[test]
    fn every_schedule_leaves_each_root_in_its_slot_and_nothing_else_and_the_slots_suffice_exactly()
    {
        for microbatches in 1..=17u32 {
            let mut most = 1;
            for present in 1..=microbatches {
                for start in 0..microbatches {
                    for end in start..=microbatches {
                        let schedule = schedule(start..end, present);
                        let nodes: Vec<Node> =
                            schedule.roots.iter().map(|&(node, _)| node).collect();
                        assert_eq!(nodes, roots(start..end, present));
                        let mut held = run(&schedule, slots(microbatches));
                        for (node, slot) in &schedule.roots {
                            let range = node.range();
                            let want =
                                expression(range.start, range.end - range.start, present.into());
                            assert_eq!(held[*slot].take(), Some(want));
                        }
                        assert!(
                            held.iter().all(Option::is_none),
                            "something is left over: {held:?}"
                        );
                        most = most.max(used(&schedule));
                    }
                }
            }
            assert!(most <= slots(microbatches), "{microbatches}: {most}");
            if microbatches.is_power_of_two() {
                assert_eq!(
                    most,
                    slots(microbatches),
                    "the bound is met by {microbatches}"
                );
            }
        }
    }

    #[test]
    fn the_slots_of_small_jobs_are_known() {
        assert_eq!([1, 2, 3, 4, 8, 9, 64].map(slots), [1, 2, 3, 3, 5, 7, 11]);
    }
}
