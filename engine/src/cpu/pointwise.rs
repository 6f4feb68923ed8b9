//! One value at a time.

use plan::Dropout;
use spec::model::Activation;

use crate::backend::{Draw, Pointwise, View};
use crate::cpu::device::Cpu;
use crate::cpu::dropout::Dropped;
use crate::cpu::shared::Shared;
use crate::cpu::wide::{Activate, Add, DeriveActivation, Mask, Relu};
use crate::reference::dropout::Chance;

/// Words that one thread takes at a time.
const BLOCK: usize = 16 << 10;

impl Pointwise for Cpu {
    fn relu_forward(&mut self, x: Option<View>, y: View) {
        let arch = self.arch;
        let [x, y]: [&mut [f32]; 2] = self.arena.numbers([x.unwrap_or(View::EMPTY), y]);
        let (x, words, y) = (&*x, y.len(), Shared::new(y));
        self.pool.for_each(words.div_ceil(BLOCK), |_, block| {
            let range = block * BLOCK..words.min((block + 1) * BLOCK);
            // SAFETY: blocks do not overlap.
            let values = unsafe { y.part(range.clone()) };
            if !x.is_empty() {
                values.copy_from_slice(&x[range]);
            }
            arch.dispatch(Relu(values));
        });
    }

    fn relu_backward(&mut self, y: View, gradient: View) {
        let arch = self.arch;
        let [y, gradient]: [&mut [f32]; 2] = self.arena.numbers([y, gradient]);
        let (y, words, gradient) = (&*y, gradient.len(), Shared::new(gradient));
        self.pool.for_each(words.div_ceil(BLOCK), |_, block| {
            let range = block * BLOCK..words.min((block + 1) * BLOCK);
            // SAFETY: blocks do not overlap.
            let gradient = unsafe { gradient.part(range.clone()) };
            let y = &y[range];
            arch.dispatch(Mask { y, gradient });
        });
    }

    fn activation_forward(&mut self, activation: &Activation, x: Option<View>, y: View) {
        let arch = self.arch;
        let [x, y]: [&mut [f32]; 2] = self.arena.numbers([x.unwrap_or(View::EMPTY), y]);
        let (x, words, y) = (&*x, y.len(), Shared::new(y));
        self.pool.for_each(words.div_ceil(BLOCK), |_, block| {
            let range = block * BLOCK..words.min((block + 1) * BLOCK);
            // SAFETY: blocks do not overlap.
            let values = unsafe { y.part(range.clone()) };
            if !x.is_empty() {
                values.copy_from_slice(&x[range]);
            }
            arch.dispatch(Activate { activation, values });
        });
    }

    fn activation_backward(&mut self, activation: &Activation, values: View, gradient: View) {
        let arch = self.arch;
        let [values, gradient]: [&mut [f32]; 2] = self.arena.numbers([values, gradient]);
        let (values, words, gradient) = (&*values, gradient.len(), Shared::new(gradient));
        self.pool.for_each(words.div_ceil(BLOCK), |_, block| {
            let range = block * BLOCK..words.min((block + 1) * BLOCK);
            // SAFETY: blocks do not overlap.
            let gradient = unsafe { gradient.part(range.clone()) };
            arch.dispatch(DeriveActivation {
                activation,
                values: &values[range],
                gradient,
            });
        });
    }

    fn add(&mut self, x: Option<View>, addend: View, y: View) {
        let arch = self.arch;
        let views = [x.unwrap_or(View::EMPTY), addend, y];
        let [x, addend, y]: [&mut [f32]; 3] = self.arena.numbers(views);
        let (x, addend, words, y) = (&*x, &*addend, y.len(), Shared::new(y));
        self.pool.for_each(words.div_ceil(BLOCK), |_, block| {
            let range = block * BLOCK..words.min((block + 1) * BLOCK);
            // SAFETY: blocks do not overlap.
            let y = unsafe { y.part(range.clone()) };
            let x = x.get(range.clone()).unwrap_or_default();
            let addend = &addend[range];
            arch.dispatch(Add { x, addend, y });
        });
    }

    fn dropout(&mut self, dropout: &Dropout, draw: Draw, x: Option<View>, y: View) {
        let (arch, chance) = (self.arch, Chance::of(dropout));
        let [x, y]: [&mut [f32]; 2] = self.arena.numbers([x.unwrap_or(View::EMPTY), y]);
        let (x, values) = (&*x, dropout.values);
        // Large samples in parts, small ones several at a time.
        let (parts, several) = (values.div_ceil(BLOCK), (BLOCK / values).max(1));
        let (samples, y) = (y.len() / values, Shared::new(y));
        let part = |sample: usize, first: usize, last: usize| {
            let range = sample * values + first..sample * values + last;
            arch.dispatch(Dropped {
                chance,
                draw,
                sample,
                values,
                group: first / Draw::GROUP,
                x: x.get(range.clone()).unwrap_or_default(),
                // SAFETY: parts do not overlap.
                y: unsafe { y.part(range) },
            });
        };
        self.pool
            .for_each(samples.div_ceil(several) * parts, |_, task| {
                let (first, block) = (task / parts * several, task % parts * BLOCK);
                for sample in first..samples.min(first + several) {
                    part(sample, block, values.min(block + BLOCK));
                }
            });
    }

    fn copy(&mut self, from: View, to: View) {
        let [from, to]: [&mut [f32]; 2] = self.arena.numbers([from, to]);
        let (from, words, to) = (&*from, to.len(), Shared::new(to));
        self.pool.for_each(words.div_ceil(BLOCK), |_, block| {
            let range = block * BLOCK..words.min((block + 1) * BLOCK);
            // SAFETY: blocks do not overlap.
            unsafe { to.part(range.clone()) }.copy_from_slice(&from[range]);
        });
    }
}

#[cfg(test)]
mod tests;
