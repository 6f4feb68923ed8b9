//! Batch norm of a stretch of channels, one sample after the other. Every slice of statistics, weights and gradients is that
//! of the stretch; `chunk` is the stretch in one sample, `(channels, plane)`.

use crate::float::Float;
use crate::reference::sums::total;

/// Adds each channel's values.
#[inline(always)]
pub(crate) fn add_values<T: Float>(plane: usize, chunk: &[T], sums: &mut [T]) {
    if plane == 1 {
        for (sum, &x) in sums.iter_mut().zip(chunk) {
            *sum += x;
        }
    } else {
        for (sum, x) in sums.iter_mut().zip(chunk.chunks_exact(plane)) {
            *sum += total(x, x, |x, _| x);
        }
    }
}

/// Adds the squares of each channel's values without their mean.
#[inline(always)]
pub(crate) fn add_squares<T: Float>(plane: usize, chunk: &[T], means: &[T], sums: &mut [T]) {
    if plane == 1 {
        for ((sum, &mean), &x) in sums.iter_mut().zip(means).zip(chunk) {
            *sum += (x - mean) * (x - mean);
        }
    } else {
        for ((sum, &mean), x) in sums.iter_mut().zip(means).zip(chunk.chunks_exact(plane)) {
            *sum += total(x, x, |x, _| (x - mean) * (x - mean));
        }
    }
}

/// Means, variances, weights and biases of a stretch.
#[derive(Clone, Copy)]
pub(crate) struct Scaling<'a, T> {
    pub plane: usize,
    pub eps: T,
    pub means: &'a [T],
    pub variances: &'a [T],
    pub weights: &'a [T],
}

impl<T: Float> Scaling<'_, T> {
    #[inline(always)]
    fn inverse(&self, variance: T) -> T {
        T::ONE / (variance + self.eps).root()
    }

    /// Normalises a chunk in place.
    #[inline(always)]
    pub fn normalise(&self, biases: &[T], chunk: &mut [T]) {
        let statistics = self.means.iter().zip(self.variances);
        let channels = statistics.zip(self.weights.iter().zip(biases));
        if self.plane == 1 {
            for (x, ((&mean, &variance), (&weight, &bias))) in chunk.iter_mut().zip(channels) {
                *x = (*x - mean) * (weight * self.inverse(variance)) + bias;
            }
        } else {
            let planes = chunk.chunks_exact_mut(self.plane);
            for (x, ((&mean, &variance), (&weight, &bias))) in planes.zip(channels) {
                let factor = weight * self.inverse(variance);
                for x in x {
                    *x = (*x - mean) * factor + bias;
                }
            }
        }
    }

    /// Adds to the gradients of weights and biases.
    #[inline(always)]
    pub fn add_gradients(&self, x: &[T], dy: &[T], dw: &mut [T], db: &mut [T]) {
        let statistics = self.means.iter().zip(self.variances);
        let channels = statistics.zip(dw.iter_mut().zip(db));
        if self.plane == 1 {
            for ((&x, &dy), ((&mean, &variance), (dw, db))) in x.iter().zip(dy).zip(channels) {
                *dw += dy * ((x - mean) * self.inverse(variance));
                *db += dy;
            }
        } else {
            let planes = x.chunks_exact(self.plane).zip(dy.chunks_exact(self.plane));
            for ((x, dy), ((&mean, &variance), (dw, db))) in planes.zip(channels) {
                *dw += self.inverse(variance) * total(dy, x, |dy, x| dy * (x - mean));
                *db += total(dy, dy, |dy, _| dy);
            }
        }
    }

    /// The gradient of a chunk, in place, from the gradients of weights and biases and the values per channel.
    #[inline(always)]
    pub fn input(&self, count: T, x: &[T], dw: &[T], db: &[T], gradient: &mut [T]) {
        let statistics = self.means.iter().zip(self.variances);
        let channels = statistics.zip(self.weights).zip(dw.iter().zip(db));
        if self.plane == 1 {
            let values = gradient.iter_mut().zip(x);
            for ((gradient, &x), (((&mean, &variance), &weight), (&dw, &db))) in
                values.zip(channels)
            {
                let inverse = self.inverse(variance);
                let less = db / count + (x - mean) * (inverse * (dw / count));
                *gradient = (weight * inverse) * (*gradient - less);
            }
        } else {
            let planes = gradient
                .chunks_exact_mut(self.plane)
                .zip(x.chunks_exact(self.plane));
            for ((gradient, x), (((&mean, &variance), &weight), (&dw, &db))) in planes.zip(channels)
            {
                let inverse = self.inverse(variance);
                let (mean_gradient, slope) = (db / count, inverse * (dw / count));
                for (gradient, &x) in gradient.iter_mut().zip(x) {
                    let less = mean_gradient + (x - mean) * slope;
                    *gradient = (weight * inverse) * (*gradient - less);
                }
            }
        }
    }
}

/// What a microbatch of `count` values a channel leaves for the running statistics, which are of `all` values: means and unbiased
/// variances, each times its own values; 0 for the variance of fewer than two.
#[inline(always)]
pub(crate) fn leave_sums<T: Float>([count, all]: [usize; 2], statistics: &[T], sums: &mut [T]) {
    let channels = statistics.len() / 2;
    let values = T::of(count as f64);
    let unbiased = if all > 1 {
        T::of(count as f64 * (all as f64 / (all - 1) as f64))
    } else {
        T::ZERO
    };
    for (index, (sum, &statistic)) in sums.iter_mut().zip(statistics).enumerate() {
        let factor = if index < channels { values } else { unbiased };
        *sum = statistic * factor;
    }
}

/// Moves running statistics towards the means of sums.
#[inline(always)]
pub(crate) fn update<T: Float>(momentum: f64, divisors: [u64; 2], sums: &[T], running: &mut [T]) {
    let channels = running.len() / 2;
    let [keep, take] = [1.0 - momentum, momentum].map(T::of);
    for (index, (running, &sum)) in running.iter_mut().zip(sums).enumerate() {
        let divisor = divisors[usize::from(index >= channels)];
        if divisor > 0 {
            *running = keep * *running + take * (sum / T::of(divisor as f64));
        }
    }
}
