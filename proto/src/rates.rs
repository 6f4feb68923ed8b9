//! How fast a worker's machine is.

use spec::rates::{Kernel, Rate, Rates};

use crate::error::Error;
use crate::v1;

impl From<&Rates> for v1::Rates {
    fn from(rates: &Rates) -> Self {
        let kernel = |(kernel, rate): (&Kernel, &Rate)| v1::KernelRate {
            kernel: kernel.word().to_string(),
            call_s: rate.call_s,
            flop_s: rate.flop_s,
            byte_s: rate.byte_s,
            weight_byte_s: rate.weight_byte_s,
        };
        v1::Rates {
            machine: rates.machine.clone(),
            cores: rates.cores,
            kernels: rates.kernels.iter().map(kernel).collect(),
            thread_gain: rates.thread_gain,
            crowding: rates.crowding,
            far_byte_s: rates.far_byte_s,
            fold_s: rates.fold_s,
            fold_byte_s: rates.fold_byte_s,
            step_s: rates.step_s,
        }
    }
}

impl TryFrom<v1::Rates> for Rates {
    type Error = Error;

    fn try_from(rates: v1::Rates) -> Result<Self, Error> {
        let kernels = rates.kernels.into_iter().filter_map(|rate| {
            let prices = [rate.call_s, rate.flop_s, rate.byte_s, rate.weight_byte_s];
            Some((Kernel::of_word(&rate.kernel)?, Rate::from(prices)))
        });
        let rates = Rates {
            machine: rates.machine,
            cores: rates.cores,
            kernels: kernels.collect(),
            thread_gain: rates.thread_gain,
            crowding: rates.crowding,
            far_byte_s: rates.far_byte_s,
            fold_s: rates.fold_s,
            fold_byte_s: rates.fold_byte_s,
            step_s: rates.step_s,
        };
        if rates.are_sane() {
            Ok(rates)
        } else {
            Err(Error::unreadable(
                "rates",
                "a rate that is negative or no number",
            ))
        }
    }
}
