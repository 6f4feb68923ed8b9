//! Recurrent layers over packed sequences. What the input gives to the gates is one product over all rows; then the steps
//! follow each other, with the hidden weights packed once for all of them. Samples do not know of each other, so that
//! each thread takes some of them through all steps; a value's bits do not depend on which.

mod places;

use plan::{GEMM_WORDS, Recurrent, RecurrentStage};
use pulp::Arch;
use spec::recurrent::Cell;

use crate::backend::{RecurrentBackward, RecurrentForward, Sequences, View};
use crate::cpu::device::Cpu;
use crate::cpu::product::gemm::{Gemm, Right};
use crate::cpu::product::matrix::{Matrix, Out};
use crate::cpu::product::packing::Packed;
use crate::cpu::recurrent::places::{
    column, group_of, hidden_column, input_parts, parts, pitched, some, states_before, times,
};
use crate::cpu::shared::Shared;
use crate::cpu::wide::{ColumnSums, SUM_COLUMNS};
use crate::cpu::wide_cell::{CellBackward, CellForward, Step, SumByToken};
use crate::packing::{Direction, Packing};
use crate::pool::Pool;

impl Sequences for Cpu {
    fn recurrent_forward(
        &mut self,
        stage: &RecurrentStage,
        direction: Direction,
        packing: &Packing,
        at: RecurrentForward<'_>,
    ) {
        let (layer, work) = (&stage.layer, &stage.work);
        let (arch, pool) = (self.arch, &*self.pool);
        let [bi, bh] = at.weights.biases.unwrap_or([View::EMPTY; 2]);
        let views = [
            at.input.x,
            at.weights.input,
            at.weights.hidden,
            bi,
            bh,
            at.kept.gates,
            at.kept.cells.unwrap_or(View::EMPTY),
            at.y,
            at.work,
        ];
        let [x, wi, wh, bi, bh, gates, cells, y, scratch]: [&mut [f32]; 9] =
            self.arena.numbers(views);
        let (hidden, kept, pitch) = (layer.hidden, layer.kept(), layer.outputs());
        let (rows, samples) = (packing.rows(), packing.samples());
        if rows == 0 {
            return;
        }
        let sizes = [work.packed, work.bias, work.sums, work.table, work.blocks];
        let [packed, bias, sums, table, blocks] = parts(scratch, sizes);
        let wh = Matrix::new(wh, layer.gates(), hidden).transposed();
        let wh = Packed::new(arch, pool, &wh, packed);
        // A GRU's reset gate comes between the hidden state's bias and the sum; elsewhere both biases are one.
        let bias = &mut bias[..bi.len()];
        bias.copy_from_slice(bi);
        if layer.cell != Cell::Gru {
            for (bias, bh) in bias.iter_mut().zip(&*bh) {
                *bias += bh;
            }
        }
        // What the input gives to the gates: for each row, or for each token of the table, to be looked up.
        let (given, count, width) = match at.input.tokens {
            None => (&mut *gates, rows, kept),
            Some(_) => (&mut *table, x.len() / layer.inputs, layer.gates()),
        };
        for part in input_parts(layer) {
            let gemm = Gemm {
                left: Matrix::new(x, count, layer.inputs),
                right: Right::Plain(part.weights(layer, wi).transposed()),
                add: false,
                bias: (!bias.is_empty()).then(|| &bias[part.rows.clone()]),
                relu: false,
            };
            let to = Out::pitched(&mut given[part.column..], count, part.rows.len(), width);
            gemm.run(arch, pool, blocks, to);
        }
        let first = column(layer, direction);
        let (bh, table) = (&*bh, &*table);
        let shared = [gates, cells, y, sums, blocks].map(Shared::new);
        pool.for_each(pool.threads().min(samples), |thread, group| {
            let members = group_of(packing, pool.threads().min(samples), group);
            // SAFETY: each group has its own samples and so its own rows, and each thread its own block; `before` are rows of
            // another step than `here`.
            unsafe {
                let block = shared[4].part(thread * GEMM_WORDS..(thread + 1) * GEMM_WORDS);
                for step in packing.order(direction) {
                    let here = packing.part(step, &members);
                    let before = packing.before(direction, step, &members);
                    if here.is_empty() {
                        continue;
                    }
                    let gates = shared[0].part(times(&here, kept));
                    if let Some(tokens) = at.input.tokens {
                        let rows = gates.chunks_exact_mut(kept);
                        for (row, &token) in rows.zip(&tokens[here.clone()]) {
                            let from = token as usize * width;
                            row[..width].copy_from_slice(&table[from..from + width]);
                        }
                    }
                    let states = shared[2].part(pitched(&before, pitch, first, hidden));
                    let mut sums: &mut [f32] = &mut [];
                    let left = Matrix::pitched(states, before.len(), hidden, pitch);
                    let right = Right::Packed(wh);
                    let (add, relu) = (layer.cell != Cell::Gru, false);
                    if layer.cell == Cell::Gru {
                        let width = layer.gates();
                        let rows = members.start * width..(members.start + here.len()) * width;
                        sums = shared[3].part(rows);
                        let bias = (!bh.is_empty()).then_some(bh);
                        let (alone, with) = (before.len() * width, ..before.len() * width);
                        let gemm = Gemm {
                            left,
                            right,
                            add,
                            bias,
                            relu,
                        };
                        gemm.run_here(arch, block, Out::new(&mut sums[with], before.len(), width));
                        for row in sums[alone..].chunks_exact_mut(width) {
                            row.fill(0.0);
                            row[..bh.len()].copy_from_slice(bh);
                        }
                    } else {
                        let bias = None;
                        let gemm = Gemm {
                            left,
                            right,
                            add,
                            bias,
                            relu,
                        };
                        let to = Out::pitched(gates, before.len(), layer.gates(), kept);
                        gemm.run_here(arch, block, to);
                    }
                    arch.dispatch(CellForward {
                        step: Step {
                            layer,
                            states,
                            pitch,
                            gates,
                        },
                        sums,
                        cells_before: shared[1].part(times(&before, hidden)),
                        cells: shared[1].part(times(&here, hidden)),
                        h: shared[2].part(pitched(&here, pitch, first, hidden)),
                    });
                }
            }
        });
    }

