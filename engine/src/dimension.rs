//! Softmax, its logarithm, and the logarithm of a sum of exponentials, over any dimension of a dense tensor, with their gradients:
//! functions on slices, apart from any plan.

use crate::error::Error;
use crate::float::Float;

/// Columns that run beside each other.
const LANES: usize = 16;

/// One dimension of a tensor: all of `outer · inner` stretches of `extent` values that lie `inner` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimension {
    outer: usize,
    extent: usize,
    inner: usize,
}

impl Dimension {
    /// Dimension `dimension` of a tensor of `shape`, counted from 0.
    ///
    /// # Errors
    /// A dimension that the shape does not have.
    pub fn of(shape: &[usize], dimension: usize) -> Result<Self, Error> {
        let extent = *shape.get(dimension).ok_or(Error::Dimension {
            dimension,
            dimensions: shape.len(),
        })?;
        Ok(Dimension {
            outer: shape[..dimension].iter().product(),
            extent,
            inner: shape[dimension + 1..].iter().product(),
        })
    }

    /// Values of the whole tensor.
    pub fn elements(&self) -> usize {
        self.outer * self.extent * self.inner
    }

    /// Values of the tensor without the dimension.
    pub fn stretches(&self) -> usize {
        self.outer * self.inner
    }

    /// `y = exp(x) / Σ exp(x)`, the sum over the dimension.
    ///
    /// # Panics
    /// If `x` or `y` has not [`Dimension::elements`] values.
    pub fn softmax<T: Float>(&self, x: &[T], y: &mut [T]) {
        self.normalise(x, y, |x, largest, sum| (x - largest).exponential() / sum);
    }

    /// The gradient by `x` from that by `y`, the softmax of `x`.
    ///
    /// # Panics
    /// If a slice has not [`Dimension::elements`] values.
    pub fn softmax_backward<T: Float>(&self, y: &[T], y_gradient: &[T], x_gradient: &mut [T]) {
        self.derive(
            [y, y_gradient],
            x_gradient,
            |y, gradient| y * gradient,
            |y, gradient, sum| y * (gradient - sum),
        );
    }

    /// `y = x - ln Σ exp(x)`, the sum over the dimension.
    ///
    /// # Panics
    /// If `x` or `y` has not [`Dimension::elements`] values.
    pub fn log_softmax<T: Float>(&self, x: &[T], y: &mut [T]) {
        self.normalise(x, y, |x, largest, sum| (x - largest) - sum.logarithm());
    }

    /// The gradient by `x` from that by `y`, the logarithm of the softmax of `x`.
    ///
    /// # Panics
    /// If a slice has not [`Dimension::elements`] values.
    pub fn log_softmax_backward<T: Float>(&self, y: &[T], y_gradient: &[T], x_gradient: &mut [T]) {
        self.derive(
            [y, y_gradient],
            x_gradient,
            |_, gradient| gradient,
            |y, gradient, sum| gradient - y.exponential() * sum,
        );
    }

    /// `y = ln Σ exp(x)`, the sum over the dimension, which `y` is without.
    ///
    /// # Panics
    /// If `x` has not [`Dimension::elements`] values or `y` not [`Dimension::stretches`].
    pub fn logsumexp<T: Float>(&self, x: &[T], y: &mut [T]) {
        assert_eq!((x.len(), y.len()), (self.elements(), self.stretches()));
        self.each_tile(|stretches, tile| {
            let [largest, sum] = self.exponentials(x, tile);
            for (place, (largest, sum)) in y[stretches].iter_mut().zip(largest.into_iter().zip(sum))
            {
                *place = largest + sum.logarithm();
            }
        });
    }

    /// The gradient by `x` from that by `y`, the logarithm of the sum of the exponentials of `x`.
    ///
    /// # Panics
    /// If `x` or its gradient has not [`Dimension::elements`] values, or `y` or its gradient not [`Dimension::stretches`].
    pub fn logsumexp_backward<T: Float>(
        &self,
        x: &[T],
        [y, y_gradient]: [&[T]; 2],
        x_gradient: &mut [T],
    ) {
        assert_eq!([x.len(), x_gradient.len()], [self.elements(); 2]);
        assert_eq!([y.len(), y_gradient.len()], [self.stretches(); 2]);
        self.each_tile(|stretches, tile| {
            for row in 0..self.extent {
                for lane in 0..tile.width {
                    let (at, stretch) = (tile.at(row, lane, self.inner), stretches.start + lane);
                    x_gradient[at] = y_gradient[stretch] * (x[at] - y[stretch]).exponential();
                }
            }
        });
    }

    /// `y` from `x`, the largest value of its stretch and the sum of exponentials less it.
    fn normalise<T: Float>(&self, x: &[T], y: &mut [T], value: impl Fn(T, T, T) -> T) {
        assert_eq!([x.len(), y.len()], [self.elements(); 2]);
        self.each_tile(|_, tile| {
            let [largest, sum] = self.exponentials(x, tile);
            for row in 0..self.extent {
                for lane in 0..tile.width {
                    let at = tile.at(row, lane, self.inner);
                    y[at] = value(x[at], largest[lane], sum[lane]);
                }
            }
        });
    }

