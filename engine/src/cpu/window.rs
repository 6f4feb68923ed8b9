//! Windows that slide over height and width: a convolution is a product with rows of the padded sample (plan, `Unfolded`),
//! sample after sample, so that what one writes the next step still finds in the cache.

use plan::{AvgPool2d, MaxPool2d, Window};

use crate::backend::{View, WindowBackward, WindowForward, Windows};
use crate::cpu::device::Cpu;
use crate::cpu::layout::{compact, spread, steps};
use crate::cpu::product::dots::Dots;
use crate::cpu::product::pack;
use crate::cpu::product::rows::{Columns, PanelHeight, Rows, Start};
use crate::cpu::shared::Shared;
use crate::cpu::wide::{Average, AverageBackward, PoolForward, Unfold, Unpool};
use crate::reference::window::{max_pool_backward, max_pool_forward};

impl Windows for Cpu {
    fn window_forward(&mut self, window: &Window, samples: usize, at: WindowForward) {
        let (conv, work, side) = (&window.conv, &window.work, &window.work.forward);
        let (arch, pool) = (self.arch, &*self.pool);
        let views = [
            at.x,
            at.weight,
            at.bias.unwrap_or(View::EMPTY),
            at.y,
            at.indices.unwrap_or(View::EMPTY),
            at.work,
        ];
        let [x, weight, bias, y, indices, scratch] = self.arena.split(views);
        let [x, weight, bias, y, scratch]: [&mut [f32]; 5] =
            [x, weight, bias, y, scratch].map(bytemuck::cast_slice_mut);
        let (x, weight, bias) = (&*x, &*weight, &*bias);
        let (packed, lanes) = scratch.split_at_mut(work.forward_packed);
        let height = arch.dispatch(PanelHeight { rows: conv.filters });
        pack(height, conv.filters, side.rows, packed, |row, column| {
            weight[row * side.rows + column]
        });
        let (packed, steps) = (&*packed, steps(side, conv.channels, conv.kernel));
        let outputs = y.len() / samples.max(1);
        let index_bytes = window.pool.as_ref().map_or(0, |pool| pool.index_bytes());
        let (y, indices, lanes) = (Shared::new(y), Shared::new(indices), Shared::new(lanes));
        pool.for_each(samples, |thread, sample| {
            // SAFETY: each thread has its own lane and each sample its own outputs.
            let (lane, y, indices) = unsafe {
                (
                    lanes.part(thread * work.forward_lane..(thread + 1) * work.forward_lane),
                    y.part(sample * outputs..(sample + 1) * outputs),
                    indices
                        .part(sample * outputs * index_bytes..(sample + 1) * outputs * index_bytes),
                )
            };
            let (source, flat) = lane.split_at_mut(side.words);
            let x = &x[sample * conv.inputs()..(sample + 1) * conv.inputs()];
            arch.dispatch(Unfold {
                conv,
                side,
                x,
                source,
            });
            arch.dispatch(Rows {
                rows: conv.filters,
                left: packed,
                skipped: [0, 0],
                right: source,
                steps,
                start: if bias.is_empty() {
                    Start::Zero
                } else {
                    Start::Bias(bias)
                },
                relu: window.relu,
                columns: side.leading,
                out: Columns::all(flat, side.leading),
            });
            match &window.pool {
                Some(pool) => arch.dispatch(PoolForward {
                    side,
                    pool,
                    flat,
                    y,
                    indices,
                }),
                None => compact(flat, side.leading, side.pitch, conv.output, y),
            }
        });
    }

