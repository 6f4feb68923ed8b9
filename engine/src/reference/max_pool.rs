//! Max pooling of one sample, and the numbers that say where in its window each largest value stood.

use plan::Geometry;

use crate::float::Float;

/// The pooled values of one sample, and their places if they are kept.
pub(crate) fn sample_of<'a, T>(
    pool: &Geometry,
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

/// One sample; `indices` may be empty.
pub(crate) fn max_pool_forward<T: Float>(
    pool: &Geometry,
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
pub(crate) fn max_pool_backward<T: Float>(pool: &Geometry, dy: &[T], indices: &[u8], dx: &mut [T]) {
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
pub(crate) fn write_index(pool: &Geometry, indices: &mut [u8], out: usize, place: usize) {
    match pool.index_bytes() {
        1 => indices[out] = place as u8,
        _ => indices[4 * out..4 * out + 4].copy_from_slice(&(place as u32).to_le_bytes()),
    }
}

/// Where in its window the pooled value `out` stood.
pub(crate) fn read_index(pool: &Geometry, indices: &[u8], out: usize) -> usize {
    match pool.index_bytes() {
        1 => usize::from(indices[out]),
        _ => {
            u32::from_le_bytes(indices[4 * out..4 * out + 4].try_into().expect("4 bytes")) as usize
        }
    }
}

/// Along one axis: the input position of window position `k` of output `out`, unless it lies in the padding.
pub(crate) fn input_of(
    out: usize,
    k: usize,
    stride: usize,
    padding: usize,
    input: usize,
) -> Option<usize> {
    (out * stride + k)
        .checked_sub(padding)
        .filter(|&at| at < input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Geometry {
        Geometry {
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
        let wide = Geometry {
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
