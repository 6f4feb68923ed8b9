//! One value at a time.

use crate::backend::{Pointwise, View};
use crate::cpu::device::Cpu;
use crate::cpu::wide::{Mask, Relu};

impl Pointwise for Cpu {
    fn relu_forward(&mut self, x: View) {
        let [x] = self.arena.numbers([x]);
        self.arch.dispatch(Relu(x));
    }

    fn relu_backward(&mut self, y: View, gradient: View) {
        let [y, gradient] = self.arena.numbers([y, gradient]);
        self.arch.dispatch(Mask { y, gradient });
    }
}
