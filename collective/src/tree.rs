//! Pure arithmetic of the fold: the tree on microbatch numbers, the shares of ranks, and the subtrees inside a share.
//!
//! The tree's nodes are the aligned ranges `[index << level, (index + 1) << level)`. A node's sum is its left child's
//! plus its right child's; an absent child passes the other through unchanged.

use std::ops::Range;

/// A node of the fold's tree: the microbatches `[index << level, (index + 1) << level)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// The binary logarithm of the range's length, at most 32.
    pub level: u32,
    /// Which of the ranges of that length.
    pub index: u32,
}

impl Node {
    /// The microbatches it covers, present or not; the end may be 2^32.
    pub fn range(self) -> Range<u64> {
        let index = u64::from(self.index);
        index << self.level..(index + 1) << self.level
    }

    /// The half with the lower numbers; itself at level 0.
    pub fn left(self) -> Node {
        if self.level == 0 {
            self
        } else {
            Node {
                level: self.level - 1,
                index: self.index << 1,
            }
        }
    }

    /// The half with the higher numbers; itself at level 0.
    pub fn right(self) -> Node {
        if self.level == 0 {
            self
        } else {
            Node {
                level: self.level - 1,
                index: self.index << 1 | 1,
            }
        }
    }

    /// Whether at least one of its microbatches is below `present`.
    pub fn is_present(self, present: u32) -> bool {
        self.range().start < u64::from(present)
    }
}

/// The smallest `d` with `2^d >= microbatches`: the height of the tree.
pub fn height(microbatches: u32) -> u32 {
    u32::BITS - microbatches.saturating_sub(1).leading_zeros()
}

/// The node that covers every one of `present` microbatches.
pub fn top(present: u32) -> Node {
    Node {
        level: height(present),
        index: 0,
    }
}

/// The contiguous shares of `microbatches`, by rank: sizes differ by at most one, and among all such cuts this one has
/// the fewest subtree roots (on a tie the lower ranks take more: 3/3/2 for 8 over 3). Empty for no ranks.
pub fn deal(microbatches: u32, ranks: usize) -> Vec<Range<u32>> {
    let Some(base) = (microbatches as usize).checked_div(ranks) else {
        return Vec::new();
    };
    let extra = microbatches as usize % ranks;
    let start = |rank: usize, given: usize| (rank * base + given) as u32;
    let cost = |share: Range<u32>| RootIter::new(share, microbatches).count();
    // fewest[rank][given]: roots of the ranks from `rank` on, when the ranks before took `given` of the extra ones.
    let mut fewest = vec![vec![usize::MAX; extra + 1]; ranks + 1];
    fewest[ranks][extra] = 0;
    let after = |fewest: &[Vec<usize>], rank: usize, given: usize, take: usize| {
        let rest = fewest[rank + 1]
            .get(given + take)
            .copied()
            .filter(|&rest| rest != usize::MAX)?;
        Some(rest + cost(start(rank, given)..start(rank + 1, given + take)))
    };
    for rank in (0..ranks).rev() {
        for given in 0..=extra.min(rank) {
            let best = [1, 0]
                .into_iter()
                .filter_map(|take| after(&fewest, rank, given, take))
                .min();
            fewest[rank][given] = best.unwrap_or(usize::MAX);
        }
    }
    let mut given = 0;
    let mut shares = Vec::with_capacity(ranks);
    for rank in 0..ranks {
        let takes_extra = after(&fewest, rank, given, 1) == Some(fewest[rank][given]);
        let take = usize::from(takes_extra);
        shares.push(start(rank, given)..start(rank + 1, given + take));
        given += take;
    }
    shares
}

/// The maximal subtrees of the fold over `present` microbatches that lie in `share`, in order. Absent microbatches pass
/// through: with 3 present, a rank that owns `[0, 3)` has the single root `[0, 4)`.
pub fn roots(share: Range<u32>, present: u32) -> Vec<Node> {
    RootIter::new(share, present).collect()
}

/// [`roots`] one by one, without a vector.
pub(crate) struct RootIter {
    at: u32,
    end: u32,
    present: u32,
}

impl RootIter {
    pub(crate) fn new(share: Range<u32>, present: u32) -> Self {
        RootIter {
            at: share.start,
            end: share.end.min(present),
            present,
        }
    }
}

impl Iterator for RootIter {
    type Item = Node;

