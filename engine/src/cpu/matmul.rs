//! Products with a weight matrix.

use plan::Dense;

use crate::backend::{LinearBackward, LinearForward, MatMul, View};
use crate::cpu::device::Cpu;
use crate::cpu::product::gemm::{Gemm, Right};
use crate::cpu::product::matrix::{Matrix, Out};
use crate::cpu::shared::Shared;
use crate::cpu::wide::{ColumnSums, SUM_COLUMNS};

impl MatMul for Cpu {
    fn linear_forward(&mut self, dense: &Dense, samples: usize, at: LinearForward) {
        let (inputs, outputs) = (dense.linear.inputs, dense.linear.outputs);
        let views = [
            at.x,
            at.weight,
            at.bias.unwrap_or(View::EMPTY),
            at.y,
            at.work,
        ];
        let [x, weight, bias, y, work]: [&mut [f32]; 5] = self.arena.numbers(views);
        let gemm = Gemm {
            left: Matrix::new(x, samples, inputs),
            right: Right::Plain(Matrix::new(weight, outputs, inputs).transposed()),
            add: false,
            bias: at.bias.map(|_| &*bias),
            relu: dense.relu,
        };
        gemm.run(self.arch, &self.pool, work, Out::new(y, samples, outputs));
    }

    fn linear_backward(&mut self, dense: &Dense, samples: usize, at: LinearBackward) {
        let (inputs, outputs) = (dense.linear.inputs, dense.linear.outputs);
        let [y, bias, dx] =
            [at.y, at.bias_gradient, at.x_gradient].map(|view| view.unwrap_or(View::EMPTY));
        let views = [
            at.x,
            at.weight,
            y,
            at.y_gradient,
            at.weight_gradient,
            bias,
            dx,
            at.work,
        ];
        let [x, weight, y, dy, dw, db, dx, work]: [&mut [f32]; 8] = self.arena.numbers(views);
        let (arch, pool) = (self.arch, &*self.pool);
        let y = if dense.relu { &*y } else { &[] };
        if dense.relu || !db.is_empty() {
            let [gradient, sums] = [&mut *dy, db].map(Shared::new);
            pool.for_each(outputs.div_ceil(SUM_COLUMNS), |_, block| {
                let columns = block * SUM_COLUMNS..outputs.min((block + 1) * SUM_COLUMNS);
                // SAFETY: each block has its own columns.
                unsafe {
                    arch.dispatch(ColumnSums {
                        y,
                        gradient,
                        rows: samples,
                        pitch: outputs,
                        columns: columns.clone(),
                        sums: sums.part(columns),
                    });
                }
            });
        }
        let dy = Matrix::new(dy, samples, outputs);
        let gemm = Gemm::plain(dy.transposed(), Matrix::new(x, samples, inputs));
        gemm.run(arch, pool, work, Out::new(dw, outputs, inputs));
        if !dx.is_empty() {
            let gemm = Gemm::plain(dy, Matrix::new(weight, outputs, inputs));
            gemm.run(arch, pool, work, Out::new(dx, samples, inputs));
        }
    }
}
