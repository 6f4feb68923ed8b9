//! One row at a time.

use plan::Softmax;

use crate::backend::{RowWise, View};
use crate::cpu::device::Cpu;
use crate::cpu::shared::Shared;
use crate::cpu::wide::{DeriveSoftmax, SoftmaxRows};
use crate::reference::rowwise::cross_entropy;

/// Words that one thread takes at a time, roughly.
const BLOCK: usize = 16 << 10;

impl RowWise for Cpu {
    fn cross_entropy(
        &mut self,
        logits: View,
        labels: &[u32],
        gradient: Option<View>,
    ) -> (f64, u64) {
        let [logits, gradient] = self
            .arena
            .numbers([logits, gradient.unwrap_or(View::EMPTY)]);
        cross_entropy::<f32>(logits, labels, gradient)
    }

    fn softmax_forward(&mut self, softmax: &Softmax, x: Option<View>, y: View) {
        let arch = self.arch;
        let [x, y]: [&mut [f32]; 2] = self.arena.numbers([x.unwrap_or(View::EMPTY), y]);
        let (x, words, y) = (&*x, y.len(), Shared::new(y));
        let block = rows_together(softmax) * softmax.features;
        self.pool.for_each(words.div_ceil(block), |_, index| {
            let range = index * block..words.min((index + 1) * block);
            // SAFETY: blocks do not overlap.
            let rows = unsafe { y.part(range.clone()) };
            if !x.is_empty() {
                rows.copy_from_slice(&x[range]);
            }
            arch.dispatch(SoftmaxRows { softmax, rows });
        });
    }

    fn softmax_backward(&mut self, softmax: &Softmax, y: View, gradient: View) {
        let arch = self.arch;
        let [y, gradient]: [&mut [f32]; 2] = self.arena.numbers([y, gradient]);
        let (y, words, gradient) = (&*y, gradient.len(), Shared::new(gradient));
        let block = rows_together(softmax) * softmax.features;
        self.pool.for_each(words.div_ceil(block), |_, index| {
            let range = index * block..words.min((index + 1) * block);
            // SAFETY: blocks do not overlap.
            let gradient = unsafe { gradient.part(range.clone()) };
            arch.dispatch(DeriveSoftmax {
                softmax,
                y: &y[range],
                gradient,
            });
        });
    }
}

/// Rows that one thread takes at a time.
fn rows_together(softmax: &Softmax) -> usize {
    (BLOCK / softmax.features).max(1)
}
