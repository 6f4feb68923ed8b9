//! Activations and their derivatives. NaN stays NaN.

use spec::model::{Activation, Gelu};

use crate::float::Float;
use crate::reference::functions::Functions;

/// Above it a softplus is its argument.
const SOFTPLUS_THRESHOLD: f64 = 20.0;

/// The activation of every value, in place.
#[inline(always)]
pub(crate) fn activate<T: Float, F: Functions<T>>(activation: &Activation, values: &mut [T]) {
    match *activation {
        Activation::Gelu(Gelu::Erf) => each(values, |x| x * F::normal(x).0),
        Activation::Gelu(Gelu::Tanh) => each(values, |x| x * nearly_normal::<T, F>(x).0),
        Activation::Silu => each(values, |x| x * logistic::<T, F>(x).0),
        Activation::Tanh => each(values, |x| tangent::<T, F>(x)),
        Activation::Sigmoid => each(values, |x| logistic::<T, F>(x).0),
        Activation::LeakyRelu { slope } => {
            let slope = T::of(slope);
            each(values, |x| if x > T::ZERO { x } else { slope * x });
        }
        Activation::Elu { alpha } => {
            let alpha = T::of(alpha);
            each(values, |x| {
                let low = alpha * F::exponential_less_one(if x > T::ZERO { T::ZERO } else { x });
                if x > T::ZERO { x } else { low }
            });
        }
        Activation::Softplus => each(values, |x| {
            let y = at_least_zero(x) + logarithm_of_sum::<T, F>(x);
            if x > T::of(SOFTPLUS_THRESHOLD) { x } else { y }
        }),
        Activation::Hardtanh => each(values, |x| {
            let x = if x > T::ONE { T::ONE } else { x };
            if x < -T::ONE { -T::ONE } else { x }
        }),
        Activation::Logsigmoid => {
            each(values, |x| -at_least_zero(-x) - logarithm_of_sum::<T, F>(x))
        }
    }
}

/// The gradient multiplied by the derivative at `values`: inputs of a gelu or silu, outputs of the others.
#[inline(always)]
pub(crate) fn derive<T: Float, F: Functions<T>>(
    activation: &Activation,
    values: &[T],
    gradient: &mut [T],
) {
    match *activation {
        Activation::Gelu(Gelu::Erf) => scale(values, gradient, |x| {
            let (distribution, density) = F::normal(x);
            distribution + x * density
        }),
        Activation::Gelu(Gelu::Tanh) => scale(values, gradient, |x| {
            // Beyond 10 nothing changes, but squares would overflow.
            let x = if x > T::of(10.0) { T::of(10.0) } else { x };
            let x = if x < T::of(-10.0) { T::of(-10.0) } else { x };
            let (high, low) = nearly_normal::<T, F>(x);
            let slope = T::of(NEARLY[0]) + T::of(3.0 * NEARLY[1]) * (x * x);
            high + x * slope * (high * low)
        }),
        Activation::Silu => scale(values, gradient, |x| {
            let (high, low) = logistic::<T, F>(x);
            high * (T::ONE + x * low)
        }),
        Activation::Tanh => scale(values, gradient, |y| T::ONE - y * y),
        Activation::Sigmoid => scale(values, gradient, |y| y * (T::ONE - y)),
        Activation::LeakyRelu { slope } => {
            let slope = T::of(slope);
            scale(
                values,
                gradient,
                |y| if y > T::ZERO { T::ONE } else { slope },
            );
        }
        Activation::Elu { alpha } => {
            let alpha = T::of(alpha);
            scale(values, gradient, |y| {
                if y > T::ZERO { T::ONE } else { y + alpha }
            });
        }
        Activation::Softplus => scale(values, gradient, |y| {
            let slope = -F::exponential_less_one(-y);
            if y > T::of(SOFTPLUS_THRESHOLD) {
                T::ONE
            } else {
                slope
            }
        }),
        Activation::Hardtanh => scale(values, gradient, |y| {
            if magnitude(y) >= T::ONE {
                T::ZERO
            } else {
                T::ONE
            }
        }),
        Activation::Logsigmoid => scale(values, gradient, |y| -F::exponential_less_one(y)),
    }
}

/// `f` of every value, in place.
#[inline(always)]
pub(crate) fn each<T: Float>(values: &mut [T], f: impl Fn(T) -> T) {
    for value in values {
        *value = f(*value);
    }
}

#[inline(always)]
fn scale<T: Float>(values: &[T], gradient: &mut [T], f: impl Fn(T) -> T) {
    for (&value, gradient) in values.iter().zip(gradient) {
        *gradient = *gradient * f(value);
    }
}

#[inline(always)]
fn magnitude<T: Float>(x: T) -> T {
    if x < T::ZERO { -x } else { x }
}

#[inline(always)]
fn at_least_zero<T: Float>(x: T) -> T {
    if x < T::ZERO { T::ZERO } else { x }
}

/// The hyperbolic tangent.
#[inline(always)]
pub(crate) fn tangent<T: Float, F: Functions<T>>(x: T) -> T {
    let low = F::exponential_less_one(-(magnitude(x) + magnitude(x)));
    let y = -low / (low + T::of(2.0));
    if x < T::ZERO { -y } else { y }
}

/// `sigmoid(x)` and `sigmoid(-x)`, each exact when it is small.
#[inline(always)]
pub(crate) fn logistic<T: Float, F: Functions<T>>(x: T) -> (T, T) {
    let part = F::exponential(-magnitude(x));
    let large = T::ONE / (T::ONE + part);
    let small = part * large;
    if x < T::ZERO {
        (small, large)
    } else {
        (large, small)
    }
}

/// `ln(1 + exp(-|x|))`
#[inline(always)]
fn logarithm_of_sum<T: Float, F: Functions<T>>(x: T) -> T {
    F::logarithm_of_one_more(F::exponential(-magnitude(x)))
}

/// `2 sqrt(2/π)`, and that times 0.044715.
const NEARLY: [f64; 2] = [1.595_769_121_605_730_9, 0.071_354_816_272_600_26];

/// The distribution of the standard normal and its complement, nearly: `(1 + tanh(sqrt(2/π) (x + 0.044715 x³))) / 2`
/// (Hendrycks and Gimpel 2016), which is a sigmoid.
#[inline(always)]
fn nearly_normal<T: Float, F: Functions<T>>(x: T) -> (T, T) {
    logistic::<T, F>(x * (T::of(NEARLY[0]) + T::of(NEARLY[1]) * (x * x)))
}