    fn next(&mut self) -> Option<Node> {
        if self.at >= self.end {
            return None;
        }
        // The largest node that starts here and whose present microbatches all lie before the end.
        let last =
            |level: u32| ((u64::from(self.at) + (1 << level)).min(u64::from(self.present))) as u32;
        let mut level = 0;
        while level < height(self.present)
            && self.at & (((1u64 << (level + 1)) - 1) as u32) == 0
            && last(level + 1) <= self.end
        {
            level += 1;
        }
        let node = Node {
            level,
            index: ((u64::from(self.at)) >> level) as u32,
        };
        self.at = last(level);
        Some(node)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every cut into contiguous shares whose sizes differ by at most one, by brute force.
    fn balanced_cuts(microbatches: u32, ranks: usize) -> Vec<Vec<Range<u32>>> {
        let (base, extra) = (microbatches / ranks as u32, microbatches % ranks as u32);
        (0u32..1 << ranks)
            .filter(|larger| larger.count_ones() == extra)
            .map(|larger| {
                let mut at = 0;
                (0..ranks)
                    .map(|rank| {
                        let start = at;
                        at += base + (larger >> rank & 1);
                        start..at
                    })
                    .collect()
            })
            .collect()
    }

    fn count(shares: &[Range<u32>], present: u32) -> usize {
        shares
            .iter()
            .map(|share| roots(share.clone(), present).len())
            .sum()
    }

    #[test]
    fn eight_over_three_is_dealt_three_three_two() {
        assert_eq!(deal(8, 3), [0..3, 3..6, 6..8]);
        assert_eq!(deal(2, 4), [0..1, 1..2, 2..2, 2..2]);
        assert_eq!(deal(8, 1), vec![0..8; 1]);
        assert_eq!(deal(8, 0), []);
    }

    #[test]
    fn the_deal_is_balanced_complete_and_has_the_fewest_roots_of_all_balanced_cuts() {
        for microbatches in 1..=64 {
            for ranks in 1..=9 {
                let shares = deal(microbatches, ranks);
                let cuts = balanced_cuts(microbatches, ranks);
                assert!(
                    cuts.contains(&shares),
                    "{microbatches} over {ranks}: {shares:?}"
                );
                let fewest = cuts.iter().map(|cut| count(cut, microbatches)).min();
                assert_eq!(
                    Some(count(&shares, microbatches)),
                    fewest,
                    "{microbatches} over {ranks}"
                );
            }
        }
    }

    #[test]
    fn absent_microbatches_pass_through_to_larger_roots() {
        assert_eq!(roots(0..3, 3), [Node { level: 2, index: 0 }]);
        assert_eq!(roots(2..3, 3), [Node { level: 1, index: 1 }]);
        assert_eq!(
            roots(1..6, 8),
            [(0, 1), (1, 1), (1, 2)].map(|(level, index)| Node { level, index })
        );
        assert_eq!(roots(3..6, 3), []);
        assert_eq!(roots(0..0, 8), []);
        assert_eq!(
            roots(0..u32::MAX, u32::MAX),
            [Node {
                level: 32,
                index: 0
            }]
        );
    }

    #[test]
    fn fewer_present_microbatches_never_make_more_roots() {
        for microbatches in 1..=64 {
            for ranks in 1..=9 {
                let shares = deal(microbatches, ranks);
                let full = count(&shares, microbatches);
                assert!((1..=microbatches).all(|present| count(&shares, present) <= full));
            }
        }
    }

    proptest! {
        #[test]
        fn roots_cover_the_present_share_once_in_order_and_none_can_grow(
            present in 1u32..200, a in 0u32..220, b in 0u32..220,
        ) {
            let share = a.min(b)..a.max(b);
            let clip = |range: Range<u64>| range.start.min(present.into())..range.end.min(present.into());
            let expected: Vec<u64> = (share.start.into()..share.end.min(present).into()).collect();
            let nodes = roots(share.clone(), present);
            let covered: Vec<u64> = nodes.iter().flat_map(|node| clip(node.range())).collect();
            prop_assert_eq!(&covered, &expected);
            for node in nodes {
                let parent = Node { level: node.level + 1, index: node.index >> 1 };
                let inside = clip(parent.range()).all(|m| u64::from(share.start) <= m && m < u64::from(share.end));
                prop_assert!(!inside || node == top(present), "{:?} could have been {:?}", node, parent);
            }
        }
    }
}
