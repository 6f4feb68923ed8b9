//! The loss of one row, and its gradient in the row's place. A cross entropy of any kind is that of a weighted target
//! distribution `q`: with `A = Σ q` the loss is `A ln Σ exp(x - m) - Σ q (x - m)` and the gradient `A softmax(x) - q`.

use spec::loss::{CrossEntropy, Loss};

use crate::backend::RowTargets;
use crate::float::Float;
use crate::reference::functions::Functions;
use crate::reference::sums::{LANES, largest, total, total_by};

/// Values whose exponentials are summed together, a multiple of the lanes.
const BLOCK: usize = 16 * LANES;

/// What the loss says of one row.
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(crate) struct Row {
    /// Its loss.
    pub loss: f64,
    /// Its share of the normaliser, where that is a sum of weights.
    pub weight: f64,
    /// The class of the largest output, the first of equals; [`Row::IGNORED`] for a row that counts for nothing.
    pub answer: u32,
    /// How many outputs come before that of its class, so that 0 is a right answer; [`Row::NO_CLASS`] where there is none. A wrong
    /// answer has 1 unless ranks are asked for.
    pub rank: u32,
}

impl Row {
    /// The answer of a row that counts for nothing.
    pub const IGNORED: u32 = u32::MAX;
    /// The rank of a row without a class.
    pub const NO_CLASS: u32 = u32::MAX;
}

/// The target of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target<'a, T> {
    /// A class, which is below the row's length.
    Class(usize),
    /// A value for each output.
    Values(&'a [T]),
}

impl<'a, T: Float> Target<'a, T> {
    /// That of row `number`, of so many outputs.
    pub fn of(targets: RowTargets<'a>, number: usize, outputs: usize) -> Self {
        match targets {
            RowTargets::Classes(classes) => Target::Class(classes[number] as usize),
            RowTargets::Values(values) => {
                let values: &[T] = bytemuck::cast_slice(values);
                Target::Values(&values[number * outputs..(number + 1) * outputs])
            }
        }
    }
}

/// How a row is to be judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judging<'a, T> {
    /// What is minimised.
    pub loss: &'a Loss,
    /// What each class or output weighs; none: 1.
    pub weights: &'a [T],
    /// Whether the gradient is to take the row's place.
    pub gradient: bool,
    /// Whether ranks are asked for.
    pub ranks: bool,
}

/// Judges one row of outputs.
#[inline(always)]
pub(crate) fn judge<T: Float, F: Functions<T>>(
    judging: &Judging<'_, T>,
    target: Target<'_, T>,
    row: &mut [T],
) -> Row {
    let largest = largest(row);
    let (answer, rank) = match target {
        Target::Class(class) => {
            let answer = position(row, largest);
            (answer as u32, rank(row, class, answer, judging.ranks))
        }
        Target::Values(_) => (0, Row::NO_CLASS),
    };
    let weight_of = |class: usize| {
        judging
            .weights
            .get(class)
            .map_or(1.0, |weight| weight.wide())
    };
    let (loss, weight) = match (judging.loss, target) {
        (Loss::CrossEntropy(loss), Target::Class(class))
            if loss.ignore_index == Some(class as u32) =>
        {
            if judging.gradient {
                row.fill(T::ZERO);
            }
            let (answer, rank) = (Row::IGNORED, Row::NO_CLASS);
            return Row {
                loss: 0.0,
                weight: 0.0,
                answer,
                rank,
            };
        }
        (Loss::CrossEntropy(loss), Target::Class(class)) => {
            let weight = weight_of(class);
            (
                cross_entropy::<T, F>(judging, loss, largest, (class, weight), row),
                weight,
            )
        }
        (Loss::CrossEntropy(loss), Target::Values(target)) => (
            soft_cross_entropy::<T, F>(judging, loss, largest, target, row),
            1.0,
        ),
        (_, Target::Class(class)) => {
            let one_hot = |index| if index == class { T::ONE } else { T::ZERO };
            (elementwise::<T, F>(judging, one_hot, row), 1.0)
        }
        (_, Target::Values(target)) => {
            assert_eq!(target.len(), row.len(), "a value for each output");
            (
                elementwise::<T, F>(judging, |index| target[index], row),
                1.0,
            )
        }
    };
    Row {
        loss,
        weight,
        answer,
        rank,
    }
}

