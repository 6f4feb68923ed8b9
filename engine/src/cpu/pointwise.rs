//! One value at a time.

use spec::model::Activation;

use crate::backend::{Pointwise, View};
use crate::cpu::device::Cpu;
use crate::cpu::shared::Shared;
use crate::cpu::wide::{Activate, DeriveActivation, Mask, Relu};

/// Words that one thread takes at a time.
const BLOCK: usize = 16 << 10;

impl Pointwise for Cpu {
    fn relu_forward(&mut self, x: View) {
        let [x] = self.arena.numbers([x]);
        self.arch.dispatch(Relu(x));
    }

    fn relu_backward(&mut self, y: View, gradient: View) {
        let [y, gradient] = self.arena.numbers([y, gradient]);
        self.arch.dispatch(Mask { y, gradient });
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
}

#[cfg(test)]
mod tests;
