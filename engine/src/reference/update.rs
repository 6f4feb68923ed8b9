//! One pass over all parameters.

use crate::backend::{
    Adagrad, AdagradOperands, Adam, AdamOperands, Gradient, RmsProp, RmsPropOperands, Sgd,
    SgdOperands, Update, View,
};
use crate::float::Float;
use crate::reference::device::Reference;

impl<T: Float> Update for Reference<T> {
    fn sgd(&mut self, sgd: &Sgd, at: SgdOperands) {
        let [parameters, gradient, momentum] =
            self.numbers([Some(at.parameters), Some(sgd.gradient.sums), at.momentum]);
        block_sgd(sgd, parameters, gradient, momentum);
    }

    fn adam(&mut self, adam: &Adam, at: AdamOperands) {
        let views = [
            at.parameters,
            adam.gradient.sums,
            at.first_moment,
            at.second_moment,
        ];
        let [parameters, gradient, first, second] = self.numbers(views.map(Some));
        block_adam(adam, parameters, gradient, first, second);
    }

    fn rmsprop(&mut self, rmsprop: &RmsProp, at: RmsPropOperands) {
        let views = [at.parameters, rmsprop.gradient.sums, at.mean_square];
        let [parameters, gradient, square] = views.map(Some);
        let [parameters, gradient, square, momentum] =
            self.numbers([parameters, gradient, square, at.momentum]);
        block_rmsprop(rmsprop, parameters, gradient, square, momentum);
    }

    fn adagrad(&mut self, adagrad: &Adagrad, at: AdagradOperands) {
        let views = [at.parameters, adagrad.gradient.sums, at.square_sum];
        let [parameters, gradient, sum] = self.numbers(views.map(Some));
        block_adagrad(adagrad, parameters, gradient, sum);
    }

    fn average(&mut self, way: f64, parameters: View, averages: View) {
        let [parameters, averages] = self.numbers([Some(parameters), Some(averages)]);
        block_average(way, parameters, averages);
    }
}

/// The numbers of [`Gradient`] as `T`.
#[derive(Clone, Copy)]
struct Mean<T> {
    scale: T,
    bound: T,
}

impl<T: Float> Mean<T> {
    fn new(gradient: &Gradient) -> Mean<T> {
        Mean {
            scale: T::of(gradient.factor / gradient.divisor),
            bound: T::of(gradient.bound),
        }
    }

    /// One value from its sum; NaN stays.
    #[inline(always)]
    fn of(&self, sum: T) -> T {
        let mean = sum * self.scale;
        if mean > self.bound {
            self.bound
        } else if mean < -self.bound {
            -self.bound
        } else {
            mean
        }
    }
}

/// PyTorch's SGD. A momentum that starts from 0 is the gradient after its first step.
#[inline(always)]
pub(crate) fn block_sgd<T: Float>(
    sgd: &Sgd,
    parameters: &mut [T],
    gradient: &[T],
    momentum: &mut [T],
) {
    let [lr, keep, decay] = [sgd.lr, sgd.momentum, sgd.weight_decay].map(T::of);
    let mean = Mean::new(&sgd.gradient);
    if momentum.is_empty() {
        for (parameter, &gradient) in parameters.iter_mut().zip(gradient) {
            *parameter = *parameter - lr * (mean.of(gradient) + decay * *parameter);
        }
        return;
    }
    let all = parameters.iter_mut().zip(gradient).zip(momentum);
    if sgd.nesterov {
        for ((parameter, &gradient), momentum) in all {
            let gradient = mean.of(gradient) + decay * *parameter;
            *momentum = keep * *momentum + gradient;
            *parameter = *parameter - lr * (gradient + keep * *momentum);
        }
    } else {
        for ((parameter, &gradient), momentum) in all {
            *momentum = keep * *momentum + (mean.of(gradient) + decay * *parameter);
            *parameter = *parameter - lr * *momentum;
        }
    }
}

