//! A convolution with what its stage takes along. Samples are taken one after the other through all that can be done with
//! one at a time, so that what one writes the next step still finds in the cache. Where a norm is over the microbatch,
//! there are two such passes each way: its sums lie between them.

mod products;
mod tiles;

use plan::Window;

use crate::backend::{View, WindowBackward, WindowForward};
use crate::cpu::convolution::tiles::Tiled;
use crate::cpu::device::Cpu;
use crate::cpu::layout::{Pitches, compact};
use crate::cpu::normed::{
    Finish, MaskAndSum, NormGradient, Normal, NormaliseFlat, SampleSums, fold_gradients,
    fold_statistics,
};
use crate::cpu::shared::Shared;
use crate::cpu::wide::{AddRows, PoolForward, Relu, Unpool};
use crate::reference::batch_norm::leave_sums;

/// `y = pool?(relu?(norm?(x ⋆ W + b)))`
pub(crate) fn forward(cpu: &mut Cpu, window: &Window, samples: usize, at: WindowForward) {
    let (conv, work) = (&window.conv, &window.work);
    let (arch, pool) = (cpu.arch, &*cpu.pool);
    let norm = at.norm.map_or([View::EMPTY; 4], |norm| norm.views());
    let views = [
        at.x,
        at.weight,
        at.bias.unwrap_or(View::EMPTY),
        at.y,
        at.work,
        norm[0],
        norm[1],
        norm[2],
        norm[3],
        at.indices.unwrap_or(View::EMPTY),
    ];
    let [numbers @ .., indices] = cpu.arena.split(views);
    let [
        x,
        weight,
        bias,
        y,
        scratch,
        weights,
        biases,
        statistics,
        convolved,
    ]: [&mut [f32]; 9] = numbers.map(bytemuck::cast_slice_mut);
    let (x, weight, bias) = (&*x, &*weight, &*bias);
    let keeps = !convolved.is_empty();
    let (packed, rest) = scratch.split_at_mut(work.forward_packed);
    let (sums, lanes) = rest.split_at_mut(work.sum_words(samples));
    let outputs = y.len() / samples.max(1);
    let full = conv.outputs();
    let index_bytes = window.pool.as_ref().map_or(0, |pool| pool.index_bytes());
    let indices = Shared::new(indices);
    let [y, lanes, convolved, sums] = [y, lanes, convolved, sums].map(Shared::new);
    let places = |sample: usize| {
        let range = sample * outputs..(sample + 1) * outputs;
        // SAFETY: each sample has its own outputs.
        unsafe {
            (
                y.part(range.clone()),
                indices.part(range.start * index_bytes..range.end * index_bytes),
            )
        }
    };
    // SAFETY: each thread has its own lane.
    let lane_of = |thread: usize| unsafe {
        lanes.part(thread * work.forward_lane..(thread + 1) * work.forward_lane)
    };
    // SAFETY: each sample has its own part.
    let kept = |sample: usize| unsafe { convolved.part(sample * full..(sample + 1) * full) };
    // What comes behind the convolution, of one sample.
    let finish = |sample: usize, pitches: Pitches, flat: &mut [f32]| {
        if let Some(norm) = &window.norm {
            arch.dispatch(NormaliseFlat {
                normal: Normal::new(norm, &*statistics, weights, biases),
                pitches,
                flat,
            });
            if window.relu {
                arch.dispatch(Relu(flat));
            }
        }
        let (y, indices) = places(sample);
        match &window.pool {
            Some(pool) => arch.dispatch(PoolForward {
                pitches,
                pool,
                flat,
                y,
                indices,
            }),
            None => compact(flat, pitches, conv.geometry.output, y),
        }
    };
    let sum = |sample: usize| {
        // SAFETY: each sample has its own sums.
        let sums = unsafe { sums.part(sample * work.sums..(sample + 1) * work.sums) };
        arch.dispatch(SampleSums {
            plane: full / conv.filters,
            x: kept(sample),
            sums,
        });
    };
    let relu = window.relu && window.norm.is_none();
    if let Some(cut) = &work.winograd {
        let tiled = Tiled::forward(arch, pool, conv, cut, weight, packed);
        pool.for_each(samples.div_ceil(cut.group), |thread, group| {
            let members = group * cut.group..samples.min((group + 1) * cut.group);
            let (lane, own) = lane_of(thread).split_at_mut(work.forward_lane - cut.group * full);
            let range = members.start * full..members.end * full;
            // SAFETY: each group has its own samples.
            let out = unsafe {
                if keeps {
                    convolved.part(range)
                } else if window.norm.is_none() && window.pool.is_none() {
                    y.part(range)
                } else {
                    own
                }
            };
            tiled.run(members.clone(), x, bias, relu, lane, out);
            if keeps {
                members.for_each(sum);
            } else if window.norm.is_some() || window.pool.is_some() {
                for (sample, flat) in members.zip(out.chunks_exact_mut(full)) {
                    finish(sample, Pitches::dense(conv.geometry.output), flat);
                }
            }
        });
    } else {
        let product = products::Forward::new(arch, conv, &work.forward, weight, packed);
        let pitches = Pitches::of(&work.forward);
        pool.for_each(samples, |thread, sample| {
            let x = &x[sample * conv.inputs()..(sample + 1) * conv.inputs()];
            let flat = product.run(x, bias, relu, lane_of(thread));
            if keeps {
                compact(flat, pitches, conv.geometry.output, kept(sample));
                sum(sample);
            } else {
                finish(sample, pitches, flat);
            }
        });
    }
    let Some(norm) = window.norm.as_ref().filter(|_| keeps) else {
        return;
    };
    // SAFETY: all samples are done.
    let sums = unsafe { sums.part(0..samples * work.sums) };
    fold_statistics(norm.plane, sums, statistics);
    let normal = Normal::new(norm, statistics, weights, biases);
    pool.for_each(samples, |thread, sample| {
        let (y, indices) = places(sample);
        arch.dispatch(Finish {
            window,
            normal,
            convolved: kept(sample),
            scratch: lane_of(thread),
            y,
            indices,
        });
    });
}

