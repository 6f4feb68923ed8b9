//! Sums over flat buffers: the blocks of the plain loops, spread over threads.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::backend::{Reduce, View};
use crate::cpu::device::Cpu;
use crate::cpu::wide::{Digest, SquareNorm};
use crate::reference::reduce::BLOCK;

/// Blocks whose sums are kept at once.
const GROUP: usize = 256;

impl Reduce for Cpu {
    fn square_norm(&mut self, gradient: View, divisor: f64) -> f64 {
        let (arch, pool) = (self.arch, &*self.pool);
        let gradient: &[f32] = bytemuck::cast_slice(self.arena.view(gradient));
        let sums = [const { AtomicU64::new(0) }; GROUP];
        let mut total = 0.0;
        for group in gradient.chunks(GROUP * BLOCK) {
            let blocks = group.len().div_ceil(BLOCK);
            pool.for_each(blocks, |_, block| {
                let values = &group[block * BLOCK..group.len().min((block + 1) * BLOCK)];
                let sum = arch.dispatch(SquareNorm {
                    block: values,
                    divisor: divisor as f32,
                });
                sums[block].store(sum.to_bits(), Ordering::Relaxed);
            });
            for sum in &sums[..blocks] {
                total += f64::from_bits(sum.load(Ordering::Relaxed));
            }
        }
        total
    }

    fn digest(&self, words: View, number: u64) -> [u64; 2] {
        let words: &[f32] = bytemuck::cast_slice(self.arena.view(words));
        let sums = [const { AtomicU64::new(0) }; 2];
        // Sums modulo 2^64 do not depend on their order.
        self.pool.for_each(words.len().div_ceil(BLOCK), |_, block| {
            let first = block * BLOCK;
            let values = &words[first..words.len().min(first + BLOCK)];
            let more = self.arch.dispatch(Digest {
                block: values,
                number: number.wrapping_add(first as u64),
            });
            for (sum, more) in sums.iter().zip(more) {
                sum.fetch_add(more, Ordering::Relaxed);
            }
        });
        sums.map(AtomicU64::into_inner)
    }
}
