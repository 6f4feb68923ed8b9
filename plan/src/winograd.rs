//! A convolution of 3x3 windows by Winograd's F(4x4, 3x3): each tile of 4x4 outputs and the 6x6 inputs under it become 36
//! values of which each is multiplied once, so that 36 products do the work of 144.
//!
//! Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015 (arXiv 1509.09308).

use serde::Serialize;

use crate::op::Conv2d;

/// Outputs of a tile along one axis.
pub const WINOGRAD_OUTPUTS: usize = 4;

/// Inputs under a tile along one axis.
pub const WINOGRAD_INPUTS: usize = 6;

/// Values of a transformed tile.
pub const WINOGRAD_POINTS: usize = WINOGRAD_INPUTS * WINOGRAD_INPUTS;

/// Channels and filters are rounded up to it: the widest vector.
const LANES: usize = 16;

/// Words of transformed inputs and outputs that are worked on at a time: about half of a second cache.
const CHUNK_WORDS: usize = 128 << 10;

/// The most words of transformed weights, of which each thread sums as many.
const WEIGHT_WORDS: usize = 5 << 19;

/// How a convolution is cut into tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Winograd {
    /// Tiles of a sample, down and across.
    pub tiles: [usize; 2],
    /// Input channels, rounded up to a vector.
    pub channels: usize,
    /// Filters, rounded up to a vector.
    pub filters: usize,
    /// Samples that are worked on at a time.
    pub group: usize,
    /// Rows of tiles that are worked on at a time: all of them, or fewer of one sample.
    pub band: usize,
}

impl Winograd {
    /// The cut of `conv`, in blocks of up to `block` samples, where it pays.
    pub(crate) fn new(conv: &Conv2d, block: usize) -> Option<Self> {
        let plain = (conv.dilation, conv.groups) == ([1, 1], 1);
        if conv.geometry.kernel != [3, 3] || conv.geometry.stride != [1, 1] || !plain {
            return None;
        }
        let tiles = conv
            .geometry
            .output
            .map(|extent| extent.div_ceil(WINOGRAD_OUTPUTS));
        let [channels, filters] =
            [conv.geometry.channels, conv.filters].map(|extent| extent.next_multiple_of(LANES));
        let count = (tiles[0] * tiles[1]) as f64;
        // Vector operations, those of the transforms weighed by what they take; the others run at about 5 in 6 of the peak.
        let products = count * WINOGRAD_POINTS as f64 * (channels * filters) as f64;
        let transforms = count * (WINOGRAD_POINTS * 6) as f64 * (channels + filters) as f64;
        let direct = 1.2 * (conv.window() as f64) * conv.outputs() as f64;
        let weights = channels
            .checked_mul(filters)?
            .checked_mul(WINOGRAD_POINTS)?;
        if products + transforms >= direct || weights > WEIGHT_WORDS {
            return None;
        }
        let row = WINOGRAD_POINTS * tiles[1] * (channels + filters);
        let group = (CHUNK_WORDS / (row * tiles[0])).clamp(1, block.max(1));
        let bands = (row * tiles[0] * group).div_ceil(CHUNK_WORDS).min(tiles[0]);
        Some(Winograd {
            tiles,
            channels,
            filters,
            group,
            band: if group > 1 {
                tiles[0]
            } else {
                tiles[0].div_ceil(bands)
            },
        })
    }

    /// Tiles that are worked on at a time, at most.
    pub fn rows(&self) -> usize {
        self.group * self.band * self.tiles[1]
    }

    /// Height and width of what lies under all tiles of a sample.
    pub fn plane(&self) -> [usize; 2] {
        self.tiles
            .map(|tiles| tiles * WINOGRAD_OUTPUTS + WINOGRAD_INPUTS - WINOGRAD_OUTPUTS)
    }

    /// Words of what lies under all tiles of a sample with `lanes` values a place.
    pub fn plane_words(&self, lanes: usize) -> usize {
        self.plane()[0] * self.plane()[1] * lanes
    }

    /// Words of the transformed weights.
    pub fn weight_words(&self) -> usize {
        WINOGRAD_POINTS * self.channels * self.filters
    }

    /// Words of transformed tiles with `lanes` values a place.
    pub fn tile_words(&self, lanes: usize) -> usize {
        WINOGRAD_POINTS * self.rows() * lanes
    }

    /// Words of what all tiles of a sample give.
    pub fn output_words(&self) -> usize {
        let [height, width] = self.tiles.map(|tiles| tiles * WINOGRAD_OUTPUTS);
        height * width * self.filters
    }

    /// Words that a forward pass takes per thread: what lies under the tiles of a sample, what they give, transformed inputs
    /// and outputs, and the outputs of a group.
    pub(crate) fn forward_lane(&self, conv: &Conv2d) -> Option<usize> {
        let sample = self.plane_words(self.channels) + self.output_words();
        let transformed = self.tile_words(self.channels + self.filters);
        let outputs = self.group.checked_mul(conv.outputs())?;
        let words = sample.checked_add(transformed)?.checked_add(outputs)?;
        words.checked_next_multiple_of(LANES)
    }

    /// Words that a backward pass takes per thread: what lies under the tiles of a sample, where they are cut the gradient of
    /// it apart, the gradient of what they give, transformed inputs and gradients, sums of transformed weight gradients,
    /// and a gradient as it is stored.
    pub(crate) fn backward_lane(&self, conv: &Conv2d) -> Option<usize> {
        let under = self.plane_words(self.channels) * if self.banded() { 2 } else { 1 };
        let transformed = self.tile_words(self.channels + self.filters);
        let words = (under + self.output_words() + self.weight_words())
            .checked_add(transformed)?
            .checked_add(conv.outputs())?;
        words.checked_next_multiple_of(LANES)
    }

    /// Whether a sample is cut into several bands.
    pub fn banded(&self) -> bool {
        self.band < self.tiles[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Geometry;

    fn conv(channels: usize, filters: usize, extent: usize) -> Conv2d {
        let geometry = Geometry {
            channels,
            input: [extent; 2],
            output: [extent; 2],
            kernel: [3, 3],
            stride: [1, 1],
            padding: [1, 1],
        };
        Conv2d {
            geometry,
            filters,
            dilation: [1, 1],
            groups: 1,
            bias: true,
        }
    }

    #[test]
    fn it_pays_for_many_channels_and_not_for_few() {
        assert!(Winograd::new(&conv(32, 32, 28), 8).is_some());
        assert!(Winograd::new(&conv(64, 64, 4), 8).is_some());
        assert!(Winograd::new(&conv(3, 12, 32), 8).is_none());
        assert!(Winograd::new(&conv(1, 32, 28), 8).is_none());
        let mut strided = conv(32, 32, 28);
        (strided.geometry.stride, strided.geometry.output) = ([2, 2], [14; 2]);
        assert!(Winograd::new(&strided, 8).is_none());
        let (mut dilated, mut grouped) = (conv(32, 32, 28), conv(32, 32, 28));
        (dilated.dilation, grouped.groups) = ([2, 2], 2);
        assert!(Winograd::new(&dilated, 8).is_none() && Winograd::new(&grouped, 8).is_none());
    }

    #[test]
    fn small_samples_are_grouped_and_large_ones_cut() {
        let small = Winograd::new(&conv(64, 64, 4), 8).unwrap();
        assert_eq!((small.group, small.band), (8, 1));
        let large = Winograd::new(&conv(64, 64, 64), 8).unwrap();
        assert!(large.group == 1 && large.band < large.tiles[0]);
        assert!(large.tile_words(128) <= 2 * CHUNK_WORDS);
    }
}
