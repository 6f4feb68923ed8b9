//! Windows that slide over height and width.

use plan::{BatchNorm, Conv2d, Geometry, Window};

use crate::backend::{View, WindowBackward, WindowForward, Windows};
use crate::float::Float;
use crate::reference::average::{average_backward, average_forward};
use crate::reference::batch_norm::leave_sums;
use crate::reference::channel::{scaling, statistics_of};
use crate::reference::device::Reference;
use crate::reference::max_pool::{input_of, max_pool_backward, max_pool_forward, sample_of};
use crate::reference::pointwise::{mask, relu};

impl<T: Float> Windows for Reference<T> {
    fn window_forward(&mut self, window: &Window, samples: usize, at: WindowForward) {
        let conv = &window.conv;
        let norm = at.norm.map(|norm| norm.views());
        let [weights, biases, statistics, convolved] = norm.unwrap_or([View::EMPTY; 4]);
        let views = [
            at.x,
            at.weight,
            at.bias.unwrap_or(View::EMPTY),
            at.y,
            at.indices.unwrap_or(View::EMPTY),
            weights,
            biases,
            statistics,
            convolved,
        ];
        let [x, weight, bias, y, indices, numbers @ ..] = self.arena.split(views);
        let [x, weight, bias, y]: [&mut [T]; 4] =
            [x, weight, bias, y].map(bytemuck::cast_slice_mut);
        let [weights, biases, statistics, convolved]: [&mut [T]; 4] =
            numbers.map(bytemuck::cast_slice_mut);
        let outputs = conv.outputs();
        let mut full = vec![T::ZERO; outputs];
        let mut finish = |sample: usize, full: &mut [T], statistics: &[T]| {
            if let Some(norm) = &window.norm {
                scaling(norm, statistics, weights).normalise(biases, full);
            }
            if window.relu {
                relu(full);
            }
            match &window.pool {
                None => y[sample * outputs..][..outputs].copy_from_slice(full),
                Some(pool) => {
                    let (y, indices) = sample_of(pool, sample, y, indices);
                    max_pool_forward(pool, full, y, indices);
                }
            }
        };
        for (sample, x) in x.chunks_exact(conv.inputs()).take(samples).enumerate() {
            conv_forward(conv, x, weight, bias, &mut full);
            if convolved.is_empty() {
                finish(sample, &mut full, statistics);
            } else {
                convolved[sample * outputs..][..outputs].copy_from_slice(&full);
            }
        }
        let Some(norm) = window.norm.as_ref().filter(|_| !convolved.is_empty()) else {
            return;
        };
        let (means, variances) = statistics.split_at_mut(norm.channels);
        let count = T::of((samples * norm.plane).max(1) as f64);
        let all = &convolved[..samples * outputs];
        statistics_of(norm, count, all, means, variances);
        for (sample, convolved) in all.chunks_exact(outputs).enumerate() {
            full.copy_from_slice(convolved);
            finish(sample, &mut full, statistics);
        }
    }

    fn window_backward(&mut self, window: &Window, samples: usize, at: WindowBackward) {
        let conv = &window.conv;
        let [y, bias, dx, indices] = [at.y, at.bias_gradient, at.x_gradient, at.indices]
            .map(|view| view.unwrap_or(View::EMPTY));
        let norm = at.norm.map(|norm| norm.views());
        let [
            weights,
            biases,
            statistics,
            convolved,
            d_weights,
            d_biases,
            sums,
        ] = norm.unwrap_or([View::EMPTY; 7]);
        let views = [
            at.x,
            at.weight,
            y,
            at.y_gradient,
            at.weight_gradient,
            bias,
            dx,
            indices,
            weights,
            biases,
            statistics,
            convolved,
            d_weights,
            d_biases,
            sums,
        ];
        let [x, weight, y, dy, dw, db, dx, indices, numbers @ ..] = self.arena.split(views);
        let [x, weight, y, dy, dw, db, dx]: [&mut [T]; 7] =
            [x, weight, y, dy, dw, db, dx].map(bytemuck::cast_slice_mut);
        let [
            weights,
            biases,
            statistics,
            convolved,
            d_weights,
            d_biases,
            sums,
        ]: [&mut [T]; 7] = numbers.map(bytemuck::cast_slice_mut);
        dw.fill(T::ZERO);
        db.fill(T::ZERO);
        dx.fill(T::ZERO);
        let mut full = vec![T::ZERO; conv.outputs()];
        let outputs = window.pool.map_or(conv.outputs(), |pool| pool.outputs());
        if window.relu && window.norm.is_none() {
            mask(&y[..samples * outputs], dy);
        }
        // The gradient of what the pooling was given, and behind a norm of what the relu was given.
        let spread = |sample: usize, full: &mut [T]| {
            let dy = &dy[sample * outputs..][..outputs];
            match &window.pool {
                None => full.copy_from_slice(dy),
                Some(pool) => {
                    let bytes = outputs * pool.index_bytes();
                    max_pool_backward(pool, dy, &indices[sample * bytes..][..bytes], full);
                }
            }
        };
        let before = |sample: usize| &convolved[sample * conv.outputs()..][..conv.outputs()];
        let masked = |norm: &BatchNorm, sample: usize, full: &mut [T]| {
            spread(sample, full);
            if window.relu {
                let mut y = before(sample).to_vec();
                scaling(norm, statistics, weights).normalise(biases, &mut y);
                mask(&y, full);
            }
        };
        if let Some(norm) = &window.norm {
            leave_sums([samples * norm.plane; 2], statistics, sums);
            d_weights.fill(T::ZERO);
            d_biases.fill(T::ZERO);
            for sample in 0..samples {
                masked(norm, sample, &mut full);
                let scaling = scaling(norm, statistics, weights);
                scaling.add_gradients(before(sample), &full, d_weights, d_biases);
            }
        }
        for sample in 0..samples {
            match &window.norm {
                None => spread(sample, &mut full),
                Some(norm) => {
                    masked(norm, sample, &mut full);
                    let count = T::of((samples * norm.plane).max(1) as f64);
                    let scaling = scaling(norm, statistics, weights);
                    scaling.input(count, before(sample), d_weights, d_biases, &mut full);
                }
            }
            let samples = sample * conv.inputs()..(sample + 1) * conv.inputs();
            let dx = if dx.is_empty() {
                &mut []
            } else {
                &mut dx[samples.clone()]
            };
            conv_backward(conv, &x[samples], weight, &full, dw, db, dx);
        }
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
        let [x, y]: [&mut [T]; 2] = [x, y].map(bytemuck::cast_slice_mut);
        for (sample, x) in x.chunks_exact(pool.inputs()).take(samples).enumerate() {
            let (y, indices) = sample_of(pool, sample, y, indices);
            max_pool_forward(pool, x, y, indices);
        }
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
        let [dy, dx]: [&mut [T]; 2] = [dy, dx].map(bytemuck::cast_slice_mut);
        for (sample, dx) in dx.chunks_exact_mut(pool.inputs()).take(samples).enumerate() {
            let (dy, indices) = sample_of(pool, sample, dy, indices);
            max_pool_backward(pool, dy, indices, dx);
        }
    }

