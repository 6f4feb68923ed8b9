//! From an optimiser of a job to the numbers of one update: what depends on the step is computed here, once.

use spec::job::Optimizer;

use crate::backend::{
    Adagrad, AdagradOperands, Adam, AdamOperands, Backend, Gradient, RmsProp, RmsPropOperands, Sgd,
    SgdOperands, View,
};

/// The buffers that an update changes.
pub(crate) struct Flat {
    pub parameters: View,
    /// As the plan orders them.
    pub state: Vec<View>,
}

/// Updates all parameters by step number `step`, from 1, at learning rate `lr`.
pub(crate) fn update(
    device: &mut dyn Backend,
    optimizer: &Optimizer,
    (step, lr): (u64, f64),
    gradient: Gradient,
    Flat { parameters, state }: Flat,
) {
    let moments = |betas: [f64; 2], eps, weight_decay, keep| {
        let [left1, left2] = betas.map(|beta| 1.0 - libm::pow(beta, step as f64));
        Adam {
            gradient,
            betas,
            eps,
            weight_decay,
            keep,
            step_size: lr / left1,
            second_correction: left2.sqrt(),
        }
    };
    match (*optimizer, &state[..]) {
        (
            Optimizer::Sgd {
                momentum,
                nesterov,
                weight_decay,
                ..
            },
            state,
        ) => {
            let sgd = Sgd {
                gradient,
                lr,
                momentum,
                nesterov,
                weight_decay,
            };
            let momentum = state.first().copied();
            device.sgd(
                &sgd,
                SgdOperands {
                    parameters,
                    momentum,
                },
            );
        }
        (
            Optimizer::Adam {
                betas,
                eps,
                weight_decay,
                ..
            },
            &[first_moment, second_moment],
        ) => device.adam(
            &moments(betas, eps, weight_decay, 1.0),
            AdamOperands {
                parameters,
                first_moment,
                second_moment,
            },
        ),
        (
            Optimizer::AdamW {
                betas,
                eps,
                weight_decay,
                ..
            },
            &[first_moment, second_moment],
        ) => device.adam(
            &moments(betas, eps, 0.0, 1.0 - lr * weight_decay),
            AdamOperands {
                parameters,
                first_moment,
                second_moment,
            },
        ),
        (
            Optimizer::RmsProp {
                alpha,
                eps,
                momentum,
                weight_decay,
                ..
            },
            &[mean_square, ref rest @ ..],
        ) => {
            let rmsprop = RmsProp {
                gradient,
                lr,
                alpha,
                eps,
                momentum,
                weight_decay,
            };
            let momentum = rest.first().copied();
            device.rmsprop(
                &rmsprop,
                RmsPropOperands {
                    parameters,
                    mean_square,
                    momentum,
                },
            );
        }
        (
            Optimizer::Adagrad {
                lr_decay,
                eps,
                weight_decay,
                ..
            },
            &[square_sum],
        ) => {
            let adagrad = Adagrad {
                gradient,
                lr: lr / (1.0 + (step - 1) as f64 * lr_decay),
                eps,
                weight_decay,
            };
            device.adagrad(
                &adagrad,
                AdagradOperands {
                    parameters,
                    square_sum,
                },
            );
        }
        (
            Optimizer::Adam { .. }
            | Optimizer::AdamW { .. }
            | Optimizer::RmsProp { .. }
            | Optimizer::Adagrad { .. },
            _,
        ) => unreachable!("the plan gives every optimiser its state"),
    }
}
