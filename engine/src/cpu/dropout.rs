//! A dropout, the random words of sixteen counters at once: without branches or tables, so that the compiler runs as many
//! lanes as the machine has. Whole numbers, so that the words are those of Philox on any of them.

use pulp::{Simd, WithSimd};

use crate::draw::Draw;
use crate::reference::dropout::Chance;

/// Counters at once.
const LANES: usize = Draw::GROUP / 4;

/// Values of one sample from the beginning of group `group` on.
pub(crate) struct Dropped<'a> {
    pub chance: Chance<f32>,
    pub draw: Draw,
    pub sample: usize,
    /// Values of a whole sample.
    pub values: usize,
    pub group: usize,
    /// What comes in; empty where that is `y` itself.
    pub x: &'a [f32],
    pub y: &'a mut [f32],
}

impl WithSimd for Dropped<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        if !self.x.is_empty() {
            self.y.copy_from_slice(self.x);
        }
        let (key, chance) = (self.draw.key(), self.chance);
        for (offset, values) in self.y.chunks_mut(Draw::GROUP).enumerate() {
            let counter = self
                .draw
                .counter(self.values, self.sample, self.group + offset);
            let words = philox(key, counter);
            let words = words.as_flattened();
            for (value, &word) in values.iter_mut().zip(words) {
                let kept = *value * chance.scale;
                *value = if word < chance.threshold { 0.0 } else { kept };
            }
        }
    }
}

/// [`spec::random::philox`] of counters whose first words count on from that of `counter`: all first words, all second ones,
/// and so on.
#[inline(always)]
fn philox(key: [u32; 2], counter: [u32; 4]) -> [[u32; LANES]; 4] {
    let mut k = key;
    let mut c = counter.map(|word| [word; LANES]);
    for (lane, word) in c[0].iter_mut().enumerate() {
        *word = word.wrapping_add(lane as u32);
    }
    for _ in 0..10 {
        let mut next = [[0u32; LANES]; 4];
        for lane in 0..LANES {
            let products = [
                u64::from(c[0][lane]) * 0xD251_1F53,
                u64::from(c[2][lane]) * 0xCD9E_8D57,
            ];
            next[0][lane] = (products[1] >> 32) as u32 ^ c[1][lane] ^ k[0];
            next[1][lane] = products[1] as u32;
            next[2][lane] = (products[0] >> 32) as u32 ^ c[3][lane] ^ k[1];
            next[3][lane] = products[0] as u32;
        }
        c = next;
        k = [
            k[0].wrapping_add(0x9E37_79B9),
            k[1].wrapping_add(0xBB67_AE85),
        ];
    }
    c
}

#[cfg(test)]
mod tests;
