//! One pass over all parameters.

use crate::backend::{Adam, AdamOperands, Sgd, SgdOperands, Update};
use crate::float::Float;
use crate::reference::device::Reference;

impl<T: Float> Update for Reference<T> {
    fn sgd(&mut self, sgd: &Sgd, at: SgdOperands) {
        let [parameters, gradient, momentum] =
            self.numbers([Some(at.parameters), Some(at.gradient), at.momentum]);
        block_sgd(sgd, parameters, gradient, momentum);
    }

    fn adam(&mut self, adam: &Adam, at: AdamOperands) {
        let views = [
            at.parameters,
            at.gradient,
            at.first_moment,
            at.second_moment,
        ];
        let [parameters, gradient, first, second] = self.numbers(views.map(Some));
        block_adam(adam, parameters, gradient, first, second);
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
    let [lr, keep, decay, divisor] =
        [sgd.lr, sgd.momentum, sgd.weight_decay, sgd.divisor].map(T::of);
    if momentum.is_empty() {
        for (parameter, &gradient) in parameters.iter_mut().zip(gradient) {
            *parameter = *parameter - lr * (gradient / divisor + decay * *parameter);
        }
    } else {
        for ((parameter, &gradient), momentum) in parameters.iter_mut().zip(gradient).zip(momentum)
        {
            *momentum = keep * *momentum + (gradient / divisor + decay * *parameter);
            *parameter = *parameter - lr * *momentum;
        }
    }
}

/// PyTorch's Adam (Kingma and Ba 2015), the corrections of both moments taken into the step.
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
    let [eps, decay, divisor] = [adam.eps, adam.weight_decay, adam.divisor].map(T::of);
    let [step, correction] = [adam.step_size, adam.second_correction].map(T::of);
    let moments = first.iter_mut().zip(second);
    for ((parameter, &gradient), (first, second)) in
        parameters.iter_mut().zip(gradient).zip(moments)
    {
        let gradient = gradient / divisor + decay * *parameter;
        *first = keep1 * *first + new1 * gradient;
        *second = keep2 * *second + new2 * (gradient * gradient);
        *parameter = *parameter - step * (*first / (second.root() / correction + eps));
    }
}