/// PyTorch's Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019), the corrections of both moments taken into
/// the step.
#[inline(always)]
pub(crate) fn block_adam<T: Float>(
    adam: &Adam,
    parameters: &mut [T],
    gradient: &[T],
    first: &mut [T],
    second: &mut [T],
) {
    let [keep1, keep2] = adam.betas.map(T::of);
    let [new1, new2] = adam.betas.map(|beta| T::of(1.0 - beta));
    let [eps, decay, keep] = [adam.eps, adam.weight_decay, adam.keep].map(T::of);
    let [step, correction] = [adam.step_size, 1.0 / adam.second_correction].map(T::of);
    let mean = Mean::new(&adam.gradient);
    let moments = first.iter_mut().zip(second);
    for ((parameter, &gradient), (first, second)) in
        parameters.iter_mut().zip(gradient).zip(moments)
    {
        let gradient = mean.of(gradient) + decay * *parameter;
        *first = keep1 * *first + new1 * gradient;
        *second = keep2 * *second + new2 * (gradient * gradient);
        *parameter = keep * *parameter - step * (*first / (second.root() * correction + eps));
    }
}

/// PyTorch's RMSprop, not centred (Tieleman and Hinton 2012).
#[inline(always)]
pub(crate) fn block_rmsprop<T: Float>(
    rmsprop: &RmsProp,
    parameters: &mut [T],
    gradient: &[T],
    square: &mut [T],
    momentum: &mut [T],
) {
    let [lr, alpha, new] = [rmsprop.lr, rmsprop.alpha, 1.0 - rmsprop.alpha].map(T::of);
    let [eps, keep, decay] = [rmsprop.eps, rmsprop.momentum, rmsprop.weight_decay].map(T::of);
    let mean = Mean::new(&rmsprop.gradient);
    let all = parameters.iter_mut().zip(gradient).zip(square);
    let scaled = |parameter: T, gradient: T, square: &mut T| {
        let gradient = mean.of(gradient) + decay * parameter;
        *square = alpha * *square + new * (gradient * gradient);
        gradient / (square.root() + eps)
    };
    if momentum.is_empty() {
        for ((parameter, &gradient), square) in all {
            *parameter = *parameter - lr * scaled(*parameter, gradient, square);
        }
    } else {
        for (((parameter, &gradient), square), momentum) in all.zip(momentum) {
            *momentum = keep * *momentum + scaled(*parameter, gradient, square);
            *parameter = *parameter - lr * *momentum;
        }
    }
}

/// PyTorch's Adagrad (Duchi, Hazan and Singer 2011).
#[inline(always)]
pub(crate) fn block_adagrad<T: Float>(
    adagrad: &Adagrad,
    parameters: &mut [T],
    gradient: &[T],
    sum: &mut [T],
) {
    let [lr, eps, decay] = [adagrad.lr, adagrad.eps, adagrad.weight_decay].map(T::of);
    let mean = Mean::new(&adagrad.gradient);
    for ((parameter, &gradient), sum) in parameters.iter_mut().zip(gradient).zip(sum) {
        let gradient = mean.of(gradient) + decay * *parameter;
        *sum += gradient * gradient;
        *parameter = *parameter - lr * (gradient / (sum.root() + eps));
    }
}

/// One block of [`Update::average`].
#[inline(always)]
pub(crate) fn block_average<T: Float>(way: f64, parameters: &[T], averages: &mut [T]) {
    let [weight, rest] = [way, 1.0 - way].map(T::of);
    if way < 0.5 {
        for (average, &parameter) in averages.iter_mut().zip(parameters) {
            *average = *average + weight * (parameter - *average);
        }
    } else {
        // So that all of the way ends at the parameter exactly.
        for (average, &parameter) in averages.iter_mut().zip(parameters) {
            *average = parameter - (parameter - *average) * rest;
        }
    }
}
