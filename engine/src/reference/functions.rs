//! The transcendental functions that the formulas are written in, so that one formula serves every kind of number and
//! every way to compute them.

use crate::float::Float;

/// A way to compute them.
pub(crate) trait Functions<T> {
    /// `eˣ`
    fn exponential(x: T) -> T;

    /// `eˣ - 1` for `x` of at most 0, exact near it.
    fn exponential_less_one(x: T) -> T;

    /// `ln(1 + x)` for `x` in [0, 1], exact near 0.
    fn logarithm_of_one_more(x: T) -> T;

    /// Distribution and density of the standard normal.
    fn normal(x: T) -> (T, T);
}

/// The crate `libm`'s.
pub(crate) struct Plain;

impl<T: Float> Functions<T> for Plain {
    fn exponential(x: T) -> T {
        x.exponential()
    }

    fn exponential_less_one(x: T) -> T {
        x.exponential_less_one()
    }

    fn logarithm_of_one_more(x: T) -> T {
        x.logarithm_of_one_more()
    }

    fn normal(x: T) -> (T, T) {
        let half = T::of(0.5);
        let distribution = half * (-x * T::of(std::f64::consts::FRAC_1_SQRT_2)).error_complement();
        // 1 / sqrt(2π)
        let density = T::of(0.398_942_280_401_432_7) * (-half * x * x).exponential();
        (distribution, density)
    }
}
