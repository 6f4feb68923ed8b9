//! The batch norm between a convolution and its relu and pooling: one sample at a time, while it is in the cache. Sums over
//! samples are folded in their order afterwards, so that no cut into threads decides a bit.

use plan::{BatchNorm, Geometry, Window};
use pulp::{Simd, WithSimd};

use crate::cpu::layout::{Pitches, halves, pool_forward};
use crate::reference::max_pool::read_index;
use crate::reference::sums::total;

/// What each channel is normalised by: `(x - mean) · factor + bias`.
#[derive(Clone, Copy)]
pub(crate) struct Normal<'a> {
    pub norm: &'a BatchNorm,
    pub means: &'a [f32],
    pub variances: &'a [f32],
    pub weights: &'a [f32],
    pub biases: &'a [f32],
}

impl<'a> Normal<'a> {
    /// Of statistics, means before variances.
    pub fn new(
        norm: &'a BatchNorm,
        statistics: &'a [f32],
        weights: &'a [f32],
        biases: &'a [f32],
    ) -> Self {
        let (means, variances) = statistics.split_at(norm.channels);
        Normal {
            norm,
            means,
            variances,
            weights,
            biases,
        }
    }

    #[inline(always)]
    fn inverse(&self, channel: usize) -> f32 {
        1.0 / (self.variances[channel] + self.norm.eps as f32).sqrt()
    }

    /// Mean, factor and bias of a channel.
    #[inline(always)]
    fn of(&self, channel: usize) -> Line {
        Line {
            mean: self.means[channel],
            factor: self.weights[channel] * self.inverse(channel),
            bias: self.biases[channel],
        }
    }
}

/// The line that a channel's values are put on.
#[derive(Clone, Copy)]
struct Line {
    mean: f32,
    factor: f32,
    bias: f32,
}

impl Line {
    #[inline(always)]
    fn at(self, x: f32) -> f32 {
        (x - self.mean) * self.factor + self.bias
    }

    #[inline(always)]
    fn write(self, relu: bool, from: &[f32], to: &mut [f32]) {
        if relu {
            for (to, &x) in to.iter_mut().zip(from) {
                let y = self.at(x);
                // A comparison, not a maximum: NaN stays.
                *to = if y < 0.0 { 0.0 } else { y };
            }
        } else {
            for (to, &x) in to.iter_mut().zip(from) {
                *to = self.at(x);
            }
        }
    }
}

/// Each channel's mean over one sample, and its squares without that mean, summed.
pub(crate) struct SampleSums<'a> {
    pub plane: usize,
    pub x: &'a [f32],
    pub sums: &'a mut [f32],
}

impl WithSimd for SampleSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let (means, squares) = self.sums.split_at_mut(self.sums.len() / 2);
        let sums = means.iter_mut().zip(squares);
        for (x, (mean, square)) in self.x.chunks_exact(self.plane).zip(sums) {
            let of_sample = total(
                x,
                x,
                #[inline(always)]
                |x, _| x,
            ) / self.plane as f32;
            *mean = of_sample;
            *square = total(
                x,
                x,
                #[inline(always)]
                |x, _| (x - of_sample) * (x - of_sample),
            );
        }
    }
}

/// Means and biased variances over all samples from each one's [`SampleSums`].
pub(crate) fn fold_statistics(plane: usize, sums: &[f32], statistics: &mut [f32]) {
    let width = statistics.len();
    let (means, variances) = statistics.split_at_mut(width / 2);
    let count = (sums.len() / width).max(1) as f32;
    means.fill(0.0);
    variances.fill(0.0);
    for sample in sums.chunks_exact(width) {
        for (mean, &of_sample) in means.iter_mut().zip(sample) {
            *mean += of_sample;
        }
    }
    means.iter_mut().for_each(|mean| *mean /= count);
    for sample in sums.chunks_exact(width) {
        let (of_sample, squares) = sample.split_at(width / 2);
        let channels = variances.iter_mut().zip(&*means);
        for ((variance, &mean), (&of_sample, &square)) in
            channels.zip(of_sample.iter().zip(squares))
        {
            let apart = of_sample - mean;
            *variance += square + plane as f32 * (apart * apart);
        }
    }
    let values = count * plane as f32;
    variances
        .iter_mut()
        .for_each(|variance| *variance /= values);
}

