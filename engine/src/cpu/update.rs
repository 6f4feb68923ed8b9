//! One pass over all parameters: the plain loops, spread over threads.

use crate::backend::{Adam, AdamOperands, Sgd, SgdOperands, Update, View};
use crate::cpu::device::Cpu;
use crate::cpu::shared::Shared;
use crate::cpu::wide::{AdamBlock, SgdBlock};

/// Words that one thread takes at a time.
const BLOCK: usize = 16 << 10;

impl Update for Cpu {
    fn sgd(&mut self, sgd: &Sgd, at: SgdOperands) {
        let arch = self.arch;
        let views = [
            at.parameters,
            at.gradient,
            at.momentum.unwrap_or(View::EMPTY),
        ];
        let [parameters, gradient, momentum]: [&mut [f32]; 3] = self.arena.numbers(views);
        let (words, gradient) = (parameters.len(), &*gradient);
        let [parameters, momentum] = [parameters, momentum].map(Shared::new);
        self.pool.for_each(words.div_ceil(BLOCK), |_, block| {
            let range = block * BLOCK..words.min((block + 1) * BLOCK);
            // SAFETY: blocks do not overlap.
            let [parameters, momentum] =
                [&parameters, &momentum].map(|all| unsafe { all.part(range.clone()) });
            arch.dispatch(SgdBlock {
                sgd,
                parameters,
                gradient: &gradient[range],
                momentum,
            });
        });
    }

    fn adam(&mut self, adam: &Adam, at: AdamOperands) {
        let arch = self.arch;
        let views = [
            at.parameters,
            at.gradient,
            at.first_moment,
            at.second_moment,
        ];
        let [parameters, gradient, first, second]: [&mut [f32]; 4] = self.arena.numbers(views);
        let (words, gradient) = (parameters.len(), &*gradient);
        let all = [parameters, first, second].map(Shared::new);
        self.pool.for_each(words.div_ceil(BLOCK), |_, block| {
            let range = block * BLOCK..words.min((block + 1) * BLOCK);
            // SAFETY: blocks do not overlap.
            let [parameters, first, second] =
                [0, 1, 2].map(|which| unsafe { all[which].part(range.clone()) });
            arch.dispatch(AdamBlock {
                adam,
                parameters,
                gradient: &gradient[range],
                first,
                second,
            });
        });
    }
}
