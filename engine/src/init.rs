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
        Init::Table { padding_index } => {
            words.fill_with(|| T::of(normal(&mut stream)));
            if let Some(index) = padding_index {
                let size = parameter.shape[1];
                words[index * size..(index + 1) * size].fill(T::ZERO);
            }
        }
        Init::Constant { value } => words.fill(T::of(value)),
    }
}

/// The standard normal distribution by Box and Muller's transform (1958), one of the two values that it gives.
fn normal(stream: &mut Stream) -> f64 {
    // In (0, 1], so that the logarithm is finite.
    let radius = (-2.0 * libm::log(1.0 - stream.next_f64())).sqrt();
    radius * libm::cos(std::f64::consts::TAU * stream.next_f64())
}
