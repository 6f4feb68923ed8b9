//! Samples between their dense form and the forms that products read and write: padded, copied out, pitched, pooled.

use plan::{Conv2d, Geometry, Unfolded, Window};

use crate::cpu::product::Steps;
use crate::reference::max_pool::{max_pool_forward, read_index};

/// How far apart the channels and the rows of a sample are, in words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pitches {
    pub channel: usize,
    pub row: usize,
}

impl Pitches {
    /// Of channels of `[height, width]` without gaps.
    pub fn dense([height, width]: [usize; 2]) -> Self {
        Pitches {
            channel: height * width,
            row: width,
        }
    }

    /// Of what a product with the right side `side` gives.
    pub fn of(side: &Unfolded) -> Self {
        Pitches {
            channel: side.leading,
            row: side.pitch,
        }
    }
}

/// Where the rows of a group of `channels` begin in its right side.
pub(crate) fn steps(conv: &Conv2d, side: &Unfolded, channels: usize) -> Steps {
    if side.shifted {
        let ([kernel_h, kernel_w], [down, across]) = (conv.geometry.kernel, conv.dilation);
        let plane = side.plane[0] * side.plane[1];
        Steps {
            counts: [channels, kernel_h, kernel_w],
            strides: [plane, down * side.plane[1], across],
        }
    } else {
        Steps {
            counts: [1, 1, side.rows],
            strides: [0, 0, side.leading],
        }
    }
}

/// Lays `x: (C, H, W)` out as the right side of the forward product.
#[inline(always)]
pub(crate) fn unfold(conv: &Conv2d, side: &Unfolded, x: &[f32], source: &mut [f32]) {
    let ([height, width], [pad_h, pad_w]) = (conv.geometry.input, conv.geometry.padding);
    source.fill(0.0);
    if side.shifted {
        for (channel, x) in x.chunks_exact(height * width).enumerate() {
            let first = (channel * side.plane[0] + pad_h) * side.plane[1] + pad_w;
            for (row, x) in x.chunks_exact(width).enumerate() {
                source[first + row * side.plane[1]..][..width].copy_from_slice(x);
            }
        }
        return;
    }
    let (geometry, [down, across]) = (&conv.geometry, conv.dilation);
    for (row, source) in source.chunks_exact_mut(side.leading).enumerate() {
        let (channel, place) = (row / geometry.taps(), row % geometry.taps());
        let ky = place / geometry.kernel[1] * down;
        let kx = place % geometry.kernel[1] * across;
        for (oy, source) in source[..side.columns]
            .chunks_exact_mut(side.pitch)
            .enumerate()
        {
            let Some(iy) = (oy * geometry.stride[0] + ky)
                .checked_sub(pad_h)
                .filter(|&iy| iy < height)
            else {
                continue;
            };
            let x = &x[(channel * height + iy) * width..][..width];
            for (ox, value) in source.iter_mut().enumerate() {
                if let Some(&x) = (ox * geometry.stride[1] + kx)
                    .checked_sub(pad_w)
                    .and_then(|ix| x.get(ix))
                {
                    *value = x;
                }
            }
        }
    }
}

/// Copies the rows of a pitched sample without the gaps.
#[inline(always)]
pub(crate) fn compact(
    flat: &[f32],
    pitches: Pitches,
    [height, width]: [usize; 2],
    dense: &mut [f32],
) {
    for (flat, dense) in flat
        .chunks_exact(pitches.channel)
        .zip(dense.chunks_exact_mut(height * width))
    {
        for (flat, dense) in flat.chunks(pitches.row).zip(dense.chunks_exact_mut(width)) {
            dense.copy_from_slice(&flat[..width]);
        }
    }
}

/// Pools the pitched output of a convolution; spoils it.
#[inline(always)]
pub(crate) fn pool_forward(
    pitches: Pitches,
    pool: &Geometry,
    flat: &mut [f32],
    y: &mut [f32],
    indices: &mut [u8],
) {
    let [height, width] = pool.input;
    if halves(pool) {
        let ([out_height, out_width], pitch) = (pool.output, pitches.row);
        for (channel, flat) in flat.chunks_exact(pitches.channel).enumerate() {
            for row in 0..out_height {
                let first = (channel * out_height + row) * out_width;
                let range = first..first + out_width;
                let above = flat[2 * row * pitch..][..2 * out_width].as_chunks().0;
                let below = flat[(2 * row + 1) * pitch..][..2 * out_width].as_chunks().0;
                if indices.is_empty() {
                    halve_values(above, below, &mut y[range]);
                } else {
                    halve(above, below, &mut y[range.clone()], &mut indices[range]);
                }
            }
        }
        return;
    }
    for channel in 0..pool.channels {
        for row in 0..height {
            let from = channel * pitches.channel + row * pitches.row;
            flat.copy_within(from..from + width, (channel * height + row) * width);
        }
    }
    max_pool_forward(pool, &flat[..pool.inputs()], y, indices);
}

/// Whether a pooling takes the largest of each square of four.
pub(crate) fn halves(pool: &Geometry) -> bool {
    (pool.kernel, pool.stride, pool.padding) == ([2, 2], [2, 2], [0, 0])
}

/// One row of pooled values and their places from two rows.
#[inline(always)]
fn halve(above: &[[f32; 2]], below: &[[f32; 2]], y: &mut [f32], indices: &mut [u8]) {
    for (((&[a, b], &[c, d]), y), index) in above.iter().zip(below).zip(y).zip(indices) {
        let (mut largest, mut place) = (a, 0);
        for (value, at) in [(b, 1), (c, 2), (d, 3)] {
            let take = value > largest || value.is_nan();
            largest = if take { value } else { largest };
            place = if take { at } else { place };
        }
        (*y, *index) = (largest, place);
    }
}

