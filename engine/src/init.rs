//! Initial parameters: a pure function of seed, parameter number and position, never of call order.

use plan::{Init, Parameter};
use spec::random::{Purpose, Stream};

use crate::float::Float;

/// Draws parameter `number` into its words of the flat buffer.
pub(crate) fn initialize<T: Float>(
    seed: u64,
    number: usize,
    parameter: &Parameter,
    words: &mut [T],
) {
    let mut stream = Stream::new(seed, Purpose::Initialization, number as u64);
    match parameter.init {
        Init::Uniform { bound } => {
            words.fill_with(|| T::of((2.0 * stream.next_f64() - 1.0) * bound))
        }
        Init::Constant { value } => words.fill(T::of(value)),
    }
}