    fn recurrent_backward(
        &mut self,
        stage: &RecurrentStage,
        direction: Direction,
        packing: &Packing,
        at: RecurrentBackward<'_>,
    ) {
        let (layer, work) = (&stage.layer, &stage.work);
        let (arch, pool) = (self.arch, &*self.pool);
        let [dbi, dbh] = at.gradients.biases.unwrap_or([View::EMPTY; 2]);
        let views = [
            at.input.x,
            at.weights.input,
            at.weights.hidden,
            at.kept.gates,
            at.kept.cells.unwrap_or(View::EMPTY),
            at.y,
            at.y_gradient,
            at.gradients.input,
            at.gradients.hidden,
            dbi,
            dbh,
            at.input_gradient.map_or(View::EMPTY, |gradient| gradient.x),
            at.work,
        ];
        let [
            x,
            wi,
            wh,
            gates,
            cells,
            y,
            dy,
            dwi,
            dwh,
            dbi,
            dbh,
            dx,
            scratch,
        ]: [&mut [f32]; 13] = self.arena.numbers(views);
        let (hidden, kept, pitch) = (layer.hidden, layer.kept(), layer.outputs());
        let (rows, samples) = (packing.rows(), packing.samples());
        let dx_adds = direction == Direction::Reverse
            || at.input_gradient.is_some_and(|gradient| gradient.adds);
        if rows == 0 {
            for gradient in [dwi, dwh, dbi, dbh] {
                gradient.fill(0.0);
            }
            if !dx_adds {
                dx.fill(0.0);
            }
            return;
        }
        let sizes = [
            work.packed,
            work.carried,
            work.carried,
            work.before,
            work.table,
            work.blocks,
        ];
        let [packed, dh, dc, before, table, blocks] = parts(scratch, sizes);
        let first = column(layer, direction);
        {
            let wh = Matrix::new(wh, layer.gates(), hidden);
            let wh = Packed::new(arch, pool, &wh, packed);
            dh.fill(0.0);
            dc.fill(0.0);
            let (cells, y, dy) = (&*cells, &*y, &*dy);
            let shared = [&mut *gates, dh, dc, &mut *blocks].map(Shared::new);
            pool.for_each(pool.threads().min(samples), |thread, group| {
                let members = group_of(packing, pool.threads().min(samples), group);
                // SAFETY: each group has its own samples and so its own rows, and each thread its own block.
                unsafe {
                    let block = shared[3].part(thread * GEMM_WORDS..(thread + 1) * GEMM_WORDS);
                    for step in packing.order(direction).rev() {
                        let here = packing.part(step, &members);
                        let before = packing.before(direction, step, &members);
                        if here.is_empty() {
                            continue;
                        }
                        let carried = members.start..members.start + here.len();
                        let gates = shared[0].part(times(&here, kept));
                        let dh = shared[1].part(times(&carried, hidden));
                        arch.dispatch(CellBackward {
                            step: Step {
                                layer,
                                states: &y[pitched(&before, pitch, first, hidden)],
                                pitch,
                                gates,
                            },
                            h: &y[pitched(&here, pitch, first, hidden)],
                            dy: &dy[pitched(&here, pitch, first, hidden)],
                            cells_before: some(cells, times(&before, hidden)),
                            cells: some(cells, times(&here, hidden)),
                            dh,
                            dc: shared[2].part(times(&carried, hidden)),
                        });
                        let gemm = Gemm {
                            left: Matrix::pitched(
                                &gates[hidden_column(layer)..],
                                before.len(),
                                layer.gates(),
                                kept,
                            ),
                            right: Right::Packed(wh),
                            add: layer.cell == Cell::Gru,
                            bias: None,
                            relu: false,
                        };
                        gemm.run_here(arch, block, Out::new(dh, before.len(), hidden));
                    }
                }
            });
        }
        // The hidden weights: the rows that follow on a state, and those states.
        let (followers, states) =
            states_before(direction, packing, &*y, first, pitch, hidden, before);
        let left = &gates[(followers.start * kept + hidden_column(layer)).min(gates.len())..];
        let left = Matrix::pitched(left, followers.len(), layer.gates(), kept).transposed();
        Gemm::plain(left, states).run(arch, pool, blocks, Out::new(dwh, layer.gates(), hidden));
        if !dbh.is_empty() {
            column_sums(arch, pool, gates, [rows, kept], hidden_column(layer), dbh);
        }
        // The input: by its rows, or by those of the table, the gradients of each token's rows summed.
        let (given, count, width) = match at.input.tokens {
            None => (gates, rows, kept),
            Some(tokens) => {
                sum_by_token(arch, pool, layer, gates, tokens, table);
                (table, x.len() / layer.inputs, layer.gates())
            }
        };
        for part in input_parts(layer) {
            let left = Matrix::pitched(&given[part.column..], count, part.rows.len(), width);
            let to = &mut dwi[part.rows.start * layer.inputs..part.rows.end * layer.inputs];
            let to = Out::new(to, part.rows.len(), layer.inputs);
            Gemm::plain(left.transposed(), Matrix::new(x, count, layer.inputs))
                .run(arch, pool, blocks, to);
            if !dbi.is_empty() {
                let to = &mut dbi[part.rows];
                column_sums(arch, pool, given, [count, width], part.column, to);
            }
        }
        let Some(to) = at.input_gradient else {
            return;
        };
        if let Some(index) = to.padding_index {
            given[index * width..(index + 1) * width].fill(0.0);
        }
        for (number, part) in input_parts(layer).enumerate() {
            let left = Matrix::pitched(&given[part.column..], count, part.rows.len(), width);
            let gemm = Gemm {
                add: dx_adds || number > 0,
                ..Gemm::plain(left, part.weights(layer, wi))
            };
            gemm.run(arch, pool, blocks, Out::new(dx, count, layer.inputs));
        }
    }
}

