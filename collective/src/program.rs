//! The fold over the roots of all ranks: which root is added to which, and where each one's block lies meanwhile.

use std::ops::Range;

use crate::tree::{Node, RootIter, top};

/// `leaf[into] += leaf[from]`, in this order of operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Add {
    pub into: usize,
    pub from: usize,
}

/// Where the block of a leaf is when the adding starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// In the record itself: the first leaf, which becomes the whole sum.
    Record,
    /// In its place of the scratch memory.
    Scratch,
    /// In the buffer of this rank's root of that number, which is only read.
    Root(usize),
}

/// The program of one rank for one number of present microbatches.
pub(crate) struct Program {
    /// The roots of all ranks, in tree order.
    pub leaves: Vec<Node>,
    /// The number of each rank's first leaf, by rank, and then the number of leaves.
    pub first: Vec<usize>,
    /// The additions, in order.
    pub adds: Vec<Add>,
    /// By leaf.
    pub homes: Vec<Home>,
}

impl Program {
    /// The program for all microbatches, which has the most leaves of all.
    pub(crate) fn new(shares: &[Range<u32>], microbatches: u32, me: usize) -> Program {
        let mut program = Program {
            leaves: vec![],
            first: vec![],
            adds: vec![],
            homes: vec![],
        };
        program.plan(shares, microbatches, me);
        program
    }

    /// Becomes the program for `present` microbatches, in the memory it has.
    pub(crate) fn plan(&mut self, shares: &[Range<u32>], present: u32, me: usize) {
        self.leaves.clear();
        self.first.clear();
        for share in shares {
            self.first.push(self.leaves.len());
            self.leaves.extend(RootIter::new(share.clone(), present));
        }
        self.first.push(self.leaves.len());

        self.adds.clear();
        self.sum(top(present), present, &mut 0);

        self.homes.clear();
        self.homes.resize(self.leaves.len(), Home::Scratch);
        let mine = self.leaves_of(me);
        for leaf in mine.clone() {
            self.homes[leaf] = Home::Root(leaf - mine.start);
        }
        for add in &self.adds {
            self.homes[add.into] = Home::Scratch;
        }
        self.homes[0] = Home::Record;
    }

    /// The leaves that `rank` contributes.
    pub(crate) fn leaves_of(&self, rank: usize) -> Range<usize> {
        self.first[rank]..self.first[rank + 1]
    }

    /// Plans the sum of `node`, whose first leaf is `next`; says which leaf holds it.
    fn sum(&mut self, node: Node, present: u32, next: &mut usize) -> usize {
        if self.leaves[*next] == node {
            *next += 1;
            return *next - 1;
        }
        let into = self.sum(node.left(), present, next);
        if node.right().is_present(present) {
            let from = self.sum(node.right(), present, next);
            self.adds.push(Add { into, from });
        }
        into
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::deal;

    #[test]
    fn every_leaf_is_added_once_and_the_first_holds_the_sum() {
        for microbatches in 1..=40 {
            for ranks in 1..=9 {
                let shares = deal(microbatches, ranks);
                let mut program = Program::new(&shares, microbatches, 0);
                let room = (
                    program.leaves.capacity(),
                    program.adds.capacity(),
                    program.homes.capacity(),
                );
                for present in 1..=microbatches {
                    program.plan(&shares, present, ranks - 1);
                    let mut alive = vec![true; program.leaves.len()];
                    for add in &program.adds {
                        assert!(add.into < add.from && alive[add.into] && alive[add.from]);
                        alive[add.from] = false;
                    }
                    assert!(
                        alive
                            .iter()
                            .enumerate()
                            .all(|(leaf, &alive)| alive == (leaf == 0))
                    );
                    for leaf in program.leaves_of(ranks - 1) {
                        let is_added_to =
                            leaf == 0 || program.adds.iter().any(|add| add.into == leaf);
                        assert_eq!(matches!(program.homes[leaf], Home::Root(_)), !is_added_to);
                    }
                }
                let now = (
                    program.leaves.capacity(),
                    program.adds.capacity(),
                    program.homes.capacity(),
                );
                assert_eq!(
                    room, now,
                    "a program for fewer microbatches needs no more memory"
                );
            }
        }
    }
}
