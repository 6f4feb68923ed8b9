//! Rows that are looked up, and values that stand for all steps of a sequence.

use plan::{Embedding, OverTime, TimeKind};

use crate::backend::{EmbeddingBackward, Gather, View};
use crate::float::Float;
use crate::packing::Packing;
use crate::reference::device::Reference;

impl<T: Float> Gather for Reference<T> {
    fn embedding_forward(&mut self, embedding: &Embedding, tokens: &[u32], table: View, y: View) {
        let [table, y] = self.numbers([Some(table), Some(y)]);
        look_up(embedding.size, tokens, table, y);
    }

    fn embedding_backward(&mut self, embedding: &Embedding, tokens: &[u32], at: EmbeddingBackward) {
        let [dy, gradient] = self.numbers([Some(at.y_gradient), Some(at.table_gradient)]);
        if !at.adds {
            gradient.fill(T::ZERO);
        }
        scatter(embedding, tokens, dy, gradient);
    }

    fn over_time_forward(&mut self, over: &OverTime, packing: &Packing, x: View, y: View) {
        let [x, y] = self.numbers([Some(x), Some(y)]);
        over_time(over, packing, x, y);
    }

    fn over_time_backward(
        &mut self,
        over: &OverTime,
        packing: &Packing,
        x: Option<View>,
        y_gradient: View,
        x_gradient: View,
    ) {
        let [x, dy, dx] = self.numbers([x, Some(y_gradient), Some(x_gradient)]);
        over_time_backward(over, packing, x, dy, dx);
    }
}

/// `y: (rows, size)`: a row of the table for each token.
pub(crate) fn look_up<T: Float>(size: usize, tokens: &[u32], table: &[T], y: &mut [T]) {
    for (y, &token) in y.chunks_exact_mut(size).zip(tokens) {
        let first = token as usize * size;
        y.copy_from_slice(&table[first..first + size]);
    }
}

/// Adds the gradient of each row to that of its token, in the order of the rows.
pub(crate) fn scatter<T: Float>(
    embedding: &Embedding,
    tokens: &[u32],
    dy: &[T],
    gradient: &mut [T],
) {
    for (dy, &token) in dy.chunks_exact(embedding.size).zip(tokens) {
        let token = token as usize;
        if embedding.padding_index == Some(token) {
            continue;
        }
        let row = &mut gradient[token * embedding.size..(token + 1) * embedding.size];
        for (sum, &dy) in row.iter_mut().zip(dy) {
            *sum += dy;
        }
    }
}

/// `x: (rows, features)`, `y: (N, features)`. Of equals the first step is the largest, and NaN before all.
pub(crate) fn over_time<T: Float>(over: &OverTime, packing: &Packing, x: &[T], y: &mut [T]) {
    let features = over.features;
    let row = |step: usize, sample: usize| {
        let first = packing.row(step, sample) * features;
        &x[first..first + features]
    };
    let samples = y.chunks_exact_mut(features).take(packing.samples());
    for (sample, y) in samples.enumerate() {
        let length = packing.length(sample);
        y.copy_from_slice(row(0, sample));
        match over.kind {
            TimeKind::Last { forward } => {
                y[..forward].copy_from_slice(&row(length - 1, sample)[..forward]);
            }
            TimeKind::Mean => {
                for step in 1..length {
                    for (y, &x) in y.iter_mut().zip(row(step, sample)) {
                        *y += x;
                    }
                }
                let count = T::of(length as f64);
                for y in y {
                    *y = *y / count;
                }
            }
            TimeKind::Max => {
                for step in 1..length {
                    for (y, &x) in y.iter_mut().zip(row(step, sample)) {
                        if replaces(x, *y) {
                            *y = x;
                        }
                    }
                }
            }
        }
    }
}

/// The undo: every row is assigned.
pub(crate) fn over_time_backward<T: Float>(
    over: &OverTime,
    packing: &Packing,
    x: &[T],
    dy: &[T],
    dx: &mut [T],
) {
    let features = over.features;
    dx[..packing.rows() * features].fill(T::ZERO);
    let samples = dy.chunks_exact(features).take(packing.samples());
    for (sample, dy) in samples.enumerate() {
        let length = packing.length(sample);
        let first = |step: usize| packing.row(step, sample) * features;
        match over.kind {
            TimeKind::Last { forward } => {
                let (start, end) = (first(0), first(length - 1));
                dx[start + forward..start + features].copy_from_slice(&dy[forward..]);
                dx[end..end + forward].copy_from_slice(&dy[..forward]);
            }
            TimeKind::Mean => {
                let count = T::of(length as f64);
                for step in 0..length {
                    let row = &mut dx[first(step)..first(step) + features];
                    for (dx, &dy) in row.iter_mut().zip(dy) {
                        *dx = dy / count;
                    }
                }
            }
            TimeKind::Max => {
                for (feature, &dy) in dy.iter().enumerate() {
                    let at = |step: usize| first(step) + feature;
                    let mut best = 0;
                    for step in 1..length {
                        let (most, x) = (x[at(best)], x[at(step)]);
                        if replaces(x, most) {
                            best = step;
                        }
                    }
                    dx[at(best)] = dy;
                }
            }
        }
    }
}

/// Whether a value is larger than one before it: not if they are equal, and NaN before all.
fn replaces<T: Float>(value: T, before: T) -> bool {
    let is_nan = |value: T| value.partial_cmp(&value).is_none();
    !is_nan(before) && (is_nan(value) || value > before)
}
