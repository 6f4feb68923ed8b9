//! Windows that slide over height and width.

use plan::{AvgPool2d, Conv2d, MaxPool2d, Window};

use crate::backend::{View, WindowBackward, WindowForward, Windows};
use crate::float::Float;
use crate::reference::average::{average_backward, average_forward};
use crate::reference::device::Reference;
use crate::reference::pointwise::{mask, relu};

impl<T: Float> Windows for Reference<T> {
    fn window_forward(&mut self, window: &Window, samples: usize, at: WindowForward) {
        let conv = &window.conv;
        let views = [
            at.x,
            at.weight,
            at.bias.unwrap_or(View::EMPTY),
            at.y,
            at.indices.unwrap_or(View::EMPTY),
        ];
        let [x, weight, bias, y, indices] = self.arena.split(views);
        let [x, weight, bias, y]: [&mut [T]; 4] =
            [x, weight, bias, y].map(bytemuck::cast_slice_mut);
        let mut full = vec![T::ZERO; conv.outputs()];
        for (sample, x) in x.chunks_exact(conv.inputs()).take(samples).enumerate() {
            conv_forward(conv, x, weight, bias, &mut full);
            if window.relu {
                relu(&mut full);
            }
            match &window.pool {
                None => y[sample * conv.outputs()..][..conv.outputs()].copy_from_slice(&full),
                Some(pool) => {
                    let (y, indices) = sample_of(pool, sample, y, indices);
                    max_pool_forward(pool, &full, y, indices);
                }
            }
        }
    }