    fn average_forward(&mut self, pool: &Geometry, samples: usize, x: View, y: View) {
        let [x, y] = self.numbers([Some(x), Some(y)]);
        let rows = x.chunks_exact(pool.inputs());
        for (x, y) in rows.zip(y.chunks_exact_mut(pool.outputs())).take(samples) {
            average_forward::<T>(pool, x, y);
        }
    }

    fn average_backward(
        &mut self,
        pool: &Geometry,
        samples: usize,
        y_gradient: View,
        x_gradient: View,
    ) {
        let [dy, dx] = self.numbers([Some(y_gradient), Some(x_gradient)]);
        let rows = dy.chunks_exact(pool.outputs());
        for (dy, dx) in rows.zip(dx.chunks_exact_mut(pool.inputs())).take(samples) {
            average_backward::<T>(pool, dy, dx);
        }
    }
}

/// Calls `visit(input position, weight position, output position)` for every product of one sample.
fn products(conv: &Conv2d, mut visit: impl FnMut(usize, usize, usize)) {
    let (geometry, dilation) = (&conv.geometry, conv.dilation);
    let ([height, width], [kernel_h, kernel_w]) = (geometry.input, geometry.kernel);
    let [out_height, out_width] = geometry.output;
    let place = |axis: usize, out: usize, tap: usize| {
        let (stride, padding) = (geometry.stride[axis], geometry.padding[axis]);
        input_of(
            out,
            tap * dilation[axis],
            stride,
            padding,
            geometry.input[axis],
        )
    };
    for filter in 0..conv.filters {
        let first = filter / conv.group_filters() * conv.group_channels();
        for oy in 0..out_height {
            for ox in 0..out_width {
                let out = (filter * out_height + oy) * out_width + ox;
                for channel in 0..conv.group_channels() {
                    let row = (filter * conv.group_channels() + channel) * kernel_h;
                    for ky in 0..kernel_h {
                        let Some(iy) = place(0, oy, ky) else {
                            continue;
                        };
                        for kx in 0..kernel_w {
                            let Some(ix) = place(1, ox, kx) else {
                                continue;
                            };
                            let input = ((first + channel) * height + iy) * width + ix;
                            visit(input, (row + ky) * kernel_w + kx, out);
                        }
                    }
                }
            }
        }
    }
}

/// One sample: `x: (C, H, W)`, `y: (filters, H', W')`; no bias if `bias` is empty.
pub(crate) fn conv_forward<T: Float>(
    conv: &Conv2d,
    x: &[T],
    weight: &[T],
    bias: &[T],
    y: &mut [T],
) {
    let plane = conv.geometry.output[0] * conv.geometry.output[1];
    for (filter, y) in y.chunks_exact_mut(plane).enumerate() {
        y.fill(bias.get(filter).copied().unwrap_or(T::ZERO));
    }
    products(conv, |input, at, out| y[out] += weight[at] * x[input]);
}

/// One sample, added: gradients of weight, bias (unless empty) and input (unless empty).
pub(crate) fn conv_backward<T: Float>(
    conv: &Conv2d,
    x: &[T],
    weight: &[T],
    dy: &[T],
    dw: &mut [T],
    db: &mut [T],
    dx: &mut [T],
) {
    products(conv, |input, at, out| dw[at] += dy[out] * x[input]);
    if !dx.is_empty() {
        products(conv, |input, at, out| dx[input] += dy[out] * weight[at]);
    }
    let plane = conv.geometry.output[0] * conv.geometry.output[1];
    for (db, dy) in db.iter_mut().zip(dy.chunks_exact(plane)) {
        *db = dy.iter().fold(*db, |sum, &dy| sum + dy);
    }
}