/// One sample of a convolution normalised in place, channels and rows as far apart as `pitches` says.
pub(crate) struct NormaliseFlat<'a> {
    pub normal: Normal<'a>,
    pub pitches: Pitches,
    pub flat: &'a mut [f32],
}

impl WithSimd for NormaliseFlat<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let flat = self.flat.chunks_exact_mut(self.pitches.channel);
        for (channel, flat) in flat.enumerate() {
            let line = self.normal.of(channel);
            flat.iter_mut().for_each(|x| *x = line.at(*x));
        }
    }
}

/// One sample from what the convolution gave to what the stage gives. `scratch` holds a sample of the convolution.
pub(crate) struct Finish<'a> {
    pub window: &'a Window,
    pub normal: Normal<'a>,
    pub convolved: &'a [f32],
    pub scratch: &'a mut [f32],
    pub y: &'a mut [f32],
    pub indices: &'a mut [u8],
}

impl WithSimd for Finish<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let plane = self.normal.norm.plane;
        let planes = self.convolved.chunks_exact(plane).enumerate();
        match &self.window.pool {
            None => {
                for ((channel, from), to) in planes.zip(self.y.chunks_exact_mut(plane)) {
                    self.normal.of(channel).write(self.window.relu, from, to);
                }
            }
            Some(pool) => {
                for ((channel, from), to) in planes.zip(self.scratch.chunks_exact_mut(plane)) {
                    self.normal.of(channel).write(self.window.relu, from, to);
                }
                let scratch = &mut self.scratch[..self.convolved.len()];
                let pitches = Pitches::dense(self.window.conv.geometry.output);
                pool_forward(pitches, pool, scratch, self.y, self.indices);
            }
        }
    }
}

/// The gradient behind the norm of one sample, set to 0 in place where the stage's relu does, and that sample's sums for
/// the gradients of weight (without the deviation) and bias.
pub(crate) struct MaskAndSum<'a> {
    pub window: &'a Window,
    pub normal: Normal<'a>,
    pub convolved: &'a [f32],
    pub indices: &'a [u8],
    pub dy: &'a mut [f32],
    pub sums: &'a mut [f32],
}

impl WithSimd for MaskAndSum<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let (conv, plane) = (&self.window.conv, self.normal.norm.plane);
        let (weights, biases) = self.sums.split_at_mut(conv.filters);
        let outputs = self.dy.len() / conv.filters;
        let channels = self.dy.chunks_exact_mut(outputs);
        let planes = channels.zip(self.convolved.chunks_exact(plane));
        let mut picked = [0.0; PICKED];
        for (channel, (dy, x)) in planes.enumerate() {
            let line = self.normal.of(channel);
            let mut sums = [0.0; 2];
            match &self.window.pool {
                None => mask_and_sum(self.window.relu, line, x, dy, &mut sums),
                Some(pool) => {
                    let bytes = outputs * pool.index_bytes();
                    let indices = &self.indices[channel * bytes..][..bytes];
                    let lines = (PICKED / pool.output[1]).max(1);
                    let mut first = 0;
                    while first < outputs {
                        let count = if pool.output[1] <= PICKED {
                            (lines * pool.output[1]).min(outputs - first)
                        } else {
                            PICKED.min(pool.output[1] - first % pool.output[1])
                        };
                        pick(pool, x, indices, first, &mut picked[..count]);
                        let dy = &mut dy[first..first + count];
                        mask_and_sum(self.window.relu, line, &picked[..count], dy, &mut sums);
                        first += count;
                    }
                }
            }
            [weights[channel], biases[channel]] = sums;
        }
    }
}

/// Values that are gathered at a time.
const PICKED: usize = 512;

