//! A convolution by Winograd's tiles (plan, `Winograd`).

use std::ops::Range;

use plan::{Conv2d, WINOGRAD_OUTPUTS, Winograd};

use crate::cpu::layout::Pitches;
use crate::cpu::shared::Shared;
use crate::cpu::winograd::lanes::{FromLanes, Placement, ToLanes};
use crate::cpu::winograd::products::{Matrices, Multiply, MultiplyTransposed};
use crate::cpu::winograd::tiles::{AddGradients, Band, GiveOutputs, TakeGradients, TakeInputs};
use crate::cpu::winograd::weights::{GiveWeights, TakeWeights};
use crate::pool::Pool;

/// A pass with its weights transformed.
pub(super) struct Tiled<'a> {
    arch: pulp::Arch,
    conv: &'a Conv2d,
    cut: &'a Winograd,
    weights: &'a [f32],
}

/// What runs together: samples of a group, and which of their rows of tiles.
struct Chunk {
    samples: Range<usize>,
    down: Range<usize>,
    first: bool,
    last: bool,
}

impl<'a> Tiled<'a> {
    /// For the forward pass.
    pub fn forward(
        arch: pulp::Arch,
        pool: &Pool,
        conv: &'a Conv2d,
        cut: &'a Winograd,
        weight: &[f32],
        transformed: &'a mut [f32],
    ) -> Self {
        let shared = Shared::new(transformed);
        pool.for_each(conv.geometry.channels, |_, channel| {
            arch.dispatch(TakeWeights {
                weight,
                row: 9,
                column: 9 * conv.geometry.channels,
                range: channel..channel + 1,
                rows: conv.geometry.channels,
                columns: [conv.filters, cut.filters],
                transformed: shared,
            });
        });
        // SAFETY: all rows are done.
        let weights = unsafe { shared.part(0..cut.weight_words()) };
        Tiled {
            arch,
            conv,
            cut,
            weights,
        }
    }

    /// For the backward pass; nothing is transformed where no gradient of the input is wanted.
    pub fn backward(
        arch: pulp::Arch,
        pool: &Pool,
        conv: &'a Conv2d,
        cut: &'a Winograd,
        weight: &[f32],
        transformed: &'a mut [f32],
    ) -> Self {
        let words = transformed.len();
        let shared = Shared::new(transformed);
        if words > 0 {
            pool.for_each(conv.filters, |_, filter| {
                arch.dispatch(TakeWeights {
                    weight,
                    row: 9 * conv.geometry.channels,
                    column: 9,
                    range: filter..filter + 1,
                    rows: conv.filters,
                    columns: [conv.geometry.channels, cut.channels],
                    transformed: shared,
                });
            });
        }
        // SAFETY: all rows are done.
        let weights = unsafe { shared.part(0..words) };
        Tiled {
            arch,
            conv,
            cut,
            weights,
        }
    }

    /// Where the input lies under the tiles.
    fn inside(&self) -> Placement {
        Placement {
            extent: self.conv.geometry.input,
            origin: self.conv.geometry.padding,
            pitch: self.cut.plane()[1],
            lanes: self.cut.channels,
        }
    }

    /// Where the output lies among what the tiles give.
    fn outside(&self) -> Placement {
        Placement {
            extent: self.conv.geometry.output,
            origin: [0, 0],
            pitch: WINOGRAD_OUTPUTS * self.cut.tiles[1],
            lanes: self.cut.filters,
        }
    }

    fn chunks(&self, members: Range<usize>) -> impl Iterator<Item = Chunk> {
        let (group, band, down) = (self.cut.group, self.cut.band, self.cut.tiles[0]);
        members.clone().step_by(group).flat_map(move |first| {
            let samples = first..members.end.min(first + group);
            (0..down).step_by(band).map(move |at| Chunk {
                samples: samples.clone(),
                down: at..down.min(at + band),
                first: at == 0,
                last: at + band >= down,
            })
        })
    }

    /// The tiles of sample `number` of a chunk of `chunk`.
    fn band(&self, chunk: &Chunk, number: usize, placement: &Placement) -> Band {
        let across = self.cut.tiles[1];
        let tiles = chunk.down.len() * across;
        Band {
            across,
            down: [chunk.down.start, chunk.down.end],
            lanes: placement.lanes,
            pitch: placement.pitch,
            rows: chunk.samples.len() * tiles,
            first: number * tiles,
        }
    }

    fn rows(&self, chunk: &Chunk) -> usize {
        chunk.samples.len() * chunk.down.len() * self.cut.tiles[1]
    }

