//! Which values a dropout keeps.

use plan::Dropout;
use spec::random::philox;

use crate::draw::Draw;
use crate::float::Float;

/// What a dropout does to a value: it becomes 0 where its random word lies below the threshold, else it is scaled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chance<T> {
    /// The share that becomes 0, of 2^32.
    pub threshold: u32,
    /// One by the share that stays.
    pub scale: T,
}

impl<T: Float> Chance<T> {
    /// That of a dropout.
    pub fn of(dropout: &Dropout) -> Self {
        Chance {
            threshold: (dropout.rate * 4_294_967_296.0) as u32,
            scale: T::of(1.0 / (1.0 - dropout.rate)),
        }
    }
}

/// All values of some samples, in place.
pub(crate) fn dropout<T: Float>(dropout: &Dropout, draw: Draw, values: &mut [T]) {
    let chance = Chance::of(dropout);
    for (sample, values) in values.chunks_mut(dropout.values).enumerate() {
        for (group, values) in values.chunks_mut(Draw::GROUP).enumerate() {
            let [first, rest @ ..] = draw.counter(dropout.values, sample, group);
            for (place, value) in values.iter_mut().enumerate() {
                let counter = [
                    first.wrapping_add((place % 16) as u32),
                    rest[0],
                    rest[1],
                    rest[2],
                ];
                let word = philox(draw.key(), counter)[place / 16];
                *value = match word < chance.threshold {
                    true => T::ZERO,
                    false => *value * chance.scale,
                };
            }
        }
    }
}
