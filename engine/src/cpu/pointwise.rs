//! One value at a time.

use crate::backend::{Pointwise, View};
use crate::cpu::device::Cpu;
use crate::reference::pointwise::{mask, relu};

impl Pointwise for Cpu {
    fn relu_forward(&mut self, x: View) {
        let [x] = self.arena.numbers([x]);
        self.arch.dispatch(|| relu::<f32>(x));
    }

    fn relu_backward(&mut self, y: View, gradient: View) {
        let [y, gradient] = self.arena.numbers([y, gradient]);
        self.arch.dispatch(|| mask::<f32>(y, gradient));
    }
}
