//! A convolution as products with rows of the padded sample (plan, `Unfolded`): any window, any stride, any dilation. Groups
//! have a product each; where a group is one channel, that is a loop over its plane.

use std::ops::Range;

use plan::{Conv2d, Unfolded, Window, WindowWork};

use crate::cpu::layout::{Pitches, compact, spread, steps};
use crate::cpu::product::dots::Dots;
use crate::cpu::product::pack;
use crate::cpu::product::rows::{Columns, PanelHeight, Rows, Start};
use crate::cpu::wide::Unfold;

/// A forward pass with its weights packed.
pub(super) struct Forward<'a> {
    arch: pulp::Arch,
    conv: &'a Conv2d,
    side: &'a Unfolded,
    packed: &'a [f32],
}

impl<'a> Forward<'a> {
    pub fn new(
        arch: pulp::Arch,
        conv: &'a Conv2d,
        side: &'a Unfolded,
        weight: &[f32],
        packed: &'a mut [f32],
    ) -> Self {
        let (rows, part) = (conv.group_filters(), weight.len() / conv.groups);
        let height = arch.dispatch(PanelHeight { rows });
        for (packed, weight) in packed.chunks_exact_mut(part).zip(weight.chunks_exact(part)) {
            pack(height, rows, side.rows, packed, |row, column| {
                weight[row * side.rows + column]
            });
        }
        Forward {
            arch,
            conv,
            side,
            packed,
        }
    }

    /// One sample: what the convolution gives, pitched, in the lane.
    pub fn run<'l>(
        &self,
        x: &[f32],
        bias: &[f32],
        relu: bool,
        lane: &'l mut [f32],
    ) -> &'l mut [f32] {
        let (conv, side) = (self.conv, self.side);
        let (source, flat) = lane.split_at_mut(side.words);
        self.arch.dispatch(Unfold {
            conv,
            side,
            x,
            source,
        });
        let (rows, channels) = (conv.group_filters(), conv.group_channels());
        let groups = flat.chunks_exact_mut(rows * side.leading);
        for (group, flat) in groups.take(conv.groups).enumerate() {
            self.arch.dispatch(Rows {
                rows,
                left: &self.packed[group * rows * side.rows..],
                skipped: [0, 0],
                right: &source[group * side.group_words(channels)..],
                steps: steps(conv, side, channels),
                start: match bias {
                    [] => Start::Zero,
                    _ => Start::Bias(&bias[group * rows..]),
                },
                relu,
                columns: side.leading,
                out: Columns::all(flat, side.leading),
            });
        }
        flat
    }
}

/// A backward pass with its weights packed.
pub(super) struct Backward<'a> {
    arch: pulp::Arch,
    conv: &'a Conv2d,
    work: &'a WindowWork,
    packed: &'a [f32],
}

impl<'a> Backward<'a> {
    pub fn new(
        arch: pulp::Arch,
        window: &'a Window,
        weight: &[f32],
        packed: &'a mut [f32],
    ) -> Self {
        let (conv, work) = (&window.conv, &window.work);
        if work.backward.is_some() {
            let (channels, taps) = (conv.group_channels(), conv.geometry.taps());
            let (columns, part) = (conv.group_filters() * taps, weight.len() / conv.groups);
            let height = arch.dispatch(PanelHeight { rows: channels });
            for (packed, weight) in packed.chunks_exact_mut(part).zip(weight.chunks_exact(part)) {
                // The window turned round: the last position meets the first output.
                pack(height, channels, columns, packed, |channel, column| {
                    let (filter, tap) = (column / taps, taps - 1 - column % taps);
                    weight[(filter * channels + channel) * taps + tap]
                });
            }
        }
        Backward {
            arch,
            conv,
            work,
            packed,
        }
    }

    /// The samples `members`: `dw` assigned, `db` added to, `dx` of these samples assigned unless it is empty. `undo` gives
    /// the gradient of what the convolution gave.
    #[allow(clippy::too_many_arguments)]
    pub fn run(
        &self,
        members: Range<usize>,
        x: &[f32],
        undo: &impl Fn(usize, Pitches, &mut [f32], &mut [f32]),
        lane: &mut [f32],
        dw: &mut [f32],
        db: &mut [f32],
        dx: &mut [f32],
    ) {
        let (arch, conv, work, side) = (self.arch, self.conv, self.work, &self.work.forward);
        let (words, flat_words) = (side.words, conv.filters * side.leading);
        let (sources, rest) = lane.split_at_mut(work.block * words);
        let (flats, rest) = rest.split_at_mut(work.block * flat_words);
        let inputs = conv.inputs();
        for (at, sample) in members.clone().enumerate() {
            arch.dispatch(Unfold {
                conv,
                side,
                x: &x[sample * inputs..(sample + 1) * inputs],
                source: &mut sources[at * words..(at + 1) * words],
            });
            let flat = &mut flats[at * flat_words..(at + 1) * flat_words];
            undo(sample, Pitches::of(side), flat, db);
        }
        let (filters, channels) = (conv.group_filters(), conv.group_channels());
        for (group, dw) in dw.chunks_exact_mut(filters * side.rows).enumerate() {
            arch.dispatch(Dots {
                rows: filters,
                left: &flats[group * filters * side.leading..],
                left_pitch: side.leading,
                right: &sources[group * side.group_words(channels)..],
                steps: steps(conv, side, channels),
                columns: side.leading,
                samples: [members.len(), flat_words, words],
                add: false,
                out: dw,
            });
        }
        let Some(back) = work.backward.as_ref().filter(|_| !dx.is_empty()) else {
            return;
        };
        let (placed, dx_flat) = rest.split_at_mut(back.words);
        for (at, dx) in dx.chunks_exact_mut(inputs).enumerate() {
            let flat = &flats[at * flat_words..(at + 1) * flat_words];
            spread(conv, side, back, flat, placed);
            let groups = dx_flat.chunks_exact_mut(channels * back.leading);
            for (group, dx_flat) in groups.take(conv.groups).enumerate() {
                arch.dispatch(Rows {
                    rows: channels,
                    left: &self.packed[group * channels * back.rows..],
                    skipped: [0, 0],
                    right: &placed[group * back.group_words(filters)..],
                    steps: steps(conv, back, filters),
                    start: Start::Zero,
                    relu: false,
                    columns: back.leading,
                    out: Columns::all(dx_flat, back.leading),
                });
            }
            compact(dx_flat, Pitches::of(back), conv.geometry.input, dx);
        }
    }
}
