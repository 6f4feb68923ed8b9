//! Products with a weight matrix.

use plan::Dense;

use crate::backend::{LinearBackward, LinearForward, MatMul, View};
use crate::cpu::device::Cpu;
use crate::cpu::product::{Dots, Steps};
use crate::cpu::shared::Shared;
use crate::pool::Pool;
use crate::reference::pointwise::mask;

/// Words of a row that one pass multiplies, so that a tile's rows stay in the first cache.
const CHUNK: usize = 1024;

impl MatMul for Cpu {
    fn linear_forward(&mut self, dense: &Dense, samples: usize, at: LinearForward) {
        let (inputs, outputs) = (dense.linear.inputs, dense.linear.outputs);
        let (arch, pool) = (self.arch, &*self.pool);
        let views = [at.x, at.weight, at.bias.unwrap_or(View::EMPTY), at.y];
        let [x, weight, bias, y]: [&mut [f32]; 4] = self.arena.numbers(views);
        let (x, weight, bias, y) = (&*x, &*weight, &*bias, Shared::new(y));
        let group = samples.div_ceil(pool.threads()).next_multiple_of(4).max(4);
        pool.for_each(samples.div_ceil(group), |_, index| {
            let rows = index * group..samples.min((index + 1) * group);
            // SAFETY: groups of rows do not overlap.
            let y = unsafe { y.part(rows.start * outputs..rows.end * outputs) };
            for first in (0..inputs).step_by(CHUNK) {
                arch.dispatch(Dots {
                    rows: rows.len(),
                    left: &x[rows.start * inputs + first..],
                    left_pitch: inputs,
                    right: &weight[first..],
                    steps: Steps {
                        counts: [1, 1, outputs],
                        strides: [0, 0, inputs],
                    },
                    columns: CHUNK.min(inputs - first),
                    samples: [1, 0, 0],
                    add: first > 0,
                    out: y,
                });
            }
            for y in y.chunks_exact_mut(outputs) {
                for (y, bias) in y.iter_mut().zip(bias) {
                    *y += bias;
                }
                if dense.relu {
                    crate::reference::pointwise::relu(y);
                }
            }
        });
    }

    fn linear_backward(&mut self, dense: &Dense, samples: usize, at: LinearBackward) {
        let (inputs, outputs) = (dense.linear.inputs, dense.linear.outputs);
        let pool = &*self.pool;
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
        ];
        let [x, weight, y, dy, dw, db, dx]: [&mut [f32]; 7] = self.arena.numbers(views);
        if dense.relu {
            mask(y, dy);
        }
        db.fill(0.0);
        for dy in dy.chunks_exact(outputs) {
            for (db, dy) in db.iter_mut().zip(dy) {
                *db += dy;
            }
        }
        product(
            pool,
            [outputs, inputs, samples],
            dw,
            (dy, 1, outputs),
            (x, inputs, 1),
        );
        if !dx.is_empty() {
            product(
                pool,
                [samples, inputs, outputs],
                dx,
                (dy, outputs, 1),
                (weight, inputs, 1),
            );
        }
    }
}

/// A matrix, the words from one row to the next, and from one column to the next.
type Strided<'a> = (&'a [f32], usize, usize);

/// `out = left · right`; `out: (m, n)`, summed over `k`.
fn product(pool: &Pool, [m, n, k]: [usize; 3], out: &mut [f32], left: Strided, right: Strided) {
    let (a, b) = (left.0, right.0);
    if k == 0 {
        out.fill(0.0);
        return;
    }
    assert!(out.len() >= m * n && a.len() >= m * k && b.len() >= k * n);
    let parallelism = match pool.threads() {
        1 => gemm::Parallelism::None,
        threads => gemm::Parallelism::Rayon(threads),
    };
    // SAFETY: the matrices are dense, in one order or the other, and as large as asserted; `out` overlaps neither.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            false,
            a.as_ptr(),
            left.2 as isize,
            left.1 as isize,
            b.as_ptr(),
            right.2 as isize,
            right.1 as isize,
            0.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}
