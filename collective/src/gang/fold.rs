//! The fold between ranks, block by block: sums go to the slice's owner, who adds them in tree order as soon as a block of
//! all of them is there, and sends the folded block to everyone while later ones still come in.

use std::ops::Range;
use std::time::Duration;

use crate::error::Error;

use crate::frame::{Mismatch, Phase};
use crate::gang::{Adder, Gang, Progress};
use crate::program::{Home, Program};
use crate::scratch::Scratch;
use crate::slice::{block, blocks, cut};
use crate::tree::{Node, RootIter};
use crate::work::{Admission, Blame, Ticket, Work};

impl Gang {
    /// Folds the step's record over all `present` microbatches. `roots` are this rank's subtree sums, as its
    /// [`schedule`](crate::schedule()) leaves them; on return `record` holds the same bits on every rank. `operation` is the
    /// commit's number, above the last one's and the same on every rank. `add(offset, into, from)` adds element by element
    /// what lies at that byte offset of the record, `into` being the left operand; ranges start at multiples of 64 and end
    /// there or at the record's end, and are called for in no promised order. The deadline runs from the last time that
    /// anything moved.
    ///
    /// Nothing is written to `record` before every rank has sent its contribution to this fold. After an error `record` is
    /// worthless, and `roots` are as they were.
    ///
    /// # Errors
    /// [`Error::LostPeer`], [`Error::Silent`], [`Error::Fenced`], [`Error::Protocol`], [`Error::Refused`] name the rank that
    /// stood in the way; [`Error::Over`] after an earlier failure; [`Error::Present`], [`Error::Roots`],
    /// [`Error::RecordLength`], [`Error::Operation`] for arguments that do not fit, before anything is sent.
    pub fn fold(
        &mut self,
        operation: u64,
        present: u32,
        roots: &[(Node, &[u8])],
        record: &mut [u8],
        add: &Adder<'_>,
        deadline: Duration,
    ) -> Result<(), Error> {
        self.check(operation, present, roots, record)?;
        let me = self.rank();
        cut(record.len(), &mut self.slices);
        self.program.plan(&self.shares, present, me);
        self.progress.fill(Progress::default());
        let mut fold = Fold {
            me,
            present,
            block: self.block,
            slices: &self.slices,
            program: &self.program,
            scratch: &mut self.scratch,
            progress: &mut self.progress,
            folded: 0,
            roots,
            record,
            add,
        };
        fold.fold_ready();
        self.exchange.run(operation, &mut fold, deadline)?;
        self.last_fold = Some(operation);
        Ok(())
    }

    fn check(
        &self,
        operation: u64,
        present: u32,
        roots: &[(Node, &[u8])],
        record: &[u8],
    ) -> Result<(), Error> {
        let used = self.last_fold.is_some_and(|last| operation <= last);
        let passed = self.last_gather.is_some_and(|last| operation < last);
        if let Some(last) = self
            .last_fold
            .max(self.last_gather)
            .filter(|_| used || passed)
        {
            return Err(Error::Operation {
                last,
                got: operation,
            });
        }
        if present == 0 || present > self.microbatches {
            return Err(Error::Present {
                present,
                microbatches: self.microbatches,
            });
        }
        let got = || roots.iter().map(|&(node, _)| node);
        if !got().eq(RootIter::new(self.share(), present)) {
            let expected = RootIter::new(self.share(), present).collect();
            return Err(Error::Roots {
                expected,
                got: got().collect(),
            });
        }
        let lengths = roots.iter().map(|(_, sum)| sum.len()).chain([record.len()]);
        match lengths
            .into_iter()
            .find(|&length| length != record.len() || length == 0 || length > self.record_bytes)
        {
            Some(got) => Err(Error::RecordLength {
                expected: self.record_bytes,
                got,
            }),
            None => Ok(()),
        }
    }
}

/// One fold, as one rank sees it.
struct Fold<'a> {
    me: usize,
    present: u32,
    block: usize,
    slices: &'a [Range<usize>],
    program: &'a Program,
    scratch: &'a mut Scratch,
    /// By rank.
    progress: &'a mut [Progress],
    /// Blocks of this rank's slice that are folded.
    folded: u32,
    roots: &'a [(Node, &'a [u8])],
    record: &'a mut [u8],
    add: &'a Adder<'a>,
}