/// Where `value` first stands; 0 if it does not.
#[inline(always)]
fn position<T: Float>(row: &[T], value: T) -> usize {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let has = |chunk: &[T; LANES]| chunk.iter().fold(false, |has, &x| has | (x == value));
    let chunk = chunks.iter().position(has);
    let first = chunk.map_or(row.len() - rest.len(), |chunk| chunk * LANES);
    let inside = row[first..].iter().position(|&x| x == value);
    inside.map_or(0, |inside| first + inside)
}

/// How many outputs come before that of `class`: the larger ones, and the equal ones that stand before it.
#[inline(always)]
fn rank<T: Float>(row: &[T], class: usize, answer: usize, exact: bool) -> u32 {
    if !exact || class == answer {
        return u32::from(class != answer);
    }
    let own = row[class];
    let before = |row: &[T], comes: fn(T, T) -> bool| {
        row.iter()
            .fold(0u32, |count, &x| count + u32::from(comes(x, own)))
    };
    before(&row[..class], |x, own| x >= own) + before(&row[class + 1..], |x, own| x > own)
}

/// `row = exp(row - largest)` where it is to be kept, and the sum. A block is filled first and summed then: a loop that does both is
/// not vectorised.
#[inline(always)]
fn exponentials<T: Float, F: Functions<T>>(row: &mut [T], largest: T, keep: bool) -> T {
    let mut sums = [T::ZERO; LANES];
    let mut scratch = [T::ZERO; BLOCK];
    for block in row.chunks_mut(BLOCK) {
        let filled = if keep {
            for x in block.iter_mut() {
                *x = F::exponential(*x - largest);
            }
            &*block
        } else {
            for (place, &x) in scratch.iter_mut().zip(&*block) {
                *place = F::exponential(x - largest);
            }
            &scratch[..block.len()]
        };
        let (chunks, rest) = filled.as_chunks::<LANES>();
        for chunk in chunks {
            for (sum, &x) in sums.iter_mut().zip(chunk) {
                *sum += x;
            }
        }
        for (sum, &x) in sums.iter_mut().zip(rest) {
            *sum += x;
        }
    }
    sums.into_iter().fold(T::ZERO, |sum, lane| sum + lane)
}

/// Of a class: `q = weight · ((1 - ε) one_hot(class) + ε / classes)`, by each class's own weight in the second term.
#[inline(always)]
fn cross_entropy<T: Float, F: Functions<T>>(
    judging: &Judging<'_, T>,
    loss: &CrossEntropy,
    largest: T,
    (class, weight): (usize, f64),
    row: &mut [T],
) -> f64 {
    let spread = loss.label_smoothing / row.len() as f64;
    let own = (1.0 - loss.label_smoothing) * weight;
    let weights = judging.weights;
    // Σ q and Σ q (x - largest).
    let (mut mass, mut moment) = (own, own * (row[class] - largest).wide());
    if spread > 0.0 {
        let (all, sum) = if weights.is_empty() {
            let sum = total(row, row, |x, _| x - largest);
            (row.len() as f64, sum)
        } else {
            let all = total(weights, weights, |weight, _| weight);
            (
                all.wide(),
                total(row, weights, |x, weight| weight * (x - largest)),
            )
        };
        mass += spread * all;
        moment += spread * sum.wide();
    }
    let sum = exponentials::<T, F>(row, largest, judging.gradient);
    if judging.gradient {
        let scale = T::of(mass / sum.wide());
        let spread = T::of(spread);
        if spread == T::ZERO {
            row.iter_mut().for_each(|x| *x = *x * scale);
        } else if weights.is_empty() {
            row.iter_mut().for_each(|x| *x = *x * scale - spread);
        } else {
            let pairs = row.iter_mut().zip(weights);
            pairs.for_each(|(x, &weight)| *x = *x * scale - weight * spread);
        }
        row[class] = row[class] - T::of(own);
    }
    mass * sum.wide().logarithm() - moment
}

