//! Products with a weight matrix.

use plan::{Dense, TILE};

use crate::backend::{LinearBackward, LinearForward, MatMul, View};
use crate::cpu::device::Cpu;
use crate::cpu::product::dots::Dots;
use crate::cpu::product::rows::{Columns, PanelHeight, Rows, Start};
use crate::cpu::product::{Steps, pack};
use crate::cpu::shared::Shared;
use crate::cpu::wide::{Mask, Relu};
use crate::pool::Pool;

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
            }
            if dense.relu {
                arch.dispatch(Relu(y));
            }
        });
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
        let [x, weight, y, dy, dw, db, dx, scratch]: [&mut [f32]; 8] = self.arena.numbers(views);
        let arch = self.arch;
        if dense.relu {
            arch.dispatch(Mask { y, gradient: dy });
        }
        db.fill(0.0);
        for dy in dy.chunks_exact(outputs) {
            for (db, dy) in db.iter_mut().zip(dy) {
                *db += dy;
            }
        }
        let mut product = Product {
            arch,
            pool: &self.pool,
            dense,
            scratch,
        };
        product.run([outputs, inputs, samples], dw, x, |output, sample| {
            dy[sample * outputs + output]
        });
        if !dx.is_empty() {
            product.run([samples, inputs, outputs], dx, weight, |sample, output| {
                dy[sample * outputs + output]
            });
        }
    }
}

/// Products whose right side is read along its rows, strip by strip.
struct Product<'a> {
    arch: pulp::Arch,
    pool: &'a Pool,
    dense: &'a Dense,
    scratch: &'a mut [f32],
}

impl Product<'_> {
    /// `out = left · right`; `out: (m, n)`, `right: (k, n)`.
    fn run(
        &mut self,
        [m, n, k]: [usize; 3],
        out: &mut [f32],
        right: &[f32],
        left: impl Fn(usize, usize) -> f32,
    ) {
        if k == 0 || m == 0 {
            out.fill(0.0);
            return;
        }
        let (arch, work) = (self.arch, &self.dense.work);
        let (packed, strips) = self.scratch.split_at_mut(work.packed);
        let height = arch.dispatch(PanelHeight { rows: m });
        pack(height, m, k, packed, left);
        assert!(out.len() == m * n && right.len() >= k * n);
        let (packed, strips, matrix) = (&*packed, Shared::new(strips), Shared::new(out));
        self.pool.for_each(n.div_ceil(TILE), |thread, strip| {
            let columns = strip * TILE..n.min((strip + 1) * TILE);
            // SAFETY: each thread has its own strip.
            let strip = unsafe { strips.part(thread * work.strip..(thread + 1) * work.strip) };
            for first in (0..k).step_by(work.strip_rows) {
                let last = k.min(first + work.strip_rows);
                for (row, strip) in (first..last).zip(strip.chunks_exact_mut(TILE)) {
                    let right = &right[row * n + columns.start..row * n + columns.end];
                    match <&[f32; TILE]>::try_from(right) {
                        Ok(whole) => strip.copy_from_slice(whole),
                        Err(_) => {
                            strip[..right.len()].copy_from_slice(right);
                            strip[right.len()..].fill(0.0);
                        }
                    }
                }
                arch.dispatch(Rows {
                    rows: m,
                    left: packed,
                    skipped: [first, k - last],
                    right: strip,
                    steps: Steps {
                        counts: [1, 1, last - first],
                        strides: [0, 0, TILE],
                    },
                    start: if first == 0 {
                        Start::Zero
                    } else {
                        Start::Output
                    },
                    relu: false,
                    columns: TILE,
                    // SAFETY: each strip has its own columns of the matrix.
                    out: unsafe { Columns::some(matrix.start(), m, n, columns.clone()) },
                });
            }
        });
    }
}
