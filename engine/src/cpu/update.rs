//! One pass over all parameters: the plain loops, spread over threads.

use crate::backend::{
    Adagrad, AdagradOperands, Adam, AdamOperands, RmsProp, RmsPropOperands, Sgd, SgdOperands,
    Update, View,
};
use crate::cpu::device::Cpu;
use crate::cpu::shared::Shared;
use crate::cpu::wide_update::{AdagradBlock, AdamBlock, AverageBlock, RmsPropBlock, SgdBlock};

/// Words that one thread takes at a time.
const BLOCK: usize = 16 << 10;

/// Runs `update` over blocks of the gradient, the parameters and up to two buffers of state; an absent one is empty.
fn over_blocks(
    cpu: &mut Cpu,
    gradient: View,
    parameters: View,
    state: [Option<View>; 2],
    update: impl Fn(pulp::Arch, &[f32], &mut [f32], [&mut [f32]; 2]) + Sync,
) {
    let arch = cpu.arch;
    let [first, second] = state.map(|view| view.unwrap_or(View::EMPTY));
    let [gradient, parameters, first, second]: [&mut [f32]; 4] =
        cpu.arena.numbers([gradient, parameters, first, second]);
    let (words, gradient) = (parameters.len(), &*gradient);
    let written = [parameters, first, second].map(Shared::new);
    cpu.pool.for_each(words.div_ceil(BLOCK), |_, block| {
        let range = block * BLOCK..words.min((block + 1) * BLOCK);
        // SAFETY: blocks do not overlap.
        let [parameters, first, second] =
            [0, 1, 2].map(|which| unsafe { written[which].part(range.clone()) });
        update(arch, &gradient[range], parameters, [first, second]);
    });
}

impl Update for Cpu {
    fn sgd(&mut self, sgd: &Sgd, at: SgdOperands) {
        let update =
            |arch: pulp::Arch, gradient: &_, parameters: &mut _, [momentum, _]: [&mut _; 2]| {
                arch.dispatch(SgdBlock {
                    sgd,
                    parameters,
                    gradient,
                    momentum,
                });
            };
        let (gradient, parameters) = (sgd.gradient.sums, at.parameters);
        over_blocks(self, gradient, parameters, [at.momentum, None], update);
    }

    fn adam(&mut self, adam: &Adam, at: AdamOperands) {
        let update =
            |arch: pulp::Arch, gradient: &_, parameters: &mut _, [first, second]: [&mut _; 2]| {
                arch.dispatch(AdamBlock {
                    adam,
                    parameters,
                    gradient,
                    first,
                    second,
                });
            };
        let state = [Some(at.first_moment), Some(at.second_moment)];
        over_blocks(self, adam.gradient.sums, at.parameters, state, update);
    }

    fn rmsprop(&mut self, rmsprop: &RmsProp, at: RmsPropOperands) {
        let update = |arch: pulp::Arch,
                      gradient: &_,
                      parameters: &mut _,
                      [square, momentum]: [&mut _; 2]| {
            arch.dispatch(RmsPropBlock {
                rmsprop,
                parameters,
                gradient,
                square,
                momentum,
            });
        };
        let state = [Some(at.mean_square), at.momentum];
        over_blocks(self, rmsprop.gradient.sums, at.parameters, state, update);
    }

    fn adagrad(&mut self, adagrad: &Adagrad, at: AdagradOperands) {
        let update = |arch: pulp::Arch, gradient: &_, parameters: &mut _, [sum, _]: [&mut _; 2]| {
            arch.dispatch(AdagradBlock {
                adagrad,
                parameters,
                gradient,
                sum,
            });
        };
        let state = [Some(at.square_sum), None];
        over_blocks(self, adagrad.gradient.sums, at.parameters, state, update);
    }

    fn average(&mut self, way: f64, parameters: View, averages: View) {
        let update = |arch: pulp::Arch, parameters: &_, averages: &mut _, _: [&mut [f32]; 2]| {
            arch.dispatch(AverageBlock {
                way,
                parameters,
                averages,
            });
        };
        over_blocks(self, parameters, averages, [None, None], update);
    }
}
