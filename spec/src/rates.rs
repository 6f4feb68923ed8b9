//! How fast a machine is, as measured on it: what a worker reports, and what turns a plan's work into time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What takes time in a step: kernels that are alike enough for one rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kernel {
    /// A convolution with what runs along, forward.
    ConvForward,
    /// The same backward.
    ConvBackward,
    /// A linear layer, forward.
    LinearForward,
    /// The same backward.
    LinearBackward,
    /// A pooling of its own, forward.
    PoolForward,
    /// The same backward.
    PoolBackward,
    /// A normalisation over the microbatch, forward.
    BatchNormForward,
    /// The same backward.
    BatchNormBackward,
    /// A normalisation inside a sample, forward.
    GroupNormForward,
    /// The same backward.
    GroupNormBackward,
    /// A function of one value with an exponential, or a softmax, forward.
    ActivationForward,
    /// The same backward.
    ActivationBackward,
    /// A pass over memory that computes next to nothing: a relu of its own, a sum of branches.
    Pass,
    /// The loss and its gradient.
    Loss,
    /// Sums of two microbatches' records added.
    Add,
    /// The update of parameters by SGD.
    Sgd,
    /// The same by Adam or AdamW.
    Adam,
    /// The same by RMSprop.
    RmsProp,
    /// The same by Adagrad.
    Adagrad,
    /// The digest of parameters.
    Digest,
}

impl Kernel {
    /// All kernels.
    pub const ALL: [Kernel; 20] = [
        Kernel::ConvForward,
        Kernel::ConvBackward,
        Kernel::LinearForward,
        Kernel::LinearBackward,
        Kernel::PoolForward,
        Kernel::PoolBackward,
        Kernel::BatchNormForward,
        Kernel::BatchNormBackward,
        Kernel::GroupNormForward,
        Kernel::GroupNormBackward,
        Kernel::ActivationForward,
        Kernel::ActivationBackward,
        Kernel::Pass,
        Kernel::Loss,
        Kernel::Add,
        Kernel::Sgd,
        Kernel::Adam,
        Kernel::RmsProp,
        Kernel::Adagrad,
        Kernel::Digest,
    ];

    /// Its name, in snake case.
    pub fn word(self) -> &'static str {
        match self {
            Kernel::ConvForward => "conv_forward",
            Kernel::ConvBackward => "conv_backward",
            Kernel::LinearForward => "linear_forward",
            Kernel::LinearBackward => "linear_backward",
            Kernel::PoolForward => "pool_forward",
            Kernel::PoolBackward => "pool_backward",
            Kernel::BatchNormForward => "batch_norm_forward",
            Kernel::BatchNormBackward => "batch_norm_backward",
            Kernel::GroupNormForward => "group_norm_forward",
            Kernel::GroupNormBackward => "group_norm_backward",
            Kernel::ActivationForward => "activation_forward",
            Kernel::ActivationBackward => "activation_backward",
            Kernel::Pass => "pass",
            Kernel::Loss => "loss",
            Kernel::Add => "add",
            Kernel::Sgd => "sgd",
            Kernel::Adam => "adam",
            Kernel::RmsProp => "rms_prop",
            Kernel::Adagrad => "adagrad",
            Kernel::Digest => "digest",
        }
    }

    /// The kernel of a name.
    pub fn of_word(word: &str) -> Option<Kernel> {
        Kernel::ALL.into_iter().find(|kernel| kernel.word() == word)
    }
}

/// What a call of a kernel does, in the units that its time is proportional to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Calls, or steps that must wait for each other.
    pub calls: f64,
    /// Floating-point operations; a multiply-add counts 2.
    pub flops: f64,
    /// Bytes of activations, or of whatever it passes over, read and written.
    pub bytes: f64,
    /// Bytes of parameters, or of their gradients, read and written.
    pub weight_bytes: f64,
}

impl Work {
    /// The units in a row.
    pub fn units(self) -> [f64; 4] {
        [self.calls, self.flops, self.bytes, self.weight_bytes]
    }
}

/// Seconds that a unit of each kind of work takes on one thread, alone on the machine. A call's time is the sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Of a call.
    pub call_s: f64,
    /// Of a floating-point operation.
    pub flop_s: f64,
    /// Of a byte.
    pub byte_s: f64,
    /// Of a byte of parameters.
    pub weight_byte_s: f64,
}

impl Rate {
    /// The prices in the order of [`Work::units`].
    pub fn prices(self) -> [f64; 4] {
        [self.call_s, self.flop_s, self.byte_s, self.weight_byte_s]
    }

    /// How long so much work takes.
    pub fn seconds(self, work: Work) -> f64 {
        let both = self.prices().into_iter().zip(work.units());
        both.map(|(price, units)| price * units).sum()
    }
}

impl From<[f64; 4]> for Rate {
    fn from([call_s, flop_s, byte_s, weight_byte_s]: [f64; 4]) -> Rate {
        Rate {
            call_s,
            flop_s,
            byte_s,
            weight_byte_s,
        }
    }
}

/// How fast a machine is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// The machine, so that workers of one are known as neighbours: its name and when it was started.
    pub machine: String,
    /// Cores that the measurements could run on.
    pub cores: u32,
    /// The kernels that were measured.
    pub kernels: BTreeMap<Kernel, Rate>,
    /// What each further thread of a rank adds, as a share of the first one's speed.
    pub thread_gain: f64,
    /// How much slower a core computes while all others do too, at least 1.
    pub crowding: f64,
    /// Seconds of a pass over memory that lies in no cache, for each byte read or written.
    pub far_byte_s: f64,
    /// A fold between ranks over loopback: seconds of each one, and of each byte of a record.
    pub fold_s: f64,
    /// See `fold_s`.
    pub fold_byte_s: f64,
    /// Seconds of a step beside kernels and fold: taking the batch, the row, its report.
    pub step_s: f64,
}

impl Rates {
    /// Whether every number is one, and none is negative.
    pub fn are_sane(&self) -> bool {
        let prices = self.kernels.values().flat_map(|rate| rate.prices());
        let others = [
            self.thread_gain,
            self.crowding,
            self.far_byte_s,
            self.fold_s,
            self.fold_byte_s,
            self.step_s,
        ];
        prices
            .chain(others)
            .all(|number| number.is_finite() && number >= 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_has_a_word_of_its_own_that_json_uses_too() {
        for kernel in Kernel::ALL {
            assert_eq!(Kernel::of_word(kernel.word()), Some(kernel));
            assert_eq!(serde_json::to_value(kernel).unwrap(), kernel.word());
        }
        assert_eq!(Kernel::of_word("abacus"), None);
    }

    #[test]
    fn time_is_the_sum_over_the_kinds_of_work() {
        let rate = Rate::from([1.0, 0.5, 0.25, 2.0]);
        let work = Work {
            calls: 3.0,
            flops: 4.0,
            bytes: 8.0,
            weight_bytes: 1.0,
        };
        assert_eq!(rate.seconds(work), 3.0 + 2.0 + 2.0 + 2.0);
        assert_eq!(rate.seconds(Work::default()), 0.0);
    }

    #[test]
    fn rates_that_are_no_numbers_are_told() {
        let mut rates = Rates::default();
        assert!(rates.are_sane());
        rates
            .kernels
            .insert(Kernel::Sgd, Rate::from([0.0, f64::NAN, 0.0, 0.0]));
        assert!(!rates.are_sane());
    }
}