    /// A gradient from values, their gradients and a sum over the stretch.
    fn derive<T: Float>(
        &self,
        [y, y_gradient]: [&[T]; 2],
        x_gradient: &mut [T],
        term: impl Fn(T, T) -> T,
        value: impl Fn(T, T, T) -> T,
    ) {
        let lengths = [y.len(), y_gradient.len(), x_gradient.len()];
        assert_eq!(lengths, [self.elements(); 3]);
        self.each_tile(|_, tile| {
            let mut sum = [T::ZERO; LANES];
            for row in 0..self.extent {
                for (lane, sum) in sum[..tile.width].iter_mut().enumerate() {
                    let at = tile.at(row, lane, self.inner);
                    *sum += term(y[at], y_gradient[at]);
                }
            }
            for row in 0..self.extent {
                for (lane, &sum) in sum[..tile.width].iter().enumerate() {
                    let at = tile.at(row, lane, self.inner);
                    x_gradient[at] = value(y[at], y_gradient[at], sum);
                }
            }
        });
    }

    /// Of each stretch of a tile the largest value, 0 where that is infinite, and the sum of exponentials less it.
    fn exponentials<T: Float>(&self, x: &[T], tile: Tile) -> [[T; LANES]; 2] {
        let mut largest = [T::LEAST; LANES];
        for row in 0..self.extent {
            for (lane, largest) in largest[..tile.width].iter_mut().enumerate() {
                let x = x[tile.at(row, lane, self.inner)];
                if x > *largest {
                    *largest = x;
                }
            }
        }
        for largest in &mut largest {
            if *largest == T::LEAST || *largest == -T::LEAST {
                *largest = T::ZERO;
            }
        }
        let mut sum = [T::ZERO; LANES];
        for row in 0..self.extent {
            for (lane, sum) in sum[..tile.width].iter_mut().enumerate() {
                *sum += (x[tile.at(row, lane, self.inner)] - largest[lane]).exponential();
            }
        }
        [largest, sum]
    }

    /// Tiles of neighbouring stretches, and which of all stretches each has.
    fn each_tile(&self, mut work: impl FnMut(std::ops::Range<usize>, Tile)) {
        for outer in 0..self.outer {
            for first in (0..self.inner).step_by(LANES) {
                let width = LANES.min(self.inner - first);
                let stretch = outer * self.inner + first;
                let start = outer * self.extent * self.inner + first;
                work(stretch..stretch + width, Tile { start, width });
            }
        }
    }
}

/// Neighbouring stretches: where their first values lie, and how many there are.
#[derive(Clone, Copy)]
struct Tile {
    start: usize,
    width: usize,
}

impl Tile {
    fn at(self, row: usize, lane: usize, inner: usize) -> usize {
        self.start + row * inner + lane
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dimension_in_the_middle_is_that_of_each_stretch_by_itself() {
        let shape = [2, 5, 19];
        let middle = Dimension::of(&shape, 1).unwrap();
        assert_eq!((middle.elements(), middle.stretches()), (190, 38));
        let x: Vec<f64> = (0..190)
            .map(|index| f64::from(index * 37 % 101) / 17.0)
            .collect();
        let [mut soft, mut log] = [vec![0.0; 190], vec![0.0; 190]];
        let mut sums = vec![0.0; 38];
        middle.softmax(&x, &mut soft);
        middle.log_softmax(&x, &mut log);
        middle.logsumexp(&x, &mut sums);
        let alone = Dimension::of(&[5], 0).unwrap();
        for (outer, inner) in (0..2).flat_map(|outer| (0..19).map(move |inner| (outer, inner))) {
            let places = (0..5).map(|row| outer * 95 + row * 19 + inner);
            let stretch: Vec<f64> = places.clone().map(|at| x[at]).collect();
            let mut expected = [0.0; 5];
            alone.softmax(&stretch, &mut expected);
            assert!(places.clone().map(|at| soft[at]).eq(expected));
            alone.log_softmax(&stretch, &mut expected);
            assert!(places.map(|at| log[at]).eq(expected));
            let mut sum = [0.0];
            alone.logsumexp(&stretch, &mut sum);
            assert_eq!(sum[0], sums[outer * 19 + inner]);
        }
    }

    #[test]
    fn infinities_and_dimensions_that_there_are_not() {
        let row = Dimension::of(&[3], 0).unwrap();
        let logsumexp = |x: [f32; 3]| {
            let mut sum = [0.0];
            row.logsumexp(&x, &mut sum);
            sum[0]
        };
        let infinity = f32::INFINITY;
        assert_eq!(logsumexp([-infinity; 3]), -infinity);
        assert_eq!(logsumexp([0.0, infinity, 1.0]), infinity);
        assert_eq!(logsumexp([1e30, -infinity, 0.0]), 1e30);
        assert!(logsumexp([0.0, f32::NAN, 0.0]).is_nan());
        assert_eq!(logsumexp([88.0; 3]), 88.0 + libm::logf(3.0));
        assert!(matches!(
            Dimension::of(&[2, 3], 2),
            Err(Error::Dimension {
                dimension: 2,
                dimensions: 2
            })
        ));
    }
}
