//! Initial parameters: a pure function of seed, parameter number and position, never of call order.

mod orthogonal;

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
            words.fill_with(|| T::of(two_normals(&mut stream)[0]));
            if let Some(index) = padding_index {
                let size = parameter.shape[1];
                words[index * size..(index + 1) * size].fill(T::ZERO);
            }
        }
        Init::Range { low, high } => {
            words.fill_with(|| T::of(low + stream.next_f64() * (high - low)))
        }
        Init::Normal { mean, std } => {
            for pair in words.chunks_mut(2) {
                for (word, value) in pair.iter_mut().zip(two_normals(&mut stream)) {
                    *word = T::of(mean + std * value);
                }
            }
        }
        Init::Orthogonal { gain } => orthogonal(&mut stream, gain, &parameter.shape, words),
        Init::Constant { value } => words.fill(T::of(value)),
    }
}

/// Two values of the standard normal distribution, by Box and Muller's transform (1958).
fn two_normals(stream: &mut Stream) -> [f64; 2] {
    // In (0, 1], so that the logarithm is finite.
    let radius = (-2.0 * libm::log(1.0 - stream.next_f64())).sqrt();
    let angle = std::f64::consts::TAU * stream.next_f64();
    [radius * libm::cos(angle), radius * libm::sin(angle)]
}

/// A matrix of normal values made orthonormal along its shorter side, times `gain`; `shape`: its rows, and what a row holds.
fn orthogonal<T: Float>(stream: &mut Stream, gain: f64, shape: &[usize], words: &mut [T]) {
    let rows = shape[0];
    let columns = words.len() / rows.max(1);
    let (long, short) = (rows.max(columns), rows.min(columns));
    let mut matrix = vec![0.0; words.len()];
    for pair in matrix.chunks_mut(2) {
        pair.copy_from_slice(&two_normals(stream)[..pair.len()]);
    }
    orthogonal::orthonormal(&mut matrix, long, short);
    for (index, word) in words.iter_mut().enumerate() {
        let (row, column) = (index / columns, index % columns);
        let place = if rows < columns {
            column * short + row
        } else {
            row * short + column
        };
        *word = T::of(gain * matrix[place]);
    }
}