/// One row of pooled values from two rows.
#[inline(always)]
fn halve_values(above: &[[f32; 2]], below: &[[f32; 2]], y: &mut [f32]) {
    for ((&[a, b], &[c, d]), y) in above.iter().zip(below).zip(y) {
        *y = [b, c, d].into_iter().fold(a, |largest, value| {
            if value > largest || value.is_nan() {
                value
            } else {
                largest
            }
        });
    }
}

/// Undoes a stage's pooling for one sample: the gradient of the convolution's output, pitched, zeros between.
#[inline(always)]
pub(crate) fn unpool(
    window: &Window,
    pitches: Pitches,
    dy: &[f32],
    indices: &[u8],
    flat: &mut [f32],
) {
    flat.fill(0.0);
    match &window.pool {
        Some(pool) if halves(pool) => {
            let [out_height, out_width] = pool.output;
            for (channel, flat) in flat.chunks_exact_mut(pitches.channel).enumerate() {
                for row in 0..out_height {
                    let first = (channel * out_height + row) * out_width;
                    let range = first..first + out_width;
                    let (above, below) = flat[2 * row * pitches.row..].split_at_mut(pitches.row);
                    let [above, below] =
                        [above, below].map(|row| row[..2 * out_width].as_chunks_mut().0);
                    double(&dy[range.clone()], &indices[range], above, below);
                }
            }
        }
        Some(pool) => {
            let [out_height, out_width] = pool.output;
            for (out, &dy) in dy[..pool.outputs()].iter().enumerate() {
                let (channel, oy, ox) = (
                    out / (out_height * out_width),
                    out / out_width % out_height,
                    out % out_width,
                );
                let place = read_index(pool, indices, out);
                let iy = oy * pool.stride[0] + place / pool.kernel[1] - pool.padding[0];
                let ix = ox * pool.stride[1] + place % pool.kernel[1] - pool.padding[1];
                flat[channel * pitches.channel + iy * pitches.row + ix] += dy;
            }
        }
        None => {
            let [height, width] = window.conv.geometry.output;
            for (flat, dy) in flat
                .chunks_exact_mut(pitches.channel)
                .zip(dy.chunks_exact(height * width))
            {
                for (flat, dy) in flat.chunks_mut(pitches.row).zip(dy.chunks_exact(width)) {
                    flat[..width].copy_from_slice(dy);
                }
            }
        }
    }
}

/// One row of gradients back to the places that they came from in two rows.
#[inline(always)]
fn double(dy: &[f32], indices: &[u8], above: &mut [[f32; 2]], below: &mut [[f32; 2]]) {
    let rows = above.iter_mut().zip(below);
    for ((above, below), (&dy, &index)) in rows.zip(dy.iter().zip(indices)) {
        let at = |place: u8| if index == place { dy } else { 0.0 };
        *above = [at(0), at(1)];
        *below = [at(2), at(3)];
    }
}

/// Adds the sum of each channel's row to `sums`, in sixteen interleaved parts.
#[inline(always)]
pub(crate) fn add_rows(flat: &[f32], pitches: Pitches, sums: &mut [f32]) {
    for (flat, total) in flat.chunks_exact(pitches.channel).zip(sums) {
        let mut parts = [0.0; 16];
        let (whole, rest) = flat.as_chunks::<16>();
        for values in whole {
            for (part, value) in parts.iter_mut().zip(values) {
                *part += value;
            }
        }
        for (part, value) in parts.iter_mut().zip(rest) {
            *part += value;
        }
        *total += parts.iter().sum::<f32>();
    }
}

/// Spreads a pitched gradient by the stride into the right side of the product for the gradient of the input.
#[inline(always)]
pub(crate) fn spread(
    conv: &Conv2d,
    forward: &Unfolded,
    backward: &Unfolded,
    flat: &[f32],
    placed: &mut [f32],
) {
    placed.fill(0.0);
    let plane = backward.plane[0] * backward.plane[1];
    // Where output 0 lands; before the plane if there is more padding than the window reaches.
    let [start_y, start_x] =
        [0, 1].map(|axis| conv.reach()[axis] as isize - 1 - conv.geometry.padding[axis] as isize);
    let at = |start: isize, out: usize, stride: usize, extent: usize| {
        usize::try_from(start + (out * stride) as isize)
            .ok()
            .filter(|&at| at < extent)
    };
    for (flat, placed) in flat
        .chunks_exact(forward.leading)
        .zip(placed.chunks_exact_mut(plane))
    {
        for oy in 0..conv.geometry.output[0] {
            let Some(iy) = at(start_y, oy, conv.geometry.stride[0], backward.plane[0]) else {
                continue;
            };
            let row = &mut placed[iy * backward.plane[1]..][..backward.plane[1]];
            let flat = &flat[oy * forward.pitch..][..conv.geometry.output[1]];
            match usize::try_from(start_x) {
                Ok(start_x) if conv.geometry.stride[1] == 1 => {
                    row[start_x..start_x + flat.len()].copy_from_slice(flat)
                }
                _ => {
                    for (ox, &value) in flat.iter().enumerate() {
                        if let Some(ix) = at(start_x, ox, conv.geometry.stride[1], row.len()) {
                            row[ix] = value;
                        }
                    }
                }
            }
        }
    }
}