/// How a backward pass goes.
enum Route<'a> {
    Tiled(Tiled<'a>),
    Product(products::Backward<'a>),
}

/// The undo.
pub(crate) fn backward(cpu: &mut Cpu, window: &Window, samples: usize, at: WindowBackward) {
    let (conv, work) = (&window.conv, &window.work);
    let (arch, pool) = (cpu.arch, &*cpu.pool);
    let norm = at.norm.map_or([View::EMPTY; 7], |norm| norm.views());
    let [y, bias, dx, indices] =
        [at.y, at.bias_gradient, at.x_gradient, at.indices].map(|view| view.unwrap_or(View::EMPTY));
    let views = [
        at.x,
        at.weight,
        y,
        at.y_gradient,
        at.weight_gradient,
        bias,
        dx,
        at.work,
        norm[0],
        norm[1],
        norm[2],
        norm[3],
        norm[4],
        norm[5],
        norm[6],
        indices,
    ];
    let [numbers @ .., indices] = cpu.arena.split(views);
    let [x, weight, y, dy, dw, db, dx, scratch, norm @ ..]: [&mut [f32]; 15] =
        numbers.map(bytemuck::cast_slice_mut);
    let [
        weights,
        biases,
        statistics,
        convolved,
        d_weights,
        d_biases,
        norm_sums,
    ] = norm;
    let (x, weight, y, indices) = (&*x, &*weight, &*y, &*indices);
    let (statistics, convolved) = (&*statistics, &*convolved);
    let outputs = dy.len() / samples.max(1);
    let full = conv.outputs();
    let index_bytes = window.pool.as_ref().map_or(0, |pool| pool.index_bytes());
    let (partials, rest) = scratch.split_at_mut(work.blocks * work.partial);
    let (packed, rest) = rest.split_at_mut(work.backward_packed);
    let (sums, lanes) = rest.split_at_mut(work.sum_words(samples));
    let dy = Shared::new(dy);
    // SAFETY: each sample has its own gradient, and one slice of it is alive at a time.
    let gradient = |sample: usize| unsafe { dy.part(sample * outputs..(sample + 1) * outputs) };
    let indices =
        |sample: usize| &indices[sample * outputs * index_bytes..][..outputs * index_bytes];
    let before = |sample: usize| &convolved[sample * full..][..full];
    let normal = window
        .norm
        .as_ref()
        .map(|norm| Normal::new(norm, statistics, weights, biases));
    if let Some(normal) = normal {
        let sums = Shared::new(sums);
        pool.for_each(samples, |_, sample| {
            // SAFETY: each sample has its own sums.
            let sums = unsafe { sums.part(sample * work.sums..(sample + 1) * work.sums) };
            arch.dispatch(MaskAndSum {
                window,
                normal,
                convolved: before(sample),
                indices: indices(sample),
                dy: gradient(sample),
                sums,
            });
        });
        // SAFETY: all samples are done.
        let sums = unsafe { sums.part(0..samples * work.sums) };
        fold_gradients(&normal, sums, d_weights, d_biases);
        leave_sums([samples * normal.norm.plane; 2], statistics, norm_sums);
    }
    let (d_weights, d_biases) = (&*d_weights, &*d_biases);
    // The gradient of what the convolution gave for one sample, and its sums over channels added.
    let undo = |sample: usize, pitches: Pitches, flat: &mut [f32], sums: &mut [f32]| {
        arch.dispatch(Unpool {
            window,
            pitches,
            y: if y.is_empty() {
                y
            } else {
                &y[sample * outputs..][..outputs]
            },
            y_gradient: gradient(sample),
            indices: indices(sample),
            flat,
        });
        if let Some(normal) = normal {
            arch.dispatch(NormGradient {
                normal,
                count: (samples * normal.norm.plane).max(1) as f32,
                dw: d_weights,
                db: d_biases,
                output: conv.geometry.output,
                pitches,
                convolved: before(sample),
                flat,
            });
        }
        arch.dispatch(AddRows {
            pitches,
            flat,
            sums,
        });
    };
    let route = match &work.winograd {
        Some(cut) => Route::Tiled(Tiled::backward(arch, pool, conv, cut, weight, packed)),
        None => Route::Product(products::Backward::new(arch, window, weight, packed)),
    };
    let blocks = samples.div_ceil(work.block);
    let weight_words = dw.len();
    let [partials, lanes, dx] = [partials, lanes, dx].map(Shared::new);
    pool.for_each(blocks, |thread, block| {
        let members = block * work.block..samples.min((block + 1) * work.block);
        let (lane, inputs) = (work.backward_lane, conv.inputs());
        // SAFETY: each block has its own partial sums and samples, each thread its own lane.
        let [partial, lane, dx] = unsafe {
            [
                partials.part(block * work.partial..(block + 1) * work.partial),
                lanes.part(thread * lane..(thread + 1) * lane),
                dx.part(members.start * inputs..members.end * inputs),
            ]
        };
        let (dw, db) = partial.split_at_mut(weight_words);
        db.fill(0.0);
        let db = &mut db[..conv.filters];
        match &route {
            Route::Tiled(tiled) => tiled.undo(members, x, &undo, lane, dw, db, dx),
            Route::Product(product) => product.run(members, x, &undo, lane, dw, db, dx),
        }
    });
    dw.fill(0.0);
    db.fill(0.0);
    // SAFETY: all blocks are done.
    let partials = unsafe { partials.part(0..blocks * work.partial) };
    for partial in partials.chunks_exact(work.partial) {
        for (sum, value) in dw.iter_mut().zip(partial) {
            *sum += value;
        }
        for (sum, value) in db.iter_mut().zip(&partial[weight_words..]) {
            *sum += value;
        }
    }
}
