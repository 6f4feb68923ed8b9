//! Samples between planes of channels and places with all channels side by side.

use pulp::{Simd, WithSimd};

use crate::cpu::product::load;

/// Where the places of a sample lie among places that are `lanes` words each, `pitch` of them a row.
#[derive(Clone, Copy)]
pub(crate) struct Placement {
    /// Height and width of the sample.
    pub extent: [usize; 2],
    /// Rows above it and places left of it.
    pub origin: [usize; 2],
    pub pitch: usize,
    pub lanes: usize,
}

impl Placement {
    #[inline(always)]
    fn at(&self, [y, x]: [usize; 2]) -> usize {
        ((self.origin[0] + y) * self.pitch + self.origin[1] + x) * self.lanes
    }

    /// Panics unless the sample lies inside `words`.
    fn check(&self, words: usize) {
        let [height, width] = self.extent;
        assert!(height > 0 && width > 0 && self.origin[1] + width <= self.pitch);
        assert!(self.at([height - 1, width - 1]) + self.lanes <= words);
    }
}

/// Channels and places that are turned at a time.
const BLOCK: usize = 16;

/// Calls `visit(first, count, starts)` for stretches of up to `BLOCK` places, with where each lies.
#[inline(always)]
fn stretches(placement: &Placement, mut visit: impl FnMut(usize, usize, &[usize; BLOCK])) {
    let [height, width] = placement.extent;
    let plane = height * width;
    let mut at = [0, 0];
    for first in (0..plane).step_by(BLOCK) {
        let count = BLOCK.min(plane - first);
        let mut starts = [0; BLOCK];
        for start in &mut starts[..count] {
            *start = placement.at(at);
            at[1] += 1;
            if at[1] == width {
                at = [at[0] + 1, 0];
            }
        }
        visit(first, count, &starts);
    }
}

/// A sample `(C, H, W)` with its channels put side by side; what lies around it and channels that it has not become 0.
pub(crate) struct ToLanes<'a> {
    pub placement: Placement,
    pub x: &'a [f32],
    pub flat: &'a mut [f32],
}

impl WithSimd for ToLanes<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Placement {
            extent: [height, width],
            origin: [top, left],
            pitch,
            lanes,
        } = self.placement;
        self.placement.check(self.flat.len());
        let (plane, row) = (height * width, pitch * lanes);
        let channels = self.x.len() / plane;
        assert!(channels <= lanes && lanes.is_multiple_of(BLOCK));
        self.flat[..top * row].fill(0.0);
        self.flat[(top + height) * row..].fill(0.0);
        for row in self.flat[top * row..(top + height) * row].chunks_exact_mut(row) {
            row[..left * lanes].fill(0.0);
            row[(left + width) * lanes..].fill(0.0);
        }
        for channel in (0..lanes).step_by(BLOCK) {
            let present = BLOCK.min(channels.saturating_sub(channel));
            stretches(
                &self.placement,
                #[inline(always)]
                |first, count, starts| {
                    let mut rows = [&[] as &[f32]; BLOCK];
                    for (at, row) in rows[..present].iter_mut().enumerate() {
                        *row = &self.x[(channel + at) * plane + first..][..count];
                    }
                    turn(
                        simd,
                        &rows,
                        #[inline(always)]
                        |place, values| {
                            if place < count {
                                self.flat[starts[place] + channel..][..BLOCK]
                                    .copy_from_slice(values);
                            }
                        },
                    );
                },
            );
        }
    }
}

/// The undo: `y (C, H, W)`, with a bias for each channel or none, and no value below 0 where `relu`.
pub(crate) struct FromLanes<'a> {
    pub placement: Placement,
    pub flat: &'a [f32],
    pub bias: &'a [f32],
    pub relu: bool,
    pub y: &'a mut [f32],
}

impl WithSimd for FromLanes<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Placement {
            extent: [height, width],
            lanes,
            ..
        } = self.placement;
        self.placement.check(self.flat.len());
        let plane = height * width;
        let channels = self.y.len() / plane;
        assert!(channels <= lanes && lanes.is_multiple_of(BLOCK));
        for channel in (0..channels).step_by(BLOCK) {
            let present = BLOCK.min(channels - channel);
            let mut biases = [0.0; BLOCK];
            if !self.bias.is_empty() {
                biases[..present].copy_from_slice(&self.bias[channel..channel + present]);
            }
            stretches(
                &self.placement,
                #[inline(always)]
                |first, count, starts| {
                    let mut rows = [&[] as &[f32]; BLOCK];
                    for (row, &start) in rows.iter_mut().zip(&starts[..count]) {
                        *row = &self.flat[start + channel..][..BLOCK];
                    }
                    turn(
                        simd,
                        &rows,
                        #[inline(always)]
                        |at, values| {
                            if at >= present {
                                return;
                            }
                            let y = &mut self.y[(channel + at) * plane + first..][..count];
                            for (y, value) in y.iter_mut().zip(values) {
                                let value = value + biases[at];
                                // A comparison, not a maximum: NaN stays.
                                *y = if self.relu && value < 0.0 { 0.0 } else { value };
                            }
                        },
                    );
                },
            );
        }
    }
}

