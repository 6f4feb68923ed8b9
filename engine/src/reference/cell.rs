//! What recurrent cells do at a step, for one row: a sample's hidden units side by side. Gates lie one kind after the other,
//! each `hidden` long: LSTM input, forget, cell, output, as in PyTorch; GRU new, reset, update, and the hidden part of
//! new, so that what meets the hidden weights (reset, update, hidden part) is one stretch. The backward pass writes the
//! gradients of what the gates were before their functions where the gates stood.

use spec::recurrent::Nonlinearity;

use crate::float::Float;
use crate::reference::activation::{each, logistic, tangent};
use crate::reference::functions::Functions;

/// `h = f(sums)`.
#[inline(always)]
pub(crate) fn rnn<T: Float, F: Functions<T>>(function: Nonlinearity, sums: &[T], h: &mut [T]) {
    match function {
        Nonlinearity::Tanh => {
            for (h, &sum) in h.iter_mut().zip(sums) {
                *h = tangent::<T, F>(sum);
            }
        }
        Nonlinearity::Relu => {
            for (h, &sum) in h.iter_mut().zip(sums) {
                *h = if sum < T::ZERO { T::ZERO } else { sum };
            }
        }
    }
}

/// The gradient of the sums from that of `h`.
#[inline(always)]
pub(crate) fn rnn_backward<T: Float>(function: Nonlinearity, h: &[T], dh: &[T], dsums: &mut [T]) {
    let both = dsums.iter_mut().zip(h.iter().zip(dh));
    match function {
        Nonlinearity::Tanh => both.for_each(|(to, (&h, &dh))| *to = dh * (T::ONE - h * h)),
        Nonlinearity::Relu => {
            both.for_each(|(to, (&h, &dh))| *to = if h > T::ZERO { dh } else { T::ZERO });
        }
    }
}

/// `c = σ(f) c' + σ(i) tanh(g)`, `h = σ(o) tanh(c)`; the gates are left behind their functions. No `before` is 0.
#[inline(always)]
pub(crate) fn lstm<T: Float, F: Functions<T>>(
    gates: &mut [T],
    before: &[T],
    cells: &mut [T],
    h: &mut [T],
) {
    let hidden = h.len();
    let (sigmoids, rest) = gates.split_at_mut(2 * hidden);
    let (tangents, output) = rest.split_at_mut(hidden);
    let output = &mut output[..hidden];
    each(sigmoids, |x| logistic::<T, F>(x).0);
    each(tangents, |x| tangent::<T, F>(x));
    each(output, |x| logistic::<T, F>(x).0);
    let (input, forget) = sigmoids.split_at(hidden);
    let cells = &mut cells[..hidden];
    for (cell, (&input, &new)) in cells.iter_mut().zip(input.iter().zip(&*tangents)) {
        *cell = input * new;
    }
    for (cell, (&forget, &before)) in cells.iter_mut().zip(forget.iter().zip(before)) {
        *cell += forget * before;
    }
    for (h, (&output, &cell)) in h.iter_mut().zip(output.iter().zip(&*cells)) {
        *h = output * tangent::<T, F>(cell);
    }
}

/// The gradients of the gates' sums, in their place, from that of `h` and from `carry`, that of `c` by the step after, which
/// becomes that of `c'`.
#[inline(always)]
pub(crate) fn lstm_backward<T: Float, F: Functions<T>>(
    gates: &mut [T],
    before: &[T],
    cells: &[T],
    dh: &[T],
    carry: &mut [T],
) {
    let [input, forget, cell, output] = parts(gates, dh.len());
    for first in (0..dh.len()).step_by(LANES) {
        let units = first..dh.len().min(first + LANES);
        let [i, f, g, o] =
            [&*input, &*forget, &*cell, &*output].map(|gate| load(&gate[units.clone()]));
        let [c, dh, dc] = [cells, dh, &*carry].map(|values| load(&values[units.clone()]));
        let earlier = load(before.get(units.clone()).unwrap_or(&[]));
        let [mut di, mut df, mut dg, mut do_, mut back] = [[T::ZERO; LANES]; 5];
        for lane in 0..LANES {
            let bent = tangent::<T, F>(c[lane]);
            let (i, f, g, o) = (i[lane], f[lane], g[lane], o[lane]);
            let dc = dc[lane] + dh[lane] * o * (T::ONE - bent * bent);
            do_[lane] = dh[lane] * bent * (o * (T::ONE - o));
            di[lane] = dc * g * (i * (T::ONE - i));
            dg[lane] = dc * i * (T::ONE - g * g);
            df[lane] = dc * earlier[lane] * (f * (T::ONE - f));
            back[lane] = dc * f;
        }
        store(&di, &mut input[units.clone()]);
        store(&df, &mut forget[units.clone()]);
        store(&dg, &mut cell[units.clone()]);
        store(&do_, &mut output[units.clone()]);
        store(&back, &mut carry[units]);
    }
}

