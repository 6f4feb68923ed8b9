//! Average pooling of one sample. Zeros of the padding count.

use std::ops::Range;

use plan::Geometry;

use crate::float::Float;
use crate::reference::sums::total;

/// The places of the input that the window of output `out` covers along one axis.
#[inline(always)]
fn covered(pool: &Geometry, axis: usize, out: usize) -> Range<usize> {
    let first = out * pool.stride[axis];
    let end = (first + pool.kernel[axis]).saturating_sub(pool.padding[axis]);
    first
        .saturating_sub(pool.padding[axis])
        .min(pool.input[axis])..end.min(pool.input[axis])
}

#[inline(always)]
fn count<T: Float>(pool: &Geometry) -> T {
    T::of((pool.kernel[0] * pool.kernel[1]) as f64)
}

/// `x: (C, H, W)`, `y: (C, H', W')`
#[inline(always)]
pub(crate) fn average_forward<T: Float>(pool: &Geometry, x: &[T], y: &mut [T]) {
    let [[height, width], [out_height, out_width]] = [pool.input, pool.output];
    let count = count::<T>(pool);
    let planes = x.chunks_exact(height * width);
    for (x, y) in planes.zip(y.chunks_exact_mut(out_height * out_width)) {
        if (pool.kernel, pool.output) == (pool.input, [1, 1]) && pool.padding == [0, 0] {
            y[0] = total(x, x, |x, _| x) / count;
            continue;
        }
        y.fill(T::ZERO);
        for (oy, y) in y.chunks_exact_mut(out_width).enumerate() {
            for iy in covered(pool, 0, oy) {
                let x = &x[iy * width..(iy + 1) * width];
                for (ox, y) in y.iter_mut().enumerate() {
                    for &x in &x[covered(pool, 1, ox)] {
                        *y += x;
                    }
                }
            }
            for y in y {
                *y = *y / count;
            }
        }
    }
}

/// `dy: (C, H', W')`, `dx: (C, H, W)`, assigned.
#[inline(always)]
pub(crate) fn average_backward<T: Float>(pool: &Geometry, dy: &[T], dx: &mut [T]) {
    let [[height, width], [out_height, out_width]] = [pool.input, pool.output];
    let count = count::<T>(pool);
    let planes = dx.chunks_exact_mut(height * width);
    for (dx, dy) in planes.zip(dy.chunks_exact(out_height * out_width)) {
        dx.fill(T::ZERO);
        for (oy, dy) in dy.chunks_exact(out_width).enumerate() {
            for iy in covered(pool, 0, oy) {
                let dx = &mut dx[iy * width..(iy + 1) * width];
                for (ox, &dy) in dy.iter().enumerate() {
                    let share = dy / count;
                    for dx in &mut dx[covered(pool, 1, ox)] {
                        *dx += share;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_of_the_padding_count_for_the_mean() {
        let pool = Geometry {
            channels: 1,
            input: [3, 3],
            output: [2, 2],
            kernel: [2, 2],
            stride: [2, 2],
            padding: [1, 1],
        };
        let x = [4.0, 8.0, 12.0, 16.0, 20.0, 24.0, 28.0, 32.0, 36.0f64];
        let mut y = [9.0; 4];
        average_forward(&pool, &x, &mut y);
        assert_eq!(y, [1.0, 5.0, 11.0, 28.0]);
        let mut dx = [7.0; 9];
        average_backward(&pool, &[4.0, 8.0, 12.0, 16.0], &mut dx);
        assert_eq!(dx, [1.0, 2.0, 2.0, 3.0, 4.0, 4.0, 3.0, 4.0, 4.0]);
    }
}