/// Of a distribution: `q = weight · ((1 - ε) target + ε / classes)`.
#[inline(always)]
fn soft_cross_entropy<T: Float, F: Functions<T>>(
    judging: &Judging<'_, T>,
    loss: &CrossEntropy,
    largest: T,
    target: &[T],
    row: &mut [T],
) -> f64 {
    let keep = T::of(1.0 - loss.label_smoothing);
    let spread = T::of(loss.label_smoothing / row.len() as f64);
    let weights = judging.weights;
    let q = |index: usize| {
        let weight = weights.get(index).copied().unwrap_or(T::ONE);
        weight * (target[index] * keep + spread)
    };
    assert_eq!(target.len(), row.len(), "a value for each output");
    let mass = total_by(row.len(), q);
    let moment = total_by(row.len(), |index| match q(index) {
        // What nothing is expected of may be -inf.
        q if q == T::ZERO => T::ZERO,
        q => q * (row[index] - largest),
    });
    let sum = exponentials::<T, F>(row, largest, judging.gradient);
    if judging.gradient {
        let scale = T::of(mass.wide() / sum.wide());
        for (index, x) in row.iter_mut().enumerate() {
            *x = *x * scale - q(index);
        }
    }
    mass.wide() * sum.wide().logarithm() - moment.wide()
}

/// A loss that is a sum over elements.
#[inline(always)]
fn elementwise<T: Float, F: Functions<T>>(
    judging: &Judging<'_, T>,
    target: impl Fn(usize) -> T,
    row: &mut [T],
) -> f64 {
    let half = T::of(0.5);
    match *judging.loss {
        Loss::Mse => each(judging.gradient, row, |index, x| {
            let distance = x - target(index);
            (distance * distance, distance + distance)
        }),
        Loss::L1 => each(judging.gradient, row, |index, x| {
            let distance = x - target(index);
            (magnitude(distance), sign(distance))
        }),
        Loss::Huber { delta } => {
            let delta = T::of(delta);
            each(judging.gradient, row, |index, x| {
                let distance = x - target(index);
                let far = magnitude(distance);
                if far <= delta {
                    (half * distance * distance, distance)
                } else {
                    (delta * (far - half * delta), delta * sign(distance))
                }
            })
        }
        Loss::BceWithLogits { .. } => {
            let weights = judging.weights;
            each(judging.gradient, row, |index, x| {
                let (target, far) = (target(index), magnitude(x));
                let weight = weights.get(index).copied().unwrap_or(T::ONE);
                let positive = weight * target;
                let both = positive + (T::ONE - target);
                // exp(-|x|), and -log σ(x) = log(1 + exp(-|x|)) + max(-x, 0)
                let small = F::exponential(-far);
                let upper = T::ONE / (T::ONE + small);
                let below = if x < T::ZERO { -x } else { T::ZERO };
                let sigmoid = if x < T::ZERO { small * upper } else { upper };
                let softplus = F::logarithm_of_one_more(small) + below;
                (
                    (T::ONE - target) * x + both * softplus,
                    both * sigmoid - positive,
                )
            })
        }
        Loss::CrossEntropy(_) => unreachable!("a cross entropy is no sum over elements"),
    }
}

/// The sum of the values of `term`, whose slopes take the row's place where they are asked for.
#[inline(always)]
fn each<T: Float>(gradient: bool, row: &mut [T], term: impl Fn(usize, T) -> (T, T)) -> f64 {
    if !gradient {
        return total_by(row.len(), |index| term(index, row[index]).0).wide();
    }
    let mut sums = [T::ZERO; LANES];
    let (chunks, rest) = row.as_chunks_mut::<LANES>();
    let whole = chunks.len() * LANES;
    for (chunk, first) in chunks.iter_mut().zip((0..).step_by(LANES)) {
        for (lane, (sum, x)) in sums.iter_mut().zip(chunk).enumerate() {
            let (value, slope) = term(first + lane, *x);
            *sum += value;
            *x = slope;
        }
    }
    for ((sum, x), index) in sums.iter_mut().zip(rest).zip(whole..) {
        let (value, slope) = term(index, *x);
        *sum += value;
        *x = slope;
    }
    sums.into_iter()
        .fold(T::ZERO, |sum, lane| sum + lane)
        .wide()
}

#[inline(always)]
fn magnitude<T: Float>(x: T) -> T {
    if x < T::ZERO { -x } else { x }
}

/// -1, 0 or 1.
#[inline(always)]
fn sign<T: Float>(x: T) -> T {
    if x > T::ZERO {
        T::ONE
    } else if x < T::ZERO {
        -T::ONE
    } else {
        T::ZERO
    }
}

#[cfg(test)]
mod tests;