    fn window_backward(&mut self, window: &Window, samples: usize, at: WindowBackward) {
        let conv = &window.conv;
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
        ];
        let [x, weight, y, dy, dw, db, dx, indices] = self.arena.split(views);
        let [x, weight, y, dy, dw, db, dx]: [&mut [T]; 7] =
            [x, weight, y, dy, dw, db, dx].map(bytemuck::cast_slice_mut);
        dw.fill(T::ZERO);
        db.fill(T::ZERO);
        dx.fill(T::ZERO);
        let mut full = vec![T::ZERO; conv.outputs()];
        let outputs = window.pool.map_or(conv.outputs(), |pool| pool.outputs());
        if window.relu {
            mask(&y[..samples * outputs], dy);
        }
        for sample in 0..samples {
            let dy = &mut dy[sample * outputs..][..outputs];
            match &window.pool {
                None => full.copy_from_slice(dy),
                Some(pool) => {
                    let (dy, indices) = sample_of(
                        pool,
                        0,
                        dy,
                        &mut indices[sample * outputs * pool.index_bytes()..],
                    );
                    max_pool_backward(pool, dy, indices, &mut full);
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
        pool: &MaxPool2d,
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
        pool: &MaxPool2d,
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

    fn average_forward(&mut self, pool: &AvgPool2d, samples: usize, x: View, y: View) {
        let [x, y] = self.numbers([Some(x), Some(y)]);
        let rows = x.chunks_exact(pool.inputs());
        for (x, y) in rows.zip(y.chunks_exact_mut(pool.outputs())).take(samples) {
            average_forward::<T>(pool, x, y);
        }
    }

    fn average_backward(
        &mut self,
        pool: &AvgPool2d,
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

/// The pooled values of one sample, and their places if they are kept.
pub(crate) fn sample_of<'a, T>(
    pool: &MaxPool2d,
    sample: usize,
    y: &'a mut [T],
    indices: &'a mut [u8],
) -> (&'a mut [T], &'a mut [u8]) {
    let (words, bytes) = (pool.outputs(), pool.outputs() * pool.index_bytes());
    let indices = if indices.is_empty() {
        indices
    } else {
        &mut indices[sample * bytes..][..bytes]
    };
    (&mut y[sample * words..][..words], indices)
}

/// Along one axis: the input position of window position `k` of output `out`, unless it lies in the padding.
fn input_of(out: usize, k: usize, stride: usize, padding: usize, input: usize) -> Option<usize> {
    (out * stride + k)
        .checked_sub(padding)
        .filter(|&at| at < input)
}

/// Calls `visit(input position, weight position, output position)` for every product of one sample.
fn products(conv: &Conv2d, mut visit: impl FnMut(usize, usize, usize)) {
    let ([height, width], [kernel_h, kernel_w]) = (conv.input, conv.kernel);
    for filter in 0..conv.filters {
        for oy in 0..conv.output[0] {
            for ox in 0..conv.output[1] {
                let out = (filter * conv.output[0] + oy) * conv.output[1] + ox;
                for channel in 0..conv.channels {
                    for ky in 0..kernel_h {
                        let Some(iy) = input_of(oy, ky, conv.stride[0], conv.padding[0], height)
                        else {
                            continue;
                        };
                        for kx in 0..kernel_w {
                            let Some(ix) = input_of(ox, kx, conv.stride[1], conv.padding[1], width)
                            else {
                                continue;
                            };
                            let weight = ((filter * conv.channels + channel) * kernel_h + ky)
                                * kernel_w
                                + kx;
                            visit((channel * height + iy) * width + ix, weight, out);
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
    let plane = conv.output[0] * conv.output[1];
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
    let plane = conv.output[0] * conv.output[1];
    for (db, dy) in db.iter_mut().zip(dy.chunks_exact(plane)) {
        *db = dy.iter().fold(*db, |sum, &dy| sum + dy);
    }
}

/// One sample; `indices` may be empty.
pub(crate) fn max_pool_forward<T: Float>(
    pool: &MaxPool2d,
    x: &[T],
    y: &mut [T],
    indices: &mut [u8],
) {
    let ([height, width], [out_height, out_width]) = (pool.input, pool.output);
    for channel in 0..pool.channels {
        for oy in 0..out_height {
            for ox in 0..out_width {
                let (mut largest, mut place) = (T::LEAST, None);
                for ky in 0..pool.kernel[0] {
                    let Some(iy) = input_of(oy, ky, pool.stride[0], pool.padding[0], height) else {
                        continue;
                    };
                    for kx in 0..pool.kernel[1] {
                        let Some(ix) = input_of(ox, kx, pool.stride[1], pool.padding[1], width)
                        else {
                            continue;
                        };
                        let value = x[(channel * height + iy) * width + ix];
                        let is_nan = value.partial_cmp(&value).is_none();
                        if place.is_none() || value > largest || is_nan {
                            (largest, place) = (value, Some(ky * pool.kernel[1] + kx));
                        }
                    }
                }
                let out = (channel * out_height + oy) * out_width + ox;
                y[out] = largest;
                if !indices.is_empty() {
                    write_index(pool, indices, out, place.unwrap_or(0));
                }
            }
        }
    }
}

/// One sample, assigned.
pub(crate) fn max_pool_backward<T: Float>(
    pool: &MaxPool2d,
    dy: &[T],
    indices: &[u8],
    dx: &mut [T],
) {
    let ([height, width], [out_height, out_width]) = (pool.input, pool.output);
    dx.fill(T::ZERO);
    for channel in 0..pool.channels {
        for oy in 0..out_height {
            for ox in 0..out_width {
                let out = (channel * out_height + oy) * out_width + ox;
                let place = read_index(pool, indices, out);
                let (ky, kx) = (place / pool.kernel[1], place % pool.kernel[1]);
                let iy = oy * pool.stride[0] + ky - pool.padding[0];
                let ix = ox * pool.stride[1] + kx - pool.padding[1];
                dx[(channel * height + iy) * width + ix] += dy[out];
            }
        }
    }
}

/// Notes where in its window the pooled value `out` stood.
pub(crate) fn write_index(pool: &MaxPool2d, indices: &mut [u8], out: usize, place: usize) {
    match pool.index_bytes() {
        1 => indices[out] = place as u8,
        _ => indices[4 * out..4 * out + 4].copy_from_slice(&(place as u32).to_le_bytes()),
    }
}

/// Where in its window the pooled value `out` stood.
pub(crate) fn read_index(pool: &MaxPool2d, indices: &[u8], out: usize) -> usize {
    match pool.index_bytes() {
        1 => usize::from(indices[out]),
        _ => {
            u32::from_le_bytes(indices[4 * out..4 * out + 4].try_into().expect("4 bytes")) as usize
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> MaxPool2d {
        MaxPool2d {
            channels: 1,
            input: [3, 3],
            output: [2, 2],
            kernel: [2, 2],
            stride: [2, 2],
            padding: [1, 1],
        }
    }

    #[test]
    fn pooling_takes_the_first_of_equals_and_never_the_padding() {
        let x = [-5.0, -1.0, -1.0, -2.0, -3.0, -4.0, -2.0, -9.0, -4.0f64];
        let (mut y, mut indices) = ([0.0; 4], [0; 4]);
        max_pool_forward(&pool(), &x, &mut y, &mut indices);
        assert_eq!((y, indices), ([-5.0, -1.0, -2.0, -3.0], [3, 2, 1, 0]));
        let mut dx = [7.0; 9];
        max_pool_backward(&pool(), &[1.0, 2.0, 3.0, 4.0], &indices, &mut dx);
        assert_eq!(dx, [1.0, 2.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn pooling_passes_a_nan_on() {
        let mut x = [1.0f32; 9];
        x[4] = f32::NAN;
        let mut y = [0.0; 4];
        max_pool_forward(&pool(), &x, &mut y, &mut []);
        assert!(y[3].is_nan() && y[..3] == [1.0; 3]);
    }

    #[test]
    fn places_in_wide_windows_take_four_bytes() {
        let wide = MaxPool2d {
            channels: 1,
            input: [1, 300],
            output: [1, 1],
            kernel: [1, 300],
            stride: [1, 1],
            padding: [0, 0],
        };
        let mut x = [0.0f32; 300];
        x[299] = 1.0;
        let (mut y, mut indices) = ([0.0], [0; 4]);
        max_pool_forward(&wide, &x, &mut y, &mut indices);
        assert_eq!((y[0], read_index(&wide, &indices, 0)), (1.0, 299));
    }
}
