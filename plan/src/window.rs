//! A convolution as a matrix product whose right side is never copied out: over a sample laid out with its padding, the
//! row of one window position is the same memory shifted. Strided ones are copied out row by row. Either way an output
//! row keeps the pitch of the rows it was read from, and the columns past its width are dropped.

use serde::Serialize;

use crate::op::Conv2d;
use crate::winograd::Winograd;

/// Words that a kernel may read or write past a row: rows are rounded up to it.
pub const TILE: usize = 32;

/// Samples of a backward block and of partial sums stay below these many words, so that a block lives in the second
/// cache and partial sums stay small beside the activations.
const BLOCK_WORDS: usize = 128 << 10;
const PARTIAL_WORDS: usize = 4 << 20;

/// Rows of a right side: `rows` of them, each `columns` long, in a source of `words`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Unfolded {
    /// Rows: values under one window, those of one group of channels.
    pub rows: usize,
    /// Columns: output height times `pitch`.
    pub columns: usize,
    /// Columns from one output row to the next, at least the output's width.
    pub pitch: usize,
    /// Columns rounded up to whole tiles: the pitch of an output's rows.
    pub leading: usize,
    /// Whether rows are shifted views of a padded sample; else each is copied out with pitch `leading`.
    pub shifted: bool,
    /// Height and width of a channel with its padding, where rows are views.
    pub plane: [usize; 2],
    /// Words of the source of one sample, slack for whole tiles included.
    pub words: usize,
}

impl Unfolded {
    /// Words from one group's rows to the next's, of a source in which a group has so many channels.
    pub fn group_words(&self, channels: usize) -> usize {
        if self.shifted {
            channels * self.plane[0] * self.plane[1]
        } else {
            self.rows * self.leading
        }
    }

    /// The right side of the forward product of `conv`, if it can be counted.
    pub fn forward(conv: &Conv2d) -> Option<Self> {
        let plane = [0, 1].map(|axis| conv.geometry.input[axis] + 2 * conv.geometry.padding[axis]);
        if conv.geometry.stride == [1, 1] {
            Unfolded::views(conv, conv.geometry.channels, plane)
        } else {
            let columns = product(&conv.geometry.output)?;
            let rows = product(&[
                conv.group_channels(),
                conv.geometry.kernel[0],
                conv.geometry.kernel[1],
            ])?;
            let leading = columns.checked_next_multiple_of(TILE)?;
            let words = product(&[conv.groups, rows, leading])?;
            Some(Unfolded {
                rows,
                columns,
                pitch: conv.geometry.output[1],
                leading,
                shifted: false,
                plane,
                words,
            })
        }
    }

    /// The right side of the product that gives the gradient of the input: the output's gradient, spread by the stride
    /// and padded so that every window position is in reach.
    pub fn backward(conv: &Conv2d) -> Option<Self> {
        let plane = [0, 1].map(|axis| conv.geometry.input[axis] + conv.reach()[axis] - 1);
        Unfolded::views(conv, conv.filters, plane)
    }

    /// Views of `channels` planes, those of all groups.
    fn views(conv: &Conv2d, channels: usize, plane: [usize; 2]) -> Option<Self> {
        let (kernel, reach) = (conv.geometry.kernel, conv.reach());
        let columns = product(&[plane[0] - reach[0] + 1, plane[1]])?;
        let rows = product(&[channels / conv.groups, kernel[0], kernel[1]])?;
        let leading = columns.checked_next_multiple_of(TILE)?;
        let words = product(&[channels, plane[0], plane[1]])?.checked_add(reach[1] + 2 * TILE)?;
        let words = words.checked_next_multiple_of(TILE)?;
        Some(Unfolded {
            rows,
            columns,
            pitch: plane[1],
            leading,
            shifted: true,
            plane,
            words,
        })
    }
}

/// How a convolution is cut into work, and the words of workspace that it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WindowWork {
    /// The right side of the forward product.
    pub forward: Unfolded,
    /// The right side of the product for the gradient of the input, where that is needed.
    pub backward: Option<Unfolded>,
    /// The cut into tiles, where that pays; then neither right side is made.
    pub winograd: Option<Winograd>,
    /// Samples whose weight gradients are summed before the blocks are: a function of the shapes alone.
    pub block: usize,
    /// Blocks of a full microbatch.
    pub blocks: usize,
    /// Words that the forward pass takes per thread: one source, one output.
    pub forward_lane: usize,
    /// Words that the backward pass takes per thread: a block of sources and output gradients, one spread gradient, one
    /// gradient of the input.
    pub backward_lane: usize,
    /// Words of the packed weights of a forward pass.
    pub forward_packed: usize,
    /// Words of the packed weights of a backward pass.
    pub backward_packed: usize,
    /// Words of one block's weight and bias gradient.
    pub partial: usize,
    /// Words of each sample's sums over the channels of the norm behind the convolution, two a channel.
    pub sums: usize,
    /// Words of workspace of the whole forward pass.
    pub forward_words: usize,
    /// Words of workspace of the whole backward pass.
    pub backward_words: usize,
}

