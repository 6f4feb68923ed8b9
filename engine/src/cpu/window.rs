//! Windows that slide over height and width.

use plan::{Geometry, Window};

use crate::backend::{View, WindowBackward, WindowForward, Windows};
use crate::cpu::convolution;
use crate::cpu::device::Cpu;
use crate::cpu::shared::Shared;
use crate::cpu::wide::{Average, AverageBackward};
use crate::reference::max_pool::{max_pool_backward, max_pool_forward};

impl Windows for Cpu {
    fn window_forward(&mut self, window: &Window, samples: usize, at: WindowForward) {
        convolution::forward(self, window, samples, at);
    }

    fn window_backward(&mut self, window: &Window, samples: usize, at: WindowBackward) {
        convolution::backward(self, window, samples, at);
    }

    fn max_pool_forward(
        &mut self,
        pool: &Geometry,
        samples: usize,
        x: View,
        y: View,
        indices: Option<View>,
    ) {
        let [x, y, indices] = self.arena.split([x, y, indices.unwrap_or(View::EMPTY)]);
        let [x, y]: [&mut [f32]; 2] = [x, y].map(bytemuck::cast_slice_mut);
        let (x, words, bytes) = (&*x, pool.outputs(), pool.outputs() * pool.index_bytes());
        let (y, indices) = (Shared::new(y), Shared::new(indices));
        self.pool.for_each(samples, |_, sample| {
            // SAFETY: samples do not overlap.
            let (y, indices) = unsafe {
                (
                    y.part(sample * words..(sample + 1) * words),
                    indices.part(sample * bytes..(sample + 1) * bytes),
                )
            };
            max_pool_forward(
                pool,
                &x[sample * pool.inputs()..(sample + 1) * pool.inputs()],
                y,
                indices,
            );
        });
    }

    fn max_pool_backward(
        &mut self,
        pool: &Geometry,
        samples: usize,
        y_gradient: View,
        indices: View,
        x_gradient: View,
    ) {
        let [dy, indices, dx] = self.arena.split([y_gradient, indices, x_gradient]);
        let [dy, dx]: [&mut [f32]; 2] = [dy, dx].map(bytemuck::cast_slice_mut);
        let (dy, indices, dx) = (&*dy, &*indices, Shared::new(dx));
        let (words, bytes) = (pool.outputs(), pool.outputs() * pool.index_bytes());
        self.pool.for_each(samples, |_, sample| {
            // SAFETY: samples do not overlap.
            let dx = unsafe { dx.part(sample * pool.inputs()..(sample + 1) * pool.inputs()) };
            let (dy, indices) = (
                &dy[sample * words..(sample + 1) * words],
                &indices[sample * bytes..(sample + 1) * bytes],
            );
            max_pool_backward(pool, dy, indices, dx);
        });
    }

    fn average_forward(&mut self, pool: &Geometry, samples: usize, x: View, y: View) {
        let arch = self.arch;
        let [x, y]: [&mut [f32]; 2] = self.arena.numbers([x, y]);
        let (x, y) = (&*x, Shared::new(y));
        let (inputs, outputs) = (pool.inputs(), pool.outputs());
        self.pool.for_each(samples, |_, sample| {
            // SAFETY: samples do not overlap.
            let y = unsafe { y.part(sample * outputs..(sample + 1) * outputs) };
            let x = &x[sample * inputs..(sample + 1) * inputs];
            arch.dispatch(Average { pool, x, y });
        });
    }

    fn average_backward(
        &mut self,
        pool: &Geometry,
        samples: usize,
        y_gradient: View,
        x_gradient: View,
    ) {
        let arch = self.arch;
        let [dy, dx]: [&mut [f32]; 2] = self.arena.numbers([y_gradient, x_gradient]);
        let (dy, dx) = (&*dy, Shared::new(dx));
        let (inputs, outputs) = (pool.inputs(), pool.outputs());
        self.pool.for_each(samples, |_, sample| {
            // SAFETY: samples do not overlap.
            let dx = unsafe { dx.part(sample * inputs..(sample + 1) * inputs) };
            let dy = &dy[sample * outputs..(sample + 1) * outputs];
            arch.dispatch(AverageBackward { pool, dy, dx });
        });
    }
}