/// Calls `give(column, values)` for each column of a square of rows, of which any may be short; what is missing is 0.
#[inline(always)]
fn turn<S: Simd>(simd: S, rows: &[&[f32]; BLOCK], mut give: impl FnMut(usize, &[f32; BLOCK])) {
    #[cfg(target_arch = "x86_64")]
    if S::F32_LANES == BLOCK {
        let mut loaded = [simd.splat_f32s(0.0); BLOCK];
        for (loaded, row) in loaded.iter_mut().zip(rows) {
            *loaded = if row.len() == BLOCK {
                // SAFETY: a whole vector.
                unsafe { load::<S>(row.as_ptr()) }
            } else {
                simd.partial_load_f32s(row)
            };
        }
        let mut square: [[f32; BLOCK]; BLOCK] = bytemuck::cast(loaded);
        // SAFETY: only AVX-512 has vectors of this width.
        unsafe { turn_wide(&mut square) };
        for (column, values) in square.iter().enumerate() {
            give(column, values);
        }
        return;
    }
    let _ = simd;
    let mut square = [[0.0; BLOCK]; BLOCK];
    for (at, row) in rows.iter().enumerate() {
        for (column, &value) in square.iter_mut().zip(*row) {
            column[at] = value;
        }
    }
    for (column, values) in square.iter().enumerate() {
        give(column, values);
    }
}

/// Transposes: pairs of words, then pairs of pairs, then quarters of vectors.
///
/// # Safety
/// The machine has AVX-512.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn turn_wide(square: &mut [[f32; BLOCK]; BLOCK]) {
    use std::arch::x86_64::{
        __m512, _mm512_castpd_ps, _mm512_castps_pd, _mm512_loadu_ps, _mm512_shuffle_f32x4,
        _mm512_storeu_ps, _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_pd,
        _mm512_unpacklo_ps,
    };
    // SAFETY: each row is one vector.
    let rows: [__m512; BLOCK] =
        std::array::from_fn(|row| unsafe { _mm512_loadu_ps(square[row].as_ptr()) });
    let pairs: [__m512; BLOCK] = std::array::from_fn(|at| {
        let (low, high) = (rows[at / 2 * 2], rows[at / 2 * 2 + 1]);
        if at % 2 == 0 {
            _mm512_unpacklo_ps(low, high)
        } else {
            _mm512_unpackhi_ps(low, high)
        }
    });
    // Of each four rows, the word `at % 4` of each quarter.
    let fours: [__m512; BLOCK] = std::array::from_fn(|at| {
        let first = at / 4 * 4 + at % 4 / 2;
        let (low, high) = (
            _mm512_castps_pd(pairs[first]),
            _mm512_castps_pd(pairs[first + 2]),
        );
        _mm512_castpd_ps(if at % 2 == 0 {
            _mm512_unpacklo_pd(low, high)
        } else {
            _mm512_unpackhi_pd(low, high)
        })
    });
    for word in 0..4 {
        let [a, b, c, d] = [0, 4, 8, 12].map(|first| fours[first + word]);
        let even = _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b);
        let odd = _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b);
        let even_after = _mm512_shuffle_f32x4::<0b10_00_10_00>(c, d);
        let odd_after = _mm512_shuffle_f32x4::<0b11_01_11_01>(c, d);
        let quarters = [
            _mm512_shuffle_f32x4::<0b10_00_10_00>(even, even_after),
            _mm512_shuffle_f32x4::<0b10_00_10_00>(odd, odd_after),
            _mm512_shuffle_f32x4::<0b11_01_11_01>(even, even_after),
            _mm512_shuffle_f32x4::<0b11_01_11_01>(odd, odd_after),
        ];
        for (quarter, value) in quarters.into_iter().enumerate() {
            // SAFETY: each row is one vector.
            unsafe { _mm512_storeu_ps(square[4 * quarter + word].as_mut_ptr(), value) };
        }
    }
}

#[cfg(test)]
mod tests {
    use pulp::Arch;

    use super::*;

    #[test]
    fn what_is_put_side_by_side_comes_back() {
        for (channels, extent, lanes) in [
            (1, [1, 1], 16),
            (16, [4, 4], 16),
            (21, [7, 5], 32),
            (32, [3, 17], 32),
        ] {
            let [height, width] = extent;
            let plane = height * width;
            let placement = Placement {
                extent,
                origin: [1, 2],
                pitch: width + 5,
                lanes,
            };
            let x: Vec<f32> = (0..channels * plane).map(|at| at as f32 - 20.0).collect();
            let mut flat = vec![f32::NAN; (height + 3) * (width + 5) * lanes];
            Arch::new().dispatch(ToLanes {
                placement,
                x: &x,
                flat: &mut flat,
            });
            for (at, &value) in flat.iter().enumerate() {
                let (place, channel) = (at / lanes, at % lanes);
                let (row, column) = (place / (width + 5), place % (width + 5));
                let inside = channel < channels
                    && (1..=height).contains(&row)
                    && (2..2 + width).contains(&column);
                let expected = if inside {
                    x[channel * plane + (row - 1) * width + column - 2]
                } else {
                    0.0
                };
                assert_eq!(value, expected, "{channel} {row} {column}");
            }
            let bias: Vec<f32> = (0..channels).map(|channel| channel as f32).collect();
            let mut y = vec![f32::NAN; x.len()];
            Arch::new().dispatch(FromLanes {
                placement,
                flat: &flat,
                bias: &bias,
                relu: true,
                y: &mut y,
            });
            for (at, (&y, &x)) in y.iter().zip(&x).enumerate() {
                assert_eq!(y, (x + bias[at / plane]).max(0.0));
            }
        }
    }
}
