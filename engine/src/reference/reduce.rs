//! Sums over flat buffers.

use crate::backend::{Reduce, View};
use crate::float::Float;
use crate::reference::device::Reference;

/// Words of a block: its partial sum is one number, and the blocks are folded by number.
pub(crate) const BLOCK: usize = 4096;

/// Interleaved partial sums inside a block.
const LANES: usize = 16;

impl<T: Float> Reduce for Reference<T> {
    fn square_norm(&mut self, gradient: View, divisor: f64) -> f64 {
        let [gradient] = self.numbers([Some(gradient)]);
        gradient
            .chunks(BLOCK)
            .map(|block| block_square_norm(block, T::of(divisor)))
            .sum()
    }

    fn digest(&self, words: View, number: u64) -> [u64; 2] {
        block_digest::<T>(bytemuck::cast_slice(self.arena.view(words)), number)
    }
}

/// The sum of the squares of one block of `gradient / divisor`.
#[inline(always)]
pub(crate) fn block_square_norm<T: Float>(block: &[T], divisor: T) -> f64 {
    let (mut sums, scale) = ([0.0; LANES], T::of(1.0) / divisor);
    let (lanes, rest) = block.as_chunks::<LANES>();
    for values in lanes {
        for (sum, &value) in sums.iter_mut().zip(values) {
            let value = (value * scale).wide();
            *sum += value * value;
        }
    }
    for (sum, &value) in sums.iter_mut().zip(rest) {
        let value = (value * scale).wide();
        *sum += value * value;
    }
    sums.iter().sum()
}

/// Two sums modulo 2^64 of mixes of each word with its number, the first being `number`.
#[inline(always)]
pub(crate) fn block_digest<T: Float>(block: &[T], number: u64) -> [u64; 2] {
    let mut sums = [0u64; 2];
    // Counted up by an addition each, which is quicker than the multiplication that it stands for.
    let mut salt = salt(number);
    for &value in block {
        let mixed = mix_salted(value.word() ^ salt);
        salt = salt.wrapping_add(SALT);
        sums = [
            sums[0].wrapping_add(mixed[0]),
            sums[1].wrapping_add(mixed[1]),
        ];
    }
    sums
}

/// Two mixes of a word with its number. Odd multipliers with well spread bits, from SplitMix64 (Steele, Lea and Flood
/// 2014).
pub(crate) fn mix(word: u64, number: u64) -> [u64; 2] {
    mix_salted(word ^ salt(number))
}

const SALT: u64 = 0x9E37_79B9_7F4A_7C15;

#[inline(always)]
fn salt(number: u64) -> u64 {
    number.wrapping_add(1).wrapping_mul(SALT)
}

#[inline(always)]
fn mix_salted(salted: u64) -> [u64; 2] {
    let first = (salted ^ (salted >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let second = (first ^ (first >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    [first ^ (first >> 32), second ^ (second >> 31)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_sees_values_and_places_but_not_the_cut_into_blocks() {
        let words: Vec<f32> = (0..1000).map(|index| index as f32 * 0.37).collect();
        let whole = block_digest(&words, 7);
        let (left, right) = words.split_at(333);
        let [a, b] = [block_digest(left, 7), block_digest(right, 340)];
        assert_eq!(whole, [a[0].wrapping_add(b[0]), a[1].wrapping_add(b[1])]);
        let mut swapped = words.clone();
        swapped.swap(3, 4);
        assert_ne!(block_digest(&swapped, 7), whole);
        swapped.swap(3, 4);
        swapped[999] = f32::from_bits(swapped[999].to_bits() ^ 1);
        assert_ne!(block_digest(&swapped, 7), whole);
        assert_ne!(block_digest(&[0.0f32], 0), block_digest(&[-0.0f32], 0));
    }

    #[test]
    fn a_norm_is_the_sum_of_the_squares_of_what_the_divisor_leaves() {
        assert_eq!(block_square_norm(&[6.0f32; 21], 2.0), 189.0);
    }
}