    fn window_backward(&mut self, window: &Window, samples: usize, at: WindowBackward) {
        let (conv, work, side) = (&window.conv, &window.work, &window.work.forward);
        let (arch, pool) = (self.arch, &*self.pool);
        let [y, bias, dx, indices] = [at.y, at.bias_gradient, at.x_gradient, at.indices]
            .map(|view| view.unwrap_or(View::EMPTY));
        let views = [
            at.x,
            at.weight,
            y,
            at.y_gradient,
            at.weight_gradient,
            bias,
            dx,
            indices,
            at.work,
        ];
        let [x, weight, y, dy, dw, db, dx, indices, scratch] = self.arena.split(views);
        let [x, weight, y, dy, dw, db, dx, scratch]: [&mut [f32]; 8] =
            [x, weight, y, dy, dw, db, dx, scratch].map(bytemuck::cast_slice_mut);
        let (x, weight, y, indices) = (&*x, &*weight, &*y, &*indices);
        let (partials, rest) = scratch.split_at_mut(work.blocks * work.partial);
        let (packed, lanes) = rest.split_at_mut(work.backward_packed);
        if work.backward.is_some() {
            let height = arch.dispatch(PanelHeight {
                rows: conv.channels,
            });
            let [kernel_h, kernel_w] = conv.kernel;
            let taps = kernel_h * kernel_w;
            // The window turned round: the last position meets the first output.
            pack(
                height,
                conv.channels,
                conv.filters * taps,
                packed,
                |channel, column| {
                    let (filter, tap) = (column / taps, taps - 1 - column % taps);
                    weight[(filter * conv.channels + channel) * taps + tap]
                },
            );
        }
        let outputs = dy.len() / samples.max(1);
        let index_bytes = window.pool.as_ref().map_or(0, |pool| pool.index_bytes());
        let (words, flat_words) = (side.words, conv.filters * side.leading);
        let blocks = samples.div_ceil(work.block);
        let weights = conv.filters * side.rows;
        let shared = [partials, lanes, dx, dy].map(Shared::new);
        let packed = &*packed;
        pool.for_each(blocks, |thread, block| {
            let members = block * work.block..samples.min((block + 1) * work.block);
            let (lane, inputs) = (work.backward_lane, conv.inputs());
            // SAFETY: each block has its own partial sums and samples, each thread its own lane.
            let [partial, lane, dx, dy] = unsafe {
                [
                    shared[0].part(block * work.partial..(block + 1) * work.partial),
                    shared[1].part(thread * lane..(thread + 1) * lane),
                    shared[2].part(members.start * inputs..members.end * inputs),
                    shared[3].part(members.start * outputs..members.end * outputs),
                ]
            };
            let (sources, rest) = lane.split_at_mut(work.block * words);
            let (flats, rest) = rest.split_at_mut(work.block * flat_words);
            let (dw, db) = partial.split_at_mut(weights);
            db.fill(0.0);
            for (at, sample) in members.clone().enumerate() {
                let range = sample * outputs..(sample + 1) * outputs;
                let flat = &mut flats[at * flat_words..(at + 1) * flat_words];
                let source = &mut sources[at * words..(at + 1) * words];
                let indices = &indices[range.start * index_bytes..range.end * index_bytes];
                let y = if window.relu { &y[range.clone()] } else { &[] };
                let x = &x[sample * inputs..(sample + 1) * inputs];
                arch.dispatch(Unfold {
                    conv,
                    side,
                    x,
                    source,
                });
                arch.dispatch(Unpool {
                    window,
                    y,
                    y_gradient: &mut dy[at * outputs..(at + 1) * outputs],
                    indices,
                    flat,
                    sums: db,
                });
            }
            arch.dispatch(Dots {
                rows: conv.filters,
                left: flats,
                left_pitch: side.leading,
                right: sources,
                steps: steps(side, conv.channels, conv.kernel),
                columns: side.leading,
                samples: [members.len(), flat_words, words],
                add: false,
                out: dw,
            });
            let Some(back) = work.backward.as_ref().filter(|_| !dx.is_empty()) else {
                return;
            };
            let (placed, dx_flat) = rest.split_at_mut(back.words);
            for (at, dx) in dx.chunks_exact_mut(inputs).enumerate() {
                let flat = &flats[at * flat_words..(at + 1) * flat_words];
                spread(conv, side, back, flat, placed);
                arch.dispatch(Rows {
                    rows: conv.channels,
                    left: packed,
                    skipped: [0, 0],
                    right: placed,
                    steps: steps(back, conv.filters, conv.kernel),
                    start: Start::Zero,
                    relu: false,
                    columns: back.leading,
                    out: Columns::all(dx_flat, back.leading),
                });
                compact(dx_flat, back.leading, back.pitch, conv.input, dx);
            }
        });
        dw.fill(0.0);
        db.fill(0.0);
        // SAFETY: all blocks are done.
        let partials = unsafe { shared[0].part(0..blocks * work.partial) };
        for partial in partials.chunks_exact(work.partial) {
            for (sum, value) in dw.iter_mut().zip(partial) {
                *sum += value;
            }
            for (sum, value) in db.iter_mut().zip(&partial[weights..]) {
                *sum += value;
            }
        }
    }

    fn max_pool_forward(
        &mut self,
        pool: &MaxPool2d,
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
        pool: &MaxPool2d,
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

    fn average_forward(&mut self, pool: &AvgPool2d, samples: usize, x: View, y: View) {
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
        pool: &AvgPool2d,
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
