//! Copies of stretches of both sides in the order in which [`Tiles`](super::tiles::Tiles) reads them.

use std::ops::Range;

use plan::TILE;
use pulp::Arch;

use crate::cpu::product::matrix::Matrix;
use crate::cpu::shared::Shared;
use crate::pool::Pool;

/// Columns of the left side that are packed at a time where they lie in memory one after another.
const TOGETHER: usize = 8;

/// A right side packed once for many products: strips of [`TILE`] columns, in each row after row; what is missing of the last
/// strip is 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packed<'a> {
    strips: &'a [f32],
    rows: usize,
    columns: usize,
}

impl<'a> Packed<'a> {
    /// Packs `right` into `words`, as many as [`plan::packed_words`] says.
    ///
    /// # Panics
    /// If they are fewer.
    pub fn new(arch: Arch, pool: &Pool, right: &Matrix, words: &'a mut [f32]) -> Packed<'a> {
        let (rows, columns) = (right.rows(), right.columns());
        let strip = rows * TILE;
        let words = &mut words[..columns.div_ceil(TILE) * strip];
        let strips = Shared::new(&mut *words);
        pool.for_each(columns.div_ceil(TILE), |_, number| {
            // SAFETY: strips do not overlap.
            let strip = unsafe { strips.part(number * strip..(number + 1) * strip) };
            let first = number * TILE;
            pack_strips(
                arch,
                right,
                0..rows,
                first..columns.min(first + TILE),
                strip,
            );
        });
        Packed {
            strips: words,
            rows,
            columns,
        }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The strips from `column` on, a multiple of [`TILE`], each from `row` on; and the words from one to the next.
    pub(super) fn strips(&self, row: usize, column: usize) -> (&'a [f32], usize) {
        let strip = self.rows * TILE;
        (&self.strips[column / TILE * strip + row * TILE..], strip)
    }
}

/// Packs a block of the left side: tiles of `height` rows, in each the rows' values side by side, column after column.
pub(super) fn pack_block(
    arch: Arch,
    left: &Matrix,
    height: usize,
    rows: Range<usize>,
    columns: Range<usize>,
    packed: &mut [f32],
) {
    let depth = columns.len();
    let packed = &mut packed[..rows.len() * depth];
    let turned = left.transposed();
    if turned.steps()[1] == 1 {
        // A few columns at a time, so that the tiles read on where their neighbours stopped, from few places at once.
        for few in (0..depth).step_by(TOGETHER) {
            let few = few..depth.min(few + TOGETHER);
            for first in rows.clone().step_by(height) {
                let count = height.min(rows.end - first);
                let start = (first - rows.start) * depth;
                let tile = &mut packed[start + few.start * count..start + few.end * count];
                let few = columns.start + few.start..columns.start + few.end;
                lay(arch, &turned, few, first..first + count, count, tile);
            }
        }
        return;
    }
    for first in rows.clone().step_by(height) {
        let count = height.min(rows.end - first);
        let start = (first - rows.start) * depth;
        let tile = &mut packed[start..start + count * depth];
        lay(
            arch,
            &turned,
            columns.clone(),
            first..first + count,
            count,
            tile,
        );
    }
}

/// Packs some rows and columns of the right side into strips of [`TILE`] columns, one after another.
pub(super) fn pack_strips(
    arch: Arch,
    right: &Matrix,
    rows: Range<usize>,
    columns: Range<usize>,
    strips: &mut [f32],
) {
    let (starts, strip) = (columns.clone().step_by(TILE), rows.len() * TILE);
    for (number, first) in starts.enumerate() {
        let strip = &mut strips[number * strip..(number + 1) * strip];
        let columns = first..columns.end.min(first + TILE);
        if columns.len() < TILE {
            strip.fill(0.0);
        }
        lay(arch, right, rows.clone(), columns, TILE, strip);
    }
}

/// Copies part of a matrix row by row to rows that are `pitch` words apart.
fn lay(
    arch: Arch,
    matrix: &Matrix,
    rows: Range<usize>,
    columns: Range<usize>,
    pitch: usize,
    out: &mut [f32],
) {
    let (count, width) = (rows.len(), columns.len());
    if count == 0 || width == 0 {
        return;
    }
    assert!(width <= pitch && (count - 1) * pitch + width <= out.len());
    let (start, [row_step, column_step]) = (matrix.at(rows.start, columns.start), matrix.steps());
    // The last value that is read lies inside the matrix.
    matrix.at(rows.end - 1, columns.end - 1);
    let out = out.as_mut_ptr();
    if column_step == 1 {
        for row in 0..count {
            // SAFETY: the assertions above bound both sides, which are different memory.
            unsafe {
                copy(start.add(row * row_step), width, out.add(row * pitch));
            }
        }
        return;
    }
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if let Arch::V4(_) = arch {
        done = width;
        for column in (0..width).step_by(16) {
            // SAFETY: the assertions above bound both sides, and this machine has AVX-512.
            unsafe {
                transpose(
                    start.add(column * column_step),
                    column_step,
                    [count, (width - column).min(16)],
                    out.add(column),
                    pitch,
                );
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = arch;
    for row in 0..count {
        for column in done..width {
            // SAFETY: the assertions above bound both sides.
            unsafe {
                *out.add(row * pitch + column) = *start.add(row * row_step + column * column_step);
            }
        }
    }
}

/// # Safety
/// `words` words lie behind both pointers, apart from each other.
#[inline(always)]
unsafe fn copy(from: *const f32, words: usize, to: *mut f32) {
    // SAFETY: the caller's. A known length is a few moves, no call.
    unsafe {
        match words {
            TILE => to.copy_from_nonoverlapping(from, TILE),
            12 => to.copy_from_nonoverlapping(from, 12),
            11 => to.copy_from_nonoverlapping(from, 11),
            10 => to.copy_from_nonoverlapping(from, 10),
            6 => to.copy_from_nonoverlapping(from, 6),
            _ => to.copy_from_nonoverlapping(from, words),
        }
    }
}

/// Writes `count` rows of `width` values, at most 16, of a matrix whose columns lie in memory one after another, `step`
/// words apart, to rows that are `pitch` words apart.
///
/// # Safety
/// Both sides have that many, apart from each other, and the machine has AVX-512.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn transpose(
    from: *const f32,
    step: usize,
    [count, width]: [usize; 2],
    to: *mut f32,
    pitch: usize,
) {
    use std::arch::x86_64::*;
    let lanes = |count: usize| ((1u32 << count.min(16)) - 1) as __mmask16;
    for first in (0..count).step_by(16) {
        let (height, mask) = (16.min(count - first), lanes(count - first));
        let mut rows = [_mm512_setzero_ps(); 16];
        for (column, row) in rows.iter_mut().enumerate() {
            // Masked, not left out, so that the rows stay in registers.
            let mask = if column < width { mask } else { 0 };
            let at = from.wrapping_add(column * step + first);
            // SAFETY: the mask leaves what is there of one of `width` columns.
            *row = unsafe { _mm512_maskz_loadu_ps(mask, at) };
        }
        // Pairs, then fours, inside of each 128 bits; then the 128 bits change places.
        let mut pairs = [_mm512_setzero_ps(); 16];
        for index in (0..16).step_by(2) {
            pairs[index] = _mm512_unpacklo_ps(rows[index], rows[index + 1]);
            pairs[index + 1] = _mm512_unpackhi_ps(rows[index], rows[index + 1]);
        }
        let mut fours = [_mm512_setzero_ps(); 16];
        for index in (0..16).step_by(4) {
            for half in 0..2 {
                let low = _mm512_castps_pd(pairs[index + half]);
                let high = _mm512_castps_pd(pairs[index + half + 2]);
                fours[index + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
                fours[index + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
            }
        }
        let mask = lanes(width);
        for part in 0..4 {
            let [a, b, c, d] = [0, 4, 8, 12].map(|four| fours[four + part]);
            let [ab, cd] = [
                _mm512_shuffle_f32x4::<0x88>(a, b),
                _mm512_shuffle_f32x4::<0x88>(c, d),
            ];
            let [ef, gh] = [
                _mm512_shuffle_f32x4::<0xdd>(a, b),
                _mm512_shuffle_f32x4::<0xdd>(c, d),
            ];
            let turned = [
                _mm512_shuffle_f32x4::<0x88>(ab, cd),
                _mm512_shuffle_f32x4::<0x88>(ef, gh),
                _mm512_shuffle_f32x4::<0xdd>(ab, cd),
                _mm512_shuffle_f32x4::<0xdd>(ef, gh),
            ];
            for (four, row) in turned.into_iter().enumerate() {
                if 4 * four + part < height {
                    // SAFETY: the row is one of `count`, and the mask keeps to its `width` values.
                    unsafe {
                        let at = to.add((first + 4 * four + part) * pitch);
                        _mm512_mask_storeu_ps(at, mask, row);
                    }
                }
            }
        }
    }
}
