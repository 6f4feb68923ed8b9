//! A whole product of two matrices, blocked for the caches: `out = left · right`.
//!
//! A value is summed over stretches of at most [`GEMM_DEPTH`] columns of the left side, as few and as even as can be, each
//! from 0 in order, and the stretches are added in order. So its bits depend on its own row and column alone: not on the
//! other rows and columns, on how the work is cut, on the layouts of the sides, or on whether the right one was packed before.

use std::ops::Range;

use plan::{GEMM_BLOCK, GEMM_DEPTH, GEMM_STRIPS, GEMM_WORDS, TILE};
use pulp::Arch;

use crate::cpu::product::matrix::{Matrix, Out};
use crate::cpu::product::packing::{Packed, pack_block, pack_strips};
use crate::cpu::product::share;
use crate::cpu::product::tiles::{Finish, TileHeight, Tiles};
use crate::cpu::shared::Shared;
use crate::pool::Pool;

/// Products of values that are worth a task of their own.
const TASK: usize = 1 << 19;

/// The right side of a product.
#[derive(Clone, Copy)]
pub(crate) enum Right<'a> {
    /// As it lies.
    Plain(Matrix<'a>),
    /// Packed before, for many products.
    Packed(Packed<'a>),
}

impl Right<'_> {
    fn extents(&self) -> [usize; 2] {
        match self {
            Right::Plain(matrix) => [matrix.rows(), matrix.columns()],
            Right::Packed(packed) => [packed.rows(), packed.columns()],
        }
    }
}

/// `out = left · right`, or that added to it; then a bias; then `max(·, 0)`.
#[derive(Clone, Copy)]
pub(crate) struct Gemm<'a> {
    /// `(m, k)`
    pub left: Matrix<'a>,
    /// `(k, n)`
    pub right: Right<'a>,
    /// Whether `out` is added to; else it is assigned.
    pub add: bool,
    /// Added at the end: `(n)`.
    pub bias: Option<&'a [f32]>,
    /// Whether negative values become 0 then.
    pub relu: bool,
}

impl<'a> Gemm<'a> {
    /// `left · right` and nothing else.
    pub fn plain(left: Matrix<'a>, right: Matrix<'a>) -> Self {
        Gemm {
            left,
            right: Right::Plain(right),
            add: false,
            bias: None,
            relu: false,
        }
    }

    /// Computes `out` on the threads of `pool`. `work` has [`GEMM_WORDS`] for each of them; what it holds does not matter.
    ///
    /// # Panics
    /// If the extents do not fit, or `work` is too short.
    pub fn run(&self, arch: Arch, pool: &Pool, work: &mut [f32], out: Out) {
        self.check(&out);
        let (rows, columns) = (out.rows(), out.columns());
        if rows == 0 || columns == 0 {
            return;
        }
        if pool.threads() == 1 {
            return self.run_here(arch, work, out);
        }
        let [down, across] = self.cut(pool.threads());
        let (height, width) = (
            rows.div_ceil(down),
            columns.div_ceil(TILE).div_ceil(across) * TILE,
        );
        let (down, across) = (rows.div_ceil(height), columns.div_ceil(width));
        assert!(work.len() >= pool.threads() * GEMM_WORDS);
        let lanes = Shared::new(work);
        pool.for_each(down * across, |thread, task| {
            let (row, column) = (task / across * height, task % across * width);
            let rows = row..rows.min(row + height);
            let columns = column..columns.min(column + width);
            // SAFETY: each thread has its own lane, and each task its own part of the output.
            let (lane, part) = unsafe {
                (
                    lanes.part(thread * GEMM_WORDS..(thread + 1) * GEMM_WORDS),
                    out.part(rows.clone(), columns.clone()),
                )
            };
            self.block(arch, lane, rows, columns, part);
        });
    }

    /// Computes `out` on the calling thread, for callers that share work out themselves. `work` has [`GEMM_WORDS`]; what it
    /// holds does not matter.
    ///
    /// # Panics
    /// If the extents do not fit, or `work` is too short.
    pub fn run_here(&self, arch: Arch, work: &mut [f32], out: Out) {
        self.check(&out);
        let (rows, columns) = (out.rows(), out.columns());
        self.block(arch, work, 0..rows, 0..columns, out);
    }

