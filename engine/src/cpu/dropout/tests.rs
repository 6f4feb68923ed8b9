use std::sync::Arc;

use plan::Dropout;

use super::*;
use crate::backend::{Backend, View};
use crate::cpu::arena::Arena;
use crate::cpu::device::Cpu;
use crate::pool::Pool;
use crate::reference::device::Reference;

const DRAW: Draw = Draw {
    seed: 42,
    layer: 3,
    step: 7,
    position: 100,
    time: 0,
};

/// What is left of so many ones.
fn dropped(device: &mut dyn Backend, dropout: &Dropout, draw: Draw, count: usize) -> Vec<f32> {
    let bytes = 4 * count;
    let [x, y] = [0, bytes.next_multiple_of(64)].map(|offset| View { offset, bytes });
    bytemuck::cast_slice_mut(device.bytes_mut(x)).fill(1.0f32);
    device.dropout(dropout, draw, Some(x), y);
    let apart = bytemuck::cast_slice(device.bytes(y)).to_vec();
    device.dropout(dropout, draw, None, x);
    assert_eq!(apart, bytemuck::cast_slice::<u8, f32>(device.bytes(x)));
    apart
}

fn cpu(threads: usize) -> Cpu {
    let pool = Arc::new(Pool::new(threads).unwrap());
    Cpu::new(Arena::new(4 << 20).unwrap(), pool)
}

#[test]
fn both_devices_drop_the_same_values_on_any_number_of_threads() {
    for (values, samples) in [
        (1, 1),
        (1, 67),
        (63, 5),
        (64, 3),
        (65, 2),
        (1000, 40),
        (40_001, 3),
    ] {
        for rate in [0.0, 0.1, 0.5, 0.999_999_999_9] {
            let dropout = Dropout { values, rate };
            let count = values * samples;
            let mut plain = Reference::<f32>::new(Arena::new(4 << 20).unwrap());
            let expected = dropped(&mut plain, &dropout, DRAW, count);
            for threads in [1, 3] {
                let got = dropped(&mut cpu(threads), &dropout, DRAW, count);
                assert_eq!(got, expected, "{values} {samples} {rate} {threads}");
            }
        }
    }
}

#[test]
fn the_share_that_stays_is_as_asked_and_scaled() {
    for rate in [0.1, 0.25, 0.5, 0.9] {
        let (values, count) = (1000, 200_000);
        let left = dropped(&mut cpu(1), &Dropout { values, rate }, DRAW, count);
        let scale = (1.0 / (1.0 - rate)) as f32;
        assert!(left.iter().all(|&value| value == 0.0 || value == scale));
        let zeros = left.iter().filter(|&&value| value == 0.0).count() as f64;
        // Five deviations of a binomial count.
        let deviation = (count as f64 * rate * (1.0 - rate)).sqrt();
        assert!(
            (zeros - count as f64 * rate).abs() < 5.0 * deviation,
            "{rate}: {zeros}"
        );
        // No sample and no place is dropped more often than others.
        for sample in left.chunks(values).take(20) {
            let zeros = sample.iter().filter(|&&value| value == 0.0).count() as f64;
            let deviation = (values as f64 * rate * (1.0 - rate)).sqrt();
            assert!(
                (zeros - values as f64 * rate).abs() < 5.0 * deviation,
                "{rate}: {zeros}"
            );
        }
    }
}

#[test]
fn what_is_dropped_follows_the_position_and_nothing_else() {
    let dropout = Dropout {
        values: 130,
        rate: 0.5,
    };
    let whole = dropped(&mut cpu(1), &dropout, DRAW, 6 * 130);
    let later = Draw {
        position: DRAW.position + 2,
        ..DRAW
    };
    assert_eq!(
        dropped(&mut cpu(1), &dropout, later, 4 * 130),
        whole[2 * 130..]
    );
    let others = [
        Draw { seed: 43, ..DRAW },
        Draw { layer: 4, ..DRAW },
        Draw { step: 8, ..DRAW },
        Draw { time: 1, ..DRAW },
        Draw {
            position: 200,
            ..DRAW
        },
        Draw {
            step: (1 << 40) - 1,
            position: (1 << 24) - 6,
            ..DRAW
        },
    ];
    for other in others {
        let different = dropped(&mut cpu(1), &dropout, other, 6 * 130);
        let same = different
            .iter()
            .zip(&whole)
            .filter(|(one, other)| one == other)
            .count();
        assert!((300..480).contains(&same), "{other:?}: {same}");
    }
}

#[test]
fn sixteen_counters_at_once_are_those_of_philox_one_by_one() {
    for (key, counter) in [
        ([0; 2], [0; 4]),
        ([7, u32::MAX], [u32::MAX - 20, 5, 1 << 30, 3]),
    ] {
        let words = philox(key, counter);
        for (lane, first) in (0..LANES).map(|lane| (lane, counter[0] + lane as u32)) {
            let counter = [first, counter[1], counter[2], counter[3]];
            let expected = spec::random::philox(key, counter);
            assert_eq!(words.map(|words| words[lane]), expected);
        }
    }
}