/// The values that a pooling took from a channel, from output `first` on.
#[inline(always)]
fn pick(pool: &Geometry, x: &[f32], indices: &[u8], first: usize, picked: &mut [f32]) {
    let ([_, width], out_width) = (pool.input, pool.output[1]);
    if halves(pool) && first.is_multiple_of(out_width) && picked.len().is_multiple_of(out_width) {
        let rows = picked.chunks_exact_mut(out_width).enumerate();
        for (row, picked) in rows.map(|(row, picked)| (first / out_width + row, picked)) {
            let above = x[2 * row * width..][..2 * out_width].as_chunks::<2>().0;
            let below = x[(2 * row + 1) * width..][..2 * out_width]
                .as_chunks::<2>()
                .0;
            let indices = &indices[row * out_width..][..out_width];
            let pairs = above.iter().zip(below);
            for (((&[a, b], &[c, d]), &index), picked) in pairs.zip(indices).zip(picked) {
                let left = if index & 2 == 0 { a } else { c };
                let right = if index & 2 == 0 { b } else { d };
                *picked = if index & 1 == 0 { left } else { right };
            }
        }
        return;
    }
    for (out, picked) in (first..).zip(picked) {
        let place = read_index(pool, indices, out);
        let (oy, ox) = (out / out_width, out % out_width);
        let iy = oy * pool.stride[0] + place / pool.kernel[1] - pool.padding[0];
        let ix = ox * pool.stride[1] + place % pool.kernel[1] - pool.padding[1];
        *picked = x[iy * width + ix];
    }
}

#[inline(always)]
fn mask_and_sum(relu: bool, line: Line, x: &[f32], dy: &mut [f32], sums: &mut [f32; 2]) {
    if relu {
        for (dy, &x) in dy.iter_mut().zip(x) {
            *dy = if line.at(x) <= 0.0 { 0.0 } else { *dy };
        }
    }
    sums[0] += total(
        dy,
        x,
        #[inline(always)]
        |dy, x| dy * (x - line.mean),
    );
    sums[1] += total(
        dy,
        dy,
        #[inline(always)]
        |dy, _| dy,
    );
}

/// Gradients of weights and biases from each sample's sums.
pub(crate) fn fold_gradients(normal: &Normal, sums: &[f32], dw: &mut [f32], db: &mut [f32]) {
    dw.fill(0.0);
    db.fill(0.0);
    let channels = dw.len();
    for sample in sums.chunks_exact(2 * channels) {
        for (sum, &of_sample) in dw.iter_mut().chain(&mut *db).zip(sample) {
            *sum += of_sample;
        }
    }
    for (channel, dw) in dw.iter_mut().enumerate() {
        *dw *= normal.inverse(channel);
    }
}

/// `g = factor · (g - less - (x - mean) · slope)`
struct Undo {
    mean: f32,
    factor: f32,
    less: f32,
    slope: f32,
}

impl Undo {
    #[inline(always)]
    fn run(&self, gradient: &mut [f32], x: &[f32]) {
        for (gradient, &x) in gradient.iter_mut().zip(x) {
            let less = self.less + (x - self.mean) * self.slope;
            *gradient = self.factor * (*gradient - less);
        }
    }
}

/// The gradient of what was normalised, in place, from that of what came out: one sample, pitched, its columns past the
/// width left alone.
pub(crate) struct NormGradient<'a> {
    pub normal: Normal<'a>,
    /// Values of a channel over all samples.
    pub count: f32,
    pub dw: &'a [f32],
    pub db: &'a [f32],
    pub output: [usize; 2],
    pub pitches: Pitches,
    pub convolved: &'a [f32],
    pub flat: &'a mut [f32],
}

impl WithSimd for NormGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let (plane, [_, width]) = (self.normal.norm.plane, self.output);
        let planes = self.flat.chunks_exact_mut(self.pitches.channel);
        for (channel, (flat, x)) in planes.zip(self.convolved.chunks_exact(plane)).enumerate() {
            let Line { mean, factor, .. } = self.normal.of(channel);
            let less = self.db[channel] / self.count;
            let slope = self.normal.inverse(channel) * (self.dw[channel] / self.count);
            let undo = Undo {
                mean,
                factor,
                less,
                slope,
            };
            if self.pitches.row == width {
                undo.run(flat, x);
            } else {
                for (flat, x) in flat.chunks_mut(self.pitches.row).zip(x.chunks_exact(width)) {
                    undo.run(flat, x);
                }
            }
        }
    }
}
