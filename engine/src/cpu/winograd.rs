//! The kernels of Winograd's F(4x4, 3x3) (plan, `Winograd`), all along channels or filters: a vector holds neighbours of
//! one place. Here are the transforms along one axis, which the 2x2 passes over tiles and weights are made of.
//!
//! The polynomials are interpolated at 0, ±11/16, ±11/8 and infinity: all factors but those of the weights are exact in
//! f32, and rounding errors come out about twice those of a direct sum, a third of those of the usual points 0, ±1, ±2.
//! With `A`, `B`, `G` as in the paper, forward is `Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A`; the backward passes are its transposes,
//! so that one transformed gradient serves input and weight.

pub(crate) mod lanes;
pub(crate) mod products;
pub(crate) mod tiles;
pub(crate) mod weights;

use pulp::Simd;

/// The points and what follows from them.
const A: f32 = 11.0 / 16.0;
const B: f32 = 11.0 / 8.0;
const AA: f32 = A * A;
const BB: f32 = B * B;
const AAA: f32 = A * A * A;
const BBB: f32 = B * B * B;
const SUM: f32 = AA + BB;
const PRODUCT: f32 = AA * BB;

/// `factor · value + to`
#[inline(always)]
fn fma<S: Simd>(simd: S, factor: f32, value: S::f32s, to: S::f32s) -> S::f32s {
    simd.mul_add_e_f32s(simd.splat_f32s(factor), value, to)
}

/// `factor · value`
#[inline(always)]
fn scale<S: Simd>(simd: S, factor: f32, value: S::f32s) -> S::f32s {
    simd.mul_f32s(simd.splat_f32s(factor), value)
}

/// `Bᵀ d`
#[inline(always)]
fn take_inputs<S: Simd>(simd: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
    let (near_even, near_odd) = (fma(simd, -BB, d[2], d[4]), fma(simd, -BB, d[1], d[3]));
    let (far_even, far_odd) = (fma(simd, -AA, d[2], d[4]), fma(simd, -AA, d[1], d[3]));
    [
        fma(simd, PRODUCT, d[0], fma(simd, -SUM, d[2], d[4])),
        fma(simd, A, near_odd, near_even),
        fma(simd, -A, near_odd, near_even),
        fma(simd, B, far_odd, far_even),
        fma(simd, -B, far_odd, far_even),
        fma(simd, PRODUCT, d[1], fma(simd, -SUM, d[3], d[5])),
    ]
}

/// `Aᵀ m`
#[inline(always)]
fn give_outputs<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 4] {
    let (near, far) = (simd.add_f32s(m[1], m[2]), simd.add_f32s(m[3], m[4]));
    let (near_odd, far_odd) = (simd.sub_f32s(m[1], m[2]), simd.sub_f32s(m[3], m[4]));
    [
        simd.add_f32s(m[0], simd.add_f32s(near, far)),
        fma(simd, A, near_odd, scale(simd, B, far_odd)),
        fma(simd, AA, near, scale(simd, BB, far)),
        fma(simd, AAA, near_odd, fma(simd, BBB, far_odd, m[5])),
    ]
}

/// `A y`
#[inline(always)]
fn take_gradients<S: Simd>(simd: S, y: [S::f32s; 4]) -> [S::f32s; 6] {
    let (near_even, near_odd) = (fma(simd, AA, y[2], y[0]), fma(simd, AA, y[3], y[1]));
    let (far_even, far_odd) = (fma(simd, BB, y[2], y[0]), fma(simd, BB, y[3], y[1]));
    [
        y[0],
        fma(simd, A, near_odd, near_even),
        fma(simd, -A, near_odd, near_even),
        fma(simd, B, far_odd, far_even),
        fma(simd, -B, far_odd, far_even),
        y[3],
    ]
}

/// `B m`
#[inline(always)]
fn give_gradients<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 6] {
    let (near, far) = (simd.add_f32s(m[1], m[2]), simd.add_f32s(m[3], m[4]));
    let near_odd = scale(simd, A, simd.sub_f32s(m[1], m[2]));
    let far_odd = scale(simd, B, simd.sub_f32s(m[3], m[4]));
    let odd = simd.add_f32s(near_odd, far_odd);
    let less = fma(simd, AA, far, scale(simd, BB, near));
    let less_odd = fma(simd, AA, far_odd, scale(simd, BB, near_odd));
    [
        scale(simd, PRODUCT, m[0]),
        simd.sub_f32s(scale(simd, PRODUCT, m[5]), less_odd),
        simd.neg_f32s(fma(simd, SUM, m[0], less)),
        fma(simd, -SUM, m[5], odd),
        simd.add_f32s(m[0], simd.add_f32s(near, far)),
        m[5],
    ]
}

/// What the rows of `G` but the last are divided by.
const POINT: f32 = 1.0 / PRODUCT;
const NEAR: f32 = 1.0 / (2.0 * AA * (AA - BB));
const FAR: f32 = 1.0 / (2.0 * BB * (BB - AA));

/// `G g`
#[inline(always)]
fn take_weights<S: Simd>(simd: S, g: [S::f32s; 3]) -> [S::f32s; 6] {
    let (near, far) = (fma(simd, AA, g[2], g[0]), fma(simd, BB, g[2], g[0]));
    [
        scale(simd, POINT, g[0]),
        scale(simd, NEAR, fma(simd, A, g[1], near)),
        scale(simd, NEAR, fma(simd, -A, g[1], near)),
        scale(simd, FAR, fma(simd, B, g[1], far)),
        scale(simd, FAR, fma(simd, -B, g[1], far)),
        g[2],
    ]
}

/// `Gᵀ u`
#[inline(always)]
fn give_weights<S: Simd>(simd: S, u: [S::f32s; 6]) -> [S::f32s; 3] {
    let (near, near_odd) = (simd.add_f32s(u[1], u[2]), simd.sub_f32s(u[1], u[2]));
    let (far, far_odd) = (simd.add_f32s(u[3], u[4]), simd.sub_f32s(u[3], u[4]));
    let (near, near_odd) = (scale(simd, NEAR, near), scale(simd, A * NEAR, near_odd));
    let (far, far_odd) = (scale(simd, FAR, far), scale(simd, B * FAR, far_odd));
    [
        fma(simd, POINT, u[0], simd.add_f32s(near, far)),
        simd.add_f32s(near_odd, far_odd),
        fma(simd, AA, near, fma(simd, BB, far, u[5])),
    ]
}

/// A transform along one axis, then along the other: `T x Tᵀ`, `x[i][j]` at `i * N + j`.
#[inline(always)]
fn both<V: Copy, const N: usize, const M: usize>(
    x: impl Fn(usize, usize) -> V,
    zero: V,
    transform: impl Fn([V; N]) -> [V; M],
    mut give: impl FnMut(usize, [V; M]),
) {
    let mut half = [[zero; N]; M];
    for j in 0..N {
        let mut column = [zero; N];
        for (i, value) in column.iter_mut().enumerate() {
            *value = x(i, j);
        }
        let column = transform(column);
        for (half, value) in half.iter_mut().zip(column) {
            half[j] = value;
        }
    }
    for (i, half) in half.into_iter().enumerate() {
        give(i, transform(half));
    }
}
