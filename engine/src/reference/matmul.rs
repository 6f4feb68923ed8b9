//! Products with a weight matrix.

use plan::Dense;

use crate::backend::{LinearBackward, LinearForward, MatMul};
use crate::float::Float;
use crate::reference::device::Reference;
use crate::reference::pointwise::{mask, relu};

impl<T: Float> MatMul for Reference<T> {
    fn linear_forward(&mut self, dense: &Dense, samples: usize, at: LinearForward) {
        let linear = &dense.linear;
        let [x, weight, bias, y] = self.numbers([Some(at.x), Some(at.weight), at.bias, Some(at.y)]);
        let y = &mut y[..samples * linear.outputs];
        for (x, y) in x
            .chunks_exact(linear.inputs)
            .zip(y.chunks_exact_mut(linear.outputs))
        {
            for (output, weight) in weight.chunks_exact(linear.inputs).enumerate() {
                let start = bias.get(output).copied().unwrap_or(T::ZERO);
                y[output] = x
                    .iter()
                    .zip(weight)
                    .fold(start, |sum, (&x, &weight)| sum + x * weight);
            }
        }
        if dense.relu {
            relu(y);
        }
    }

    fn linear_backward(&mut self, dense: &Dense, samples: usize, at: LinearBackward) {
        let (inputs, outputs) = (dense.linear.inputs, dense.linear.outputs);
        let [x, weight, y, dy, dw, db, dx] = self.numbers([
            Some(at.x),
            Some(at.weight),
            at.y,
            Some(at.y_gradient),
            Some(at.weight_gradient),
            at.bias_gradient,
            at.x_gradient,
        ]);
        let dy = &mut dy[..samples * outputs];
        if dense.relu {
            mask(y, dy);
        }
        dw.fill(T::ZERO);
        db.fill(T::ZERO);
        dx.fill(T::ZERO);
        for (sample, dy) in dy.chunks_exact(outputs).enumerate() {
            let row = sample * inputs..(sample + 1) * inputs;
            for (output, &dy) in dy.iter().enumerate() {
                let weights = output * inputs..(output + 1) * inputs;
                for (dw, &x) in dw[weights.clone()].iter_mut().zip(&x[row.clone()]) {
                    *dw += dy * x;
                }
                if let Some(db) = db.get_mut(output) {
                    *db += dy;
                }
                if !dx.is_empty() {
                    for (dx, &weight) in dx[row.clone()].iter_mut().zip(&weight[weights]) {
                        *dx += dy * weight;
                    }
                }
            }
        }
    }
}