/// The gradients of the gates that the input gives to, summed over the rows of each token in the order of the rows.
fn sum_by_token(
    arch: Arch,
    pool: &Pool,
    layer: &Recurrent,
    gates: &[f32],
    tokens: &[u32],
    table: &mut [f32],
) {
    let (width, kept) = (layer.gates(), layer.kept());
    let table = Shared::new(table);
    pool.for_each(width.div_ceil(SUM_COLUMNS), |_, block| {
        let columns = block * SUM_COLUMNS..width.min((block + 1) * SUM_COLUMNS);
        arch.dispatch(SumByToken {
            gates,
            kept,
            tokens,
            table,
            width,
            columns,
        });
    });
}

/// The sums of the columns from `first` on of a matrix of `[rows, pitch]` over its rows.
fn column_sums(
    arch: Arch,
    pool: &Pool,
    values: &mut [f32],
    [rows, pitch]: [usize; 2],
    first: usize,
    sums: &mut [f32],
) {
    let count = sums.len();
    let [gradient, sums] = [values, sums].map(Shared::new);
    pool.for_each(count.div_ceil(SUM_COLUMNS), |_, block| {
        let columns = block * SUM_COLUMNS..count.min((block + 1) * SUM_COLUMNS);
        // SAFETY: each block has its own columns.
        let sums = unsafe { sums.part(columns.clone()) };
        arch.dispatch(ColumnSums {
            y: &[],
            gradient,
            rows,
            pitch,
            columns: first + columns.start..first + columns.end,
            sums,
        });
    });
}
