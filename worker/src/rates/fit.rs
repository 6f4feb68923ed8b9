//! Prices from measurements: what a unit of each kind of work takes, so that the sums come as near to what was measured as
//! can be, in proportion to it, and no price is negative.

use spec::rates::{Rate, Work};

/// A call that was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// What it did.
    pub work: Work,
    /// How long that took, above 0.
    pub seconds: f64,
}

/// The kinds of work.
const KINDS: usize = 4;

/// The best prices: of all choices of kinds that have a price at all, the one whose least squares of relative errors are
/// the least and whose prices are not negative.
pub fn fit(measured: &[Measured]) -> Rate {
    let rows: Vec<[f64; KINDS]> = measured
        .iter()
        .map(|one| one.work.units().map(|units| units / one.seconds))
        .collect();
    // Units differ by ten orders of magnitude; columns of like size keep the equations solvable.
    let scale: [f64; KINDS] =
        std::array::from_fn(|kind| rows.iter().map(|row| row[kind]).fold(0.0, f64::max));
    let mut best = ([0.0; KINDS], f64::INFINITY);
    for chosen in 1u32..1 << KINDS {
        let kinds: Vec<usize> = (0..KINDS)
            .filter(|kind| chosen >> kind & 1 == 1 && scale[*kind] > 0.0)
            .collect();
        if kinds.len() != chosen.count_ones() as usize || kinds.len() > measured.len() {
            continue;
        }
        let Some(solved) = solve(&rows, &kinds, &scale) else {
            continue;
        };
        if solved.iter().any(|price| *price < 0.0) {
            continue;
        }
        let mut prices = [0.0; KINDS];
        for (&kind, price) in kinds.iter().zip(&solved) {
            prices[kind] = price / scale[kind];
        }
        let error: f64 = rows
            .iter()
            .map(|row| {
                let sum: f64 = row
                    .iter()
                    .zip(&prices)
                    .map(|(units, price)| units * price)
                    .sum();
                (sum - 1.0) * (sum - 1.0)
            })
            .sum();
        // More prices must earn their place.
        if error < best.1 * (1.0 - 1e-9) {
            best = (prices, error);
        }
    }
    Rate::from(best.0)
}

/// Least squares of `rows · prices = 1` over some columns, each divided by its scale: normal equations by elimination.
fn solve(rows: &[[f64; KINDS]], kinds: &[usize], scale: &[f64; KINDS]) -> Option<Vec<f64>> {
    let n = kinds.len();
    let mut system = vec![vec![0.0; n + 1]; n];
    for row in rows {
        let scaled: Vec<f64> = kinds.iter().map(|&kind| row[kind] / scale[kind]).collect();
        for (equation, factor) in system.iter_mut().zip(&scaled) {
            let sides = equation.iter_mut().zip(scaled.iter().chain([&1.0]));
            sides.for_each(|(sum, value)| *sum += factor * value);
        }
    }
    for pivot in 0..n {
        let largest = (pivot..n)
            .max_by(|&a, &b| system[a][pivot].abs().total_cmp(&system[b][pivot].abs()))?;
        system.swap(pivot, largest);
        if system[pivot][pivot].abs() < 1e-12 {
            return None;
        }
        let eliminated = system[pivot].clone();
        for (row, equation) in system.iter_mut().enumerate() {
            if row != pivot {
                let factor = equation[pivot] / eliminated[pivot];
                let pairs = equation.iter_mut().zip(&eliminated);
                pairs.for_each(|(value, other)| *value -= factor * other);
            }
        }
    }
    Some(
        (0..n)
            .map(|row| system[row][n] / system[row][row])
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(calls: f64, flops: f64, bytes: f64) -> Work {
        Work {
            calls,
            flops,
            bytes,
            weight_bytes: 0.0,
        }
    }

    #[test]
    fn prices_that_explain_everything_are_found() {
        let real = Rate::from([1e-6, 1e-11, 3e-10, 0.0]);
        let works = [
            work(1.0, 1e6, 1e3),
            work(1.0, 1e4, 1e5),
            work(1.0, 5e7, 2e5),
            work(1.0, 10.0, 10.0),
        ];
        let measured = works.map(|work| Measured {
            work,
            seconds: real.seconds(work),
        });
        let found = fit(&measured);
        for (found, real) in found.prices().into_iter().zip(real.prices()) {
            assert!((found - real).abs() <= 1e-6 * real, "{found} {real}");
        }
    }

    #[test]
    fn no_price_is_negative_however_odd_the_measurements() {
        let measured = [
            (work(1.0, 1e6, 1e6), 1e-3),
            (work(1.0, 2e6, 1e6), 0.5e-3),
            (work(1.0, 4e6, 1e5), 4e-3),
        ]
        .map(|(work, seconds)| Measured { work, seconds });
        let found = fit(&measured);
        assert!(
            found
                .prices()
                .iter()
                .all(|price| *price >= 0.0 && price.is_finite())
        );
        assert!(measured.iter().all(|one| found.seconds(one.work) > 0.0));
    }

    #[test]
    fn one_measurement_gives_one_price() {
        let found = fit(&[Measured {
            work: work(0.0, 0.0, 500.0),
            seconds: 1e-3,
        }]);
        assert_eq!(found, Rate::from([0.0, 0.0, 2e-6, 0.0]));
        assert_eq!(fit(&[]), Rate::default());
    }
}