    /// What the convolution gives for `members`, at most a group, in `y: (samples, filters, H', W')`.
    pub fn run(
        &self,
        members: Range<usize>,
        x: &[f32],
        bias: &[f32],
        relu: bool,
        lane: &mut [f32],
        y: &mut [f32],
    ) {
        let (arch, conv, cut) = (self.arch, self.conv, self.cut);
        let (inside, outside) = (self.inside(), self.outside());
        let [from, to, inputs, outputs] = parts(
            lane,
            [
                cut.plane_words(cut.channels),
                cut.output_words(),
                cut.tile_words(cut.channels),
                cut.tile_words(cut.filters),
            ],
        );
        let start = members.start;
        for chunk in self.chunks(members) {
            let rows = self.rows(&chunk);
            for (number, sample) in chunk.samples.clone().enumerate() {
                if chunk.first {
                    arch.dispatch(ToLanes {
                        placement: inside,
                        x: &x[sample * conv.inputs()..(sample + 1) * conv.inputs()],
                        flat: from,
                    });
                }
                arch.dispatch(TakeInputs {
                    band: self.band(&chunk, number, &inside),
                    flat: from,
                    transformed: inputs,
                });
            }
            arch.dispatch(Multiply {
                rows,
                depth: conv.geometry.channels,
                columns: cut.filters,
                left: inputs,
                left_at: matrices(rows, cut.channels),
                right: self.weights,
                out: outputs,
                out_at: matrices(rows, cut.filters),
            });
            for (number, sample) in chunk.samples.clone().enumerate() {
                arch.dispatch(GiveOutputs {
                    band: self.band(&chunk, number, &outside),
                    transformed: outputs,
                    flat: to,
                });
                if chunk.last {
                    let first = (sample - start) * conv.outputs();
                    arch.dispatch(FromLanes {
                        placement: outside,
                        flat: to,
                        bias,
                        relu,
                        y: &mut y[first..first + conv.outputs()],
                    });
                }
            }
        }
    }

    /// The samples `members`: `dw` assigned, `db` added to, `dx` of these samples assigned unless it is empty. `undo` gives
    /// the gradient of what the convolution gave.
    #[allow(clippy::too_many_arguments)]
    pub fn undo(
        &self,
        members: Range<usize>,
        x: &[f32],
        undo: &impl Fn(usize, Pitches, &mut [f32], &mut [f32]),
        lane: &mut [f32],
        dw: &mut [f32],
        db: &mut [f32],
        dx: &mut [f32],
    ) {
        let (arch, conv, cut) = (self.arch, self.conv, self.cut);
        let (inside, outside) = (self.inside(), self.outside());
        let banded = cut.banded();
        let added = if banded {
            cut.plane_words(cut.channels)
        } else {
            0
        };
        let [under, added, above, inputs, gradients, sums, dense] = parts(
            lane,
            [
                cut.plane_words(cut.channels),
                added,
                cut.output_words(),
                cut.tile_words(cut.channels),
                cut.tile_words(cut.filters),
                cut.weight_words(),
                conv.outputs(),
            ],
        );
        let start = members.start;
        let mut add = false;
        for chunk in self.chunks(members) {
            let rows = self.rows(&chunk);
            for (number, sample) in chunk.samples.clone().enumerate() {
                if chunk.first {
                    undo(sample, Pitches::dense(conv.geometry.output), dense, db);
                    arch.dispatch(ToLanes {
                        placement: outside,
                        x: dense,
                        flat: above,
                    });
                    arch.dispatch(ToLanes {
                        placement: inside,
                        x: &x[sample * conv.inputs()..(sample + 1) * conv.inputs()],
                        flat: under,
                    });
                }
                arch.dispatch(TakeGradients {
                    band: self.band(&chunk, number, &outside),
                    flat: above,
                    transformed: gradients,
                });
                arch.dispatch(TakeInputs {
                    band: self.band(&chunk, number, &inside),
                    flat: under,
                    transformed: inputs,
                });
            }
            arch.dispatch(MultiplyTransposed {
                rows: conv.geometry.channels,
                depth: rows,
                columns: cut.filters,
                left: inputs,
                left_at: matrices(rows, cut.channels),
                right: gradients,
                right_at: matrices(rows, cut.filters),
                add,
                out: sums,
                out_at: matrices(cut.channels, cut.filters),
            });
            add = true;
            if dx.is_empty() {
                continue;
            }
            arch.dispatch(Multiply {
                rows,
                depth: conv.filters,
                columns: cut.channels,
                left: gradients,
                left_at: matrices(rows, cut.filters),
                right: self.weights,
                out: inputs,
                out_at: matrices(rows, cut.channels),
            });
            for (number, sample) in chunk.samples.clone().enumerate() {
                // What lay under whole samples is not needed any more.
                let added = if banded { &mut *added } else { &mut *under };
                if chunk.first {
                    added.fill(0.0);
                }
                arch.dispatch(AddGradients {
                    band: self.band(&chunk, number, &inside),
                    transformed: inputs,
                    flat: added,
                });
                if chunk.last {
                    let first = (sample - start) * conv.inputs();
                    arch.dispatch(FromLanes {
                        placement: inside,
                        flat: added,
                        bias: &[],
                        relu: false,
                        y: &mut dx[first..first + conv.inputs()],
                    });
                }
            }
        }
        arch.dispatch(GiveWeights {
            channels: conv.geometry.channels,
            filters: conv.filters,
            row: cut.filters,
            value: cut.channels * cut.filters,
            transformed: sums,
            weight: dw,
        });
    }
}

/// Matrices of `rows` rows one after the other.
fn matrices(rows: usize, row: usize) -> Matrices {
    Matrices {
        value: rows * row,
        row,
    }
}

/// The first words of `lane`, cut.
fn parts<const N: usize>(mut lane: &mut [f32], words: [usize; N]) -> [&mut [f32]; N] {
    words.map(|words| {
        let (part, rest) = std::mem::take(&mut lane).split_at_mut(words);
        lane = rest;
        part
    })
}