impl Fold<'_> {
    /// Blocks of `owner`'s slice.
    fn blocks(&self, owner: usize) -> u32 {
        blocks(&self.slices[owner], self.block)
    }

    /// The bytes of the record that are a block of `owner`'s slice.
    fn range(&self, owner: usize, number: u32) -> Range<usize> {
        block(&self.slices[owner], self.block, number)
    }

    /// Frames of sums from `sender` to `owner`. A rank without a microbatch still says that it has come, once.
    fn contributions(&self, sender: usize, owner: usize) -> u32 {
        let blocks = self.blocks(owner);
        if self.program.leaves_of(sender).is_empty() {
            blocks.min(1)
        } else {
            blocks
        }
    }

    fn peers(&self) -> impl Iterator<Item = usize> + use<> {
        let me = self.me;
        (0..self.slices.len()).filter(move |&rank| rank != me)
    }

    /// Whether the sums of `peer` for this block of our slice are here.
    fn has_come(&self, peer: usize, number: u32) -> bool {
        self.progress[peer].sums_received
            > number.min(self.contributions(peer, self.me).saturating_sub(1))
    }

    /// Folds the blocks of our slice for which every rank's sums are here.
    fn fold_ready(&mut self) {
        while self.folded < self.blocks(self.me)
            && self.peers().all(|peer| self.has_come(peer, self.folded))
        {
            self.fold_block();
            self.folded += 1;
        }
    }

    fn fold_block(&mut self) {
        let range = self.range(self.me, self.folded);
        let (offset, length) = (range.start, range.len());
        let mine = self.program.leaves_of(self.me);
        let sum = &mut self.record[range.clone()];
        if mine.contains(&0) {
            sum.copy_from_slice(&self.roots[0].1[range.clone()]);
        } else {
            sum.copy_from_slice(self.scratch.at(0, length));
        }
        for leaf in mine.clone() {
            if self.program.homes[leaf] == Home::Scratch {
                let root = &self.roots[leaf - mine.start].1[range.clone()];
                self.scratch.at_mut(leaf, length).copy_from_slice(root);
            }
        }
        for add in &self.program.adds {
            match (self.program.homes[add.into], self.program.homes[add.from]) {
                (Home::Record, Home::Root(root)) => {
                    (self.add)(offset, sum, &self.roots[root].1[range.clone()])
                }
                (Home::Record, _) => (self.add)(offset, sum, self.scratch.at(add.from, length)),
                (_, Home::Root(root)) => {
                    let from = &self.roots[root].1[range.clone()];
                    (self.add)(offset, self.scratch.at_mut(add.into, length), from);
                }
                (_, _) => {
                    let (into, from) = self.scratch.pair(add.into, add.from, length);
                    (self.add)(offset, into, from);
                }
            }
        }
    }
}

impl Work for Fold<'_> {
    fn subject(&self) -> u32 {
        self.present
    }

    fn next(&mut self, peer: usize) -> Option<Ticket> {
        // Folded blocks first: someone waits for them, and they are few until sums have gone out.
        let Progress {
            slice_sent,
            sums_sent,
            ..
        } = self.progress[peer];
        if slice_sent < self.folded {
            self.progress[peer].slice_sent += 1;
            let length = self.range(self.me, slice_sent).len();
            return Some(Ticket {
                phase: Phase::Slice,
                block: slice_sent,
                length,
            });
        }
        if sums_sent < self.contributions(self.me, peer) {
            self.progress[peer].sums_sent += 1;
            let length = self.range(peer, sums_sent).len() * self.roots.len();
            return Some(Ticket {
                phase: Phase::Sums,
                block: sums_sent,
                length,
            });
        }
        None
    }

    fn sources<'a>(&'a self, peer: usize, ticket: Ticket, push: &mut dyn FnMut(&'a [u8])) {
        match ticket.phase {
            Phase::Sums => {
                let range = self.range(peer, ticket.block);
                self.roots
                    .iter()
                    .for_each(|(_, sum)| push(&sum[range.clone()]));
            }
            Phase::Slice => push(&self.record[self.range(self.me, ticket.block)]),
            _ => {}
        }
    }

    fn awaits(&self, peer: usize) -> bool {
        self.progress[peer].sums_received < self.contributions(peer, self.me)
            || self.progress[peer].slice_received < self.blocks(peer)
    }

    fn admit(&self, peer: usize, phase: Phase, number: u32) -> Admission {
        let Progress {
            sums_received,
            slice_received,
            ..
        } = self.progress[peer];
        let (next, frames) = match phase {
            Phase::Sums => (sums_received, self.contributions(peer, self.me)),
            Phase::Slice => (slice_received, self.blocks(peer)),
            other => {
                let (expected, got) = (Phase::Sums as u64, other as u64);
                return Admission::Never(Mismatch {
                    field: "phase",
                    expected,
                    got,
                });
            }
        };
        if number != next || next == frames {
            return Admission::Never(Mismatch {
                field: "block",
                expected: next.into(),
                got: number.into(),
            });
        }
        match phase {
            Phase::Sums if number > self.folded => Admission::Later,
            Phase::Sums => Admission::Take(
                self.range(self.me, number).len() * self.program.leaves_of(peer).len(),
            ),
            _ => Admission::Take(self.range(peer, number).len()),
        }
    }

    fn targets<'a>(&'a mut self, peer: usize, ticket: Ticket, push: &mut dyn FnMut(&'a mut [u8])) {
        if ticket.phase == Phase::Slice {
            let range = self.range(peer, ticket.block);
            push(&mut self.record[range]);
        } else {
            let length = self.range(self.me, ticket.block).len();
            self.scratch
                .run_mut(self.program.leaves_of(peer), length)
                .for_each(push);
        }
    }

    fn received(&mut self, peer: usize, ticket: Ticket) {
        if ticket.phase == Phase::Slice {
            self.progress[peer].slice_received += 1;
        } else {
            self.progress[peer].sums_received += 1;
            self.fold_ready();
        }
    }

    fn is_done(&self) -> bool {
        let mine = self.blocks(self.me);
        self.folded == mine
            && self.peers().all(|peer| {
                let sent = self.progress[peer];
                !self.awaits(peer)
                    && sent.slice_sent == mine
                    && sent.sums_sent == self.contributions(self.me, peer)
            })
    }

    /// Those whose sums for the next block are not here, as the others wait for them too; then those whose slice is not.
    fn missing(&self) -> Vec<usize> {
        if self.folded < self.blocks(self.me) {
            return self
                .peers()
                .filter(|&peer| !self.has_come(peer, self.folded))
                .collect();
        }
        self.peers().filter(|&peer| self.awaits(peer)).collect()
    }

    /// Sums depend on nobody else, a peer's folded slice on everyone's sums.
    fn blame(&self) -> Blame {
        if self.folded < self.blocks(self.me) {
            Blame::Certain
        } else {
            Blame::Open
        }
    }
}