impl WindowWork {
    /// The work of `conv`, with a norm behind it or not, over microbatches of `samples` on `threads`, if it can be counted.
    pub fn new(
        conv: &Conv2d,
        norm: bool,
        input_gradient: bool,
        samples: usize,
        threads: usize,
    ) -> Option<Self> {
        let forward = Unfolded::forward(conv)?;
        let backward = if input_gradient {
            Some(Unfolded::backward(conv)?)
        } else {
            None
        };
        let output = product(&[conv.filters, forward.leading])?;
        let sample = forward.words.checked_add(output)?;
        let weights = product(&[conv.filters, forward.rows])?;
        let partial = weights
            .checked_add(conv.filters)?
            .checked_next_multiple_of(TILE)?;
        let most_blocks = (PARTIAL_WORDS / partial).max(1);
        let block = samples
            .div_ceil(8)
            .min(8)
            .min((BLOCK_WORDS / sample).max(1))
            .max(samples.div_ceil(most_blocks));
        let winograd = Winograd::new(conv, samples.div_ceil(8).min(8));
        let block = match winograd {
            Some(_) => samples
                .div_ceil(8)
                .min(8)
                .max(samples.div_ceil(most_blocks)),
            None => block,
        };
        let blocks = samples.div_ceil(block);
        let spread = match &backward {
            Some(spread) => spread
                .words
                .checked_add(product(&[conv.geometry.channels, spread.leading])?)?,
            None => 0,
        };
        let (forward_lane, backward_lane, forward_packed) = match winograd {
            Some(winograd) => (
                winograd.forward_lane(conv)?,
                winograd.backward_lane(conv)?,
                winograd.weight_words(),
            ),
            None => (
                sample,
                product(&[block, sample])?.checked_add(spread)?,
                weights.checked_next_multiple_of(TILE)?,
            ),
        };
        let backward_packed = if input_gradient { forward_packed } else { 0 };
        let sums = if norm { 2 * conv.filters } else { 0 };
        let norms = product(&[samples, sums])?.checked_next_multiple_of(TILE)?;
        let total = |shared: usize, lane: usize| {
            product(&[threads, lane])?
                .checked_add(shared)?
                .checked_add(norms)
        };
        Some(WindowWork {
            forward_words: total(forward_packed, forward_lane)?,
            backward_words: total(
                product(&[blocks, partial])?.checked_add(backward_packed)?,
                backward_lane,
            )?,
            sums,
            forward,
            backward,
            winograd,
            block,
            blocks,
            forward_lane,
            backward_lane,
            forward_packed,
            backward_packed,
            partial,
        })
    }
}

impl WindowWork {
    /// Words of the sums of so many samples over the channels of the norm, rounded up.
    pub fn sum_words(&self, samples: usize) -> usize {
        (samples * self.sums).next_multiple_of(TILE)
    }
}

fn product(extents: &[usize]) -> Option<usize> {
    extents.iter().try_fold(1usize, |product, &extent| {
        product
            .checked_mul(extent)
            .filter(|&product| product <= 1 << 44)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Geometry;

    fn conv(stride: usize) -> Conv2d {
        let output = [(32 - 1) / stride + 1; 2];
        let (kernel, stride, padding) = ([3, 3], [stride; 2], [1, 1]);
        let geometry = Geometry {
            channels: 3,
            input: [32, 32],
            output,
            kernel,
            stride,
            padding,
        };
        Conv2d {
            geometry,
            filters: 12,
            dilation: [1, 1],
            groups: 1,
            bias: true,
        }
    }

    /// Six channels in groups, and places that are `dilation` apart.
    fn wide(stride: usize, groups: usize, dilation: [usize; 2]) -> Conv2d {
        let mut conv = Conv2d {
            dilation,
            groups,
            ..conv(stride)
        };
        conv.geometry.channels = 6;
        conv.geometry.output = conv.reach().map(|reach| (34 - reach) / stride + 1);
        conv
    }

    #[test]
    fn every_row_of_every_tile_lies_inside_the_source() {
        let shapes = [1, 2, 3].into_iter().flat_map(|stride| {
            [1, 2, 6].map(|groups| [[1, 1], [2, 3], [15, 16]].map(|by| wide(stride, groups, by)))
        });
        for conv in shapes.flatten().chain([1, 2, 3].map(conv)) {
            for (side, channels) in [
                (Unfolded::forward(&conv).unwrap(), conv.group_channels()),
                (Unfolded::backward(&conv).unwrap(), conv.group_filters()),
            ] {
                let plane = side.plane[0] * side.plane[1];
                let last = if side.shifted {
                    let [down, across] = conv.dilation.map(|step| 2 * step);
                    (channels - 1) * plane + down * side.plane[1] + across
                } else {
                    (side.rows - 1) * side.leading
                };
                let group = (conv.groups - 1) * side.group_words(channels);
                assert!(group + last + side.leading <= side.words, "{side:?}");
            }
        }
    }

    #[test]
    fn the_cut_into_blocks_does_not_depend_on_threads() {
        for samples in [1, 3, 8, 9, 64, 200] {
            let one = WindowWork::new(&conv(1), false, true, samples, 1).unwrap();
            let four = WindowWork::new(&conv(1), false, true, samples, 4).unwrap();
            assert_eq!((one.block, one.blocks), (four.block, four.blocks));
            assert!(one.block * one.blocks >= samples && one.block * (one.blocks - 1) < samples);
        }
    }
}
