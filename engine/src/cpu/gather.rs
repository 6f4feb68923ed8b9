//! Rows that are looked up, and values that stand for all steps of a sequence. Sums over rows are shared out by columns,
//! so that each value's order is that of the rows.

use std::ops::Range;

use plan::{Embedding, OverTime};
use pulp::{Simd, WithSimd};

use crate::backend::{EmbeddingBackward, Gather, View};
use crate::cpu::device::Cpu;
use crate::cpu::shared::Shared;
use crate::packing::Packing;
use crate::reference::gather::{look_up, over_time, over_time_backward};

/// Words that one thread copies or clears at a time.
const BLOCK: usize = 16 << 10;

/// Columns whose sums one thread takes at a time.
const COLUMNS: usize = 64;

impl Gather for Cpu {
    fn embedding_forward(&mut self, embedding: &Embedding, tokens: &[u32], table: View, y: View) {
        let [table, y]: [&mut [f32]; 2] = self.arena.numbers([table, y]);
        let (table, size, y) = (&*table, embedding.size, Shared::new(y));
        let rows = (BLOCK / size).max(1);
        self.pool.for_each(tokens.len().div_ceil(rows), |_, block| {
            let some = block * rows..tokens.len().min((block + 1) * rows);
            // SAFETY: blocks of rows do not overlap.
            let y = unsafe { y.part(some.start * size..some.end * size) };
            look_up(size, &tokens[some], table, y);
        });
    }

    fn embedding_backward(&mut self, embedding: &Embedding, tokens: &[u32], at: EmbeddingBackward) {
        let arch = self.arch;
        let [dy, gradient]: [&mut [f32]; 2] =
            self.arena.numbers([at.y_gradient, at.table_gradient]);
        let (dy, words, gradient) = (&*dy, gradient.len(), Shared::new(gradient));
        if !at.adds {
            self.pool.for_each(words.div_ceil(BLOCK), |_, block| {
                // SAFETY: blocks do not overlap.
                unsafe { gradient.part(block * BLOCK..words.min((block + 1) * BLOCK)) }.fill(0.0);
            });
        }
        let size = embedding.size;
        self.pool.for_each(size.div_ceil(COLUMNS), |_, block| {
            let columns = block * COLUMNS..size.min((block + 1) * COLUMNS);
            arch.dispatch(Scatter {
                embedding,
                tokens,
                dy,
                gradient,
                columns,
            });
        });
    }

    fn over_time_forward(&mut self, over: &OverTime, packing: &Packing, x: View, y: View) {
        let [x, y]: [&mut [f32]; 2] = self.arena.numbers([x, y]);
        over_time(over, packing, x, y);
    }

    fn over_time_backward(
        &mut self,
        over: &OverTime,
        packing: &Packing,
        x: Option<View>,
        y_gradient: View,
        x_gradient: View,
    ) {
        let [x, dy, dx]: [&mut [f32]; 3] =
            self.arena
                .numbers([x.unwrap_or(View::EMPTY), y_gradient, x_gradient]);
        over_time_backward(over, packing, x, dy, dx);
    }
}

/// Some columns of the gradients of rows, added to those of their tokens in the order of the rows.
struct Scatter<'a> {
    embedding: &'a Embedding,
    tokens: &'a [u32],
    dy: &'a [f32],
    gradient: Shared<'a, f32>,
    /// Columns that no other thread has.
    columns: Range<usize>,
}

impl WithSimd for Scatter<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let size = self.embedding.size;
        for (dy, &token) in self.dy.chunks_exact(size).zip(self.tokens) {
            let token = token as usize;
            if self.embedding.padding_index == Some(token) {
                continue;
            }
            let first = token * size;
            // SAFETY: this thread has these columns for itself, and one row of them at a time.
            let sums = unsafe {
                self.gradient
                    .part(first + self.columns.start..first + self.columns.end)
            };
            for (sum, dy) in sums.iter_mut().zip(&dy[self.columns.clone()]) {
                *sum += dy;
            }
        }
    }
}