    fn check(&self, out: &Out) {
        let [depth, columns] = self.right.extents();
        assert_eq!(
            [self.left.rows(), self.left.columns(), columns],
            [out.rows(), depth, out.columns()],
            "the sides fit each other and what is written"
        );
        if let Some(bias) = self.bias {
            assert_eq!(bias.len(), columns, "one bias per column");
        }
    }

    /// Into how many parts rows and columns are cut for so many threads. Each cut of the columns packs the left side once
    /// more, each cut of the rows the right one.
    fn cut(&self, threads: usize) -> [usize; 2] {
        let [depth, columns] = self.right.extents();
        let rows = self.left.rows();
        let most = (rows * columns).saturating_mul(depth).div_ceil(TASK).max(1);
        if most == 1 {
            return [1, 1];
        }
        let again = match self.right {
            Right::Plain(_) => columns,
            Right::Packed(_) => columns / 2,
        };
        // Rows by whole tiles, columns by whole strips.
        let (tiles, strips) = (rows.div_ceil(12), columns.div_ceil(TILE));
        let (first, second) = if rows <= again {
            (strips, tiles)
        } else {
            (tiles, strips)
        };
        let wanted = most.min(4 * threads);
        let one = even(first, wanted.min(2 * threads)..=wanted, threads);
        let other = wanted.div_ceil(one).min(second);
        if rows <= again {
            [other, one]
        } else {
            [one, other]
        }
    }

    /// Some rows and columns of the product.
    fn block(
        &self,
        arch: Arch,
        work: &mut [f32],
        rows: Range<usize>,
        columns: Range<usize>,
        out: Out,
    ) {
        let depth = self.left.columns();
        let (block, strips) = work[..GEMM_WORDS].split_at_mut(GEMM_BLOCK);
        let deep = share(depth, GEMM_DEPTH);
        let together = share(rows.len(), GEMM_BLOCK / deep);
        for row in rows.clone().step_by(together) {
            let these = row..rows.end.min(row + together);
            let height = arch.dispatch(TileHeight { rows: these.len() });
            for first in (0..depth.max(1)).step_by(deep) {
                let stretch = first..depth.min(first + deep);
                pack_block(
                    arch,
                    &self.left,
                    height,
                    these.clone(),
                    stretch.clone(),
                    block,
                );
                for column in columns.clone().step_by(GEMM_STRIPS * TILE) {
                    let those = column..columns.end.min(column + GEMM_STRIPS * TILE);
                    let (right, strip) = match &self.right {
                        Right::Packed(packed) => packed.strips(stretch.start, column),
                        Right::Plain(right) => {
                            pack_strips(arch, right, stretch.clone(), those.clone(), strips);
                            (&*strips, stretch.len() * TILE)
                        }
                    };
                    let last = stretch.end == depth;
                    let inside = |range: &Range<usize>, of: &Range<usize>| {
                        range.start - of.start..range.end - of.start
                    };
                    arch.dispatch(Tiles {
                        left: block,
                        depth: stretch.len(),
                        right,
                        strip,
                        add: self.add || first > 0,
                        finish: Finish {
                            bias: self.bias.filter(|_| last).map(|bias| &bias[those.clone()]),
                            relu: self.relu && last,
                        },
                        // SAFETY: one part is written at a time.
                        out: unsafe { out.part(inside(&these, &rows), inside(&those, &columns)) },
                    });
                }
            }
        }
    }
}

/// Of `parts`, how many a count is best cut into: such that no thread has more of it than need be, and as few as can be.
fn even(count: usize, parts: std::ops::RangeInclusive<usize>, threads: usize) -> usize {
    let longest = |parts: usize| parts.div_ceil(threads) * count.div_ceil(parts);
    parts
        .map(|parts| parts.clamp(1, count.max(1)))
        .min_by_key(|&parts| (longest(parts), parts))
        .unwrap_or(1)
}

#[cfg(test)]
mod tests;