/// `r = σ(r + r')`, `z = σ(z + z')`, `n = tanh(n + r n')`, `h = (1 - z) n + z h'`: `gates` hold what the input gives to new,
/// reset and update, `sums` what the hidden state gives to reset, update and new, biases included. No `before` is 0.
#[inline(always)]
pub(crate) fn gru<T: Float, F: Functions<T>>(
    gates: &mut [T],
    sums: &[T],
    before: &[T],
    h: &mut [T],
) {
    let hidden = h.len();
    let (new, rest) = gates.split_at_mut(hidden);
    let (sigmoids, part) = rest.split_at_mut(2 * hidden);
    let (to_sigmoids, to_new) = sums.split_at(2 * hidden);
    for (gate, &sum) in sigmoids.iter_mut().zip(to_sigmoids) {
        *gate = logistic::<T, F>(*gate + sum).0;
    }
    part[..hidden].copy_from_slice(&to_new[..hidden]);
    let (reset, update) = sigmoids.split_at(hidden);
    for (new, (&reset, &sum)) in new.iter_mut().zip(reset.iter().zip(to_new)) {
        *new = tangent::<T, F>(*new + reset * sum);
    }
    for (h, (&update, &new)) in h.iter_mut().zip(update.iter().zip(&*new)) {
        *h = (T::ONE - update) * new;
    }
    for (h, (&update, &before)) in h.iter_mut().zip(update.iter().zip(before)) {
        *h += update * before;
    }
}

/// The gradients of the gates' sums, in their place, from `dh`, that of `h`, which becomes what goes past the gates to `h'`.
#[inline(always)]
pub(crate) fn gru_backward<T: Float>(gates: &mut [T], before: &[T], dh: &mut [T]) {
    let hidden = dh.len();
    let [new, reset, update, part] = parts(gates, hidden);
    for first in (0..hidden).step_by(LANES) {
        let units = first..hidden.min(first + LANES);
        let [n, r, z, hn] =
            [&*new, &*reset, &*update, &*part].map(|gate| load(&gate[units.clone()]));
        let [mut dn, mut dr, mut dz, mut dhn, mut past] = [[T::ZERO; LANES]; 5];
        let h = load(before.get(units.clone()).unwrap_or(&[]));
        let dh_units = load(&dh[units.clone()]);
        for lane in 0..LANES {
            let (n, r, z, hn, dh) = (n[lane], r[lane], z[lane], hn[lane], dh_units[lane]);
            let new = dh * (T::ONE - z) * (T::ONE - n * n);
            dz[lane] = dh * (h[lane] - n) * (z * (T::ONE - z));
            dn[lane] = new;
            dr[lane] = new * hn * (r * (T::ONE - r));
            dhn[lane] = new * r;
            past[lane] = dh * z;
        }
        store(&dn, &mut new[units.clone()]);
        store(&dr, &mut reset[units.clone()]);
        store(&dz, &mut update[units.clone()]);
        store(&dhn, &mut part[units.clone()]);
        store(&past, &mut dh[units]);
    }
}

/// Units that the backward passes take at a time: apart from each other, so that a compiler need not ask whether the gates
/// overlap.
const LANES: usize = 16;

#[inline(always)]
fn load<T: Float>(values: &[T]) -> [T; LANES] {
    match values.first_chunk() {
        Some(whole) => *whole,
        None => {
            let mut lanes = [T::ZERO; LANES];
            for (lane, &value) in lanes.iter_mut().zip(values) {
                *lane = value;
            }
            lanes
        }
    }
}

#[inline(always)]
fn store<T: Float>(lanes: &[T; LANES], values: &mut [T]) {
    match values.first_chunk_mut() {
        Some(whole) => *whole = *lanes,
        None => {
            for (value, &lane) in values.iter_mut().zip(lanes) {
                *value = lane;
            }
        }
    }
}

#[inline(always)]
fn parts<T>(gates: &mut [T], hidden: usize) -> [&mut [T]; 4] {
    let (first, rest) = gates.split_at_mut(hidden);
    let (second, rest) = rest.split_at_mut(hidden);
    let (third, rest) = rest.split_at_mut(hidden);
    [first, second, third, &mut rest[..hidden]]
}
