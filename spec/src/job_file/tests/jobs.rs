//! Jobs of every kind, for properties.

use proptest::prelude::*;

use super::models::model;
use crate::digest::Digest;
use crate::ema::Ema;
use crate::group::{Group, GroupRate};
use crate::init::{Fan, Gain, InitRule, Kaiming, Nonlinearity, Values};
use crate::job::{
    Checkpointing, Clip, Data, Device, Job, Length, Normalize, Optimizer, Resources, SplitRef,
    Training, Validate, Validation,
};
use crate::loss::{ClassWeights, CrossEntropy, Loss, PosWeight};
use crate::metric::Metric;
use crate::monitor::Monitor;
use crate::schedule::{Every, LrSchedule, ScheduleKind};

fn name() -> impl Strategy<Value = String> {
    "[a-z0-9][a-z0-9._-]{0,12}"
}

fn split_ref() -> impl Strategy<Value = SplitRef> {
    let digest = prop::option::of(any::<[u8; 32]>().prop_map(Digest));
    (name(), digest, name()).prop_map(|(dataset, digest, split)| SplitRef {
        dataset,
        digest,
        split,
    })
}

fn optimizer() -> impl Strategy<Value = Optimizer> {
    let rate = || prop_oneof![1e-300..1e6, Just(f64::MIN_POSITIVE), Just(1e6), 1e-6..1.0];
    let decay = || prop_oneof![0.0..1.0, Just(0.0), Just(1.0 - f64::EPSILON)];
    let weight_decay = || prop_oneof![0.0..1e6, Just(0.0)];
    prop_oneof![
        (rate(), decay(), any::<bool>(), weight_decay()).prop_map(
            |(lr, momentum, nesterov, weight_decay)| Optimizer::Sgd {
                lr,
                momentum,
                nesterov: nesterov && momentum > 0.0,
                weight_decay
            }
        ),
        (
            rate(),
            [decay(), decay()],
            1e-30..1.0,
            weight_decay(),
            any::<bool>()
        )
            .prop_map(|(lr, betas, eps, weight_decay, decoupled)| {
                if decoupled {
                    Optimizer::AdamW {
                        lr,
                        betas,
                        eps,
                        weight_decay,
                    }
                } else {
                    Optimizer::Adam {
                        lr,
                        betas,
                        eps,
                        weight_decay,
                    }
                }
            }),
        (rate(), decay(), 1e-30..1.0, decay(), weight_decay()).prop_map(
            |(lr, alpha, eps, momentum, weight_decay)| Optimizer::RmsProp {
                lr,
                alpha,
                eps,
                momentum,
                weight_decay
            }
        ),
        (rate(), weight_decay(), 1e-30..1.0, weight_decay()).prop_map(
            |(lr, lr_decay, eps, weight_decay)| Optimizer::Adagrad {
                lr,
                lr_decay,
                eps,
                weight_decay
            }
        ),
    ]
}

/// A loss and metrics that it has.
fn loss() -> impl Strategy<Value = (Loss, Vec<Metric>)> {
    let weights = || prop::collection::vec(1e-12..1e6, 1..5);
    let class_weights = prop_oneof![
        Just(ClassWeights::Balanced),
        weights().prop_map(ClassWeights::Given)
    ];
    let pos_weight = prop_oneof![
        (1e-12..1e6).prop_map(PosWeight::All),
        weights().prop_map(PosWeight::Each)
    ];
    let cross_entropy = (
        0.0..1.0,
        prop::option::of(any::<u32>()),
        prop::option::of(class_weights),
    );
    let cross_entropy = cross_entropy.prop_map(|(label_smoothing, ignore_index, class_weights)| {
        Loss::CrossEntropy(CrossEntropy {
            label_smoothing,
            ignore_index,
            class_weights,
        })
    });
    let loss = prop_oneof![
        cross_entropy,
        Just(Loss::Mse),
        Just(Loss::L1),
        (1e-300..1e6).prop_map(|delta| Loss::Huber { delta }),
        prop::option::of(pos_weight).prop_map(|pos_weight| Loss::BceWithLogits { pos_weight }),
    ];
    let metrics = prop::sample::subsequence(
        vec![
            Metric::F1,
            Metric::Accuracy,
            Metric::Top(7),
            Metric::Perplexity,
            Metric::Top(1_000_000),
        ],
        0..=5,
    );
    (loss, metrics).prop_map(|(loss, mut metrics)| {
        if !matches!(loss, Loss::CrossEntropy(_)) {
            metrics.retain(|metric| *metric != Metric::Perplexity);
        }
        (loss, metrics)
    })
}

fn lr_schedule(lr: f64) -> impl Strategy<Value = LrSchedule> {
    let share = || prop_oneof![1e-12..1.0, Just(0.5)];
    let every = prop_oneof![
        (1u64..1 << 39).prop_map(Every::Steps),
        (1u32..1_000_000).prop_map(Every::Epochs)
    ];
    let kind = prop_oneof![
        Just(ScheduleKind::Constant),
        share().prop_map(|end| ScheduleKind::Linear { end }),
        (every, share()).prop_map(|(every, gamma)| ScheduleKind::Step { every, gamma }),
        share().prop_map(|gamma| ScheduleKind::Exponential { gamma }),
        share().prop_map(move |share| ScheduleKind::Cosine { min_lr: share * lr }),
        (1e-6..1e6, share(), 1.0..1e12, 1.0..1e12).prop_map(
            |(max_lr, warmup_fraction, div_factor, final_div_factor)| ScheduleKind::OneCycle {
                max_lr,
                warmup_fraction,
                div_factor,
                final_div_factor
            }
        ),
    ];
    (0u64..1 << 39, kind).prop_map(|(warmup_steps, kind)| LrSchedule {
        warmup_steps: match kind {
            ScheduleKind::OneCycle { .. } => 0,
            _ => warmup_steps,
        },
        kind,
    })
}

fn groups() -> impl Strategy<Value = Vec<Group>> {
    let pattern = "[a-z0-9_.*?\"\\\\-]{1,9}";
    let rate = prop_oneof![
        Just(GroupRate::Same),
        (1e-9..1e6).prop_map(GroupRate::Scaled),
        (1e-9..1e6).prop_map(GroupRate::Own),
    ];
    let trained = (rate, prop::option::of(0.0..1e6)).prop_map(|(rate, decay)| (rate, decay, false));
    let treated = prop_oneof![trained, Just((GroupRate::Same, None, true))];
    let group = (prop::collection::vec(pattern, 1..4), treated).prop_map(
        |(patterns, (rate, weight_decay, frozen))| Group {
            patterns,
            rate,
            weight_decay,
            frozen,
        },
    );
    prop::collection::vec(group, 0..4)
}

fn init() -> impl Strategy<Value = Vec<InitRule>> {
    let function = || {
        prop::sample::select(vec![
            Nonlinearity::Linear,
            Nonlinearity::Sigmoid,
            Nonlinearity::Tanh,
            Nonlinearity::Relu,
            Nonlinearity::LeakyRelu,
            Nonlinearity::Selu,
        ])
    };
    let gain = || {
        prop_oneof![
            (1e-9..1e6).prop_map(Gain::Number),
            function().prop_map(Gain::Of)
        ]
    };
    let kaiming = || {
        let mode = prop::sample::select(vec![Fan::In, Fan::Out]);
        (mode, function(), 0.0..1e6).prop_map(|(mode, nonlinearity, slope)| Kaiming {
            mode,
            nonlinearity,
            slope,
        })
    };
    let values = prop_oneof![
        gain().prop_map(|gain| Values::XavierUniform { gain }),
        gain().prop_map(|gain| Values::XavierNormal { gain }),
        gain().prop_map(|gain| Values::Orthogonal { gain }),
        kaiming().prop_map(Values::KaimingUniform),
        kaiming().prop_map(Values::KaimingNormal),
        (-1e6..1e6, 0.0..1e6).prop_map(|(mean, std)| Values::Normal { mean, std }),
        (-1e6..0.0, 0.0..1e6).prop_map(|(low, high)| Values::Uniform { low, high }),
        (-1e6..1e6).prop_map(|value| Values::Constant { value }),
    ];
    let rule = (prop::collection::vec("[a-z0-9_.*?]{1,9}", 1..3), values)
        .prop_map(|(patterns, values)| InitRule { patterns, values });
    prop::collection::vec(rule, 0..3)
}

fn ema() -> impl Strategy<Value = Option<Ema>> {
    let ema = (1e-9..1.0, 1u64..1 << 39, 1u64..1 << 39);
    prop::option::of(ema.prop_map(|(decay, start_step, every_steps)| Ema {
        decay,
        start_step,
        every_steps,
    }))
}

fn training() -> impl Strategy<Value = Training> {
    let length = prop_oneof![
        (1u32..=1_000_000).prop_map(Length::Epochs),
        (1u64..=1_000_000_000_000).prop_map(Length::Steps)
    ];
    let shape = (1u32..=64, 1u32..=4096, any::<prop::sample::Index>());
    (
        length,
        shape,
        0..=i64::MAX as u64,
        any::<bool>(),
        optimizer().prop_flat_map(|optimizer| (Just(optimizer), lr_schedule(optimizer.lr()))),
        any::<bool>(),
        1u32..=1_000_000,
        (groups(), ema(), init()),
        loss(),
    )
        .prop_map(
            |(
                length,
                (samples, full, last),
                seed,
                drop_last,
                (optimizer, lr_schedule),
                loss,
                every_epochs,
                (groups, ema, init),
                (kind, metrics),
            )| Training {
                length,
                // All microbatches full but the last, which has at least one sample.
                batch_size: samples * (full - 1) + last.index(samples as usize) as u32 + 1,
                microbatches: full,
                seed,
                init,
                drop_last,
                loss: kind,
                metrics,
                optimizer,
                groups,
                ema,
                lr_schedule,
                clip: loss.then_some(if drop_last {
                    Clip::Norm(lr_schedule.warmup_steps as f64 / 1e9 + 0.5)
                } else {
                    Clip::Value(0.1)
                }),
                monitor: if loss {
                    Monitor::Loss
                } else {
                    Monitor::Metric(Metric::Accuracy)
                },
                early_stopping: None,
                validate: Validate { every_epochs },
            },
        )
}

/// Any job that can be.
pub(super) fn job() -> impl Strategy<Value = Job> {
    let validation = prop_oneof![
        split_ref().prop_map(Validation::Split),
        (1e-12..1.0).prop_map(Validation::Fraction),
    ];
    let normalize =
        prop::sample::select(vec![Normalize::None, Normalize::Unit, Normalize::Standard]);
    let length = prop::option::of(1u32..=65_536);
    let data = (split_ref(), prop::option::of(validation), normalize, length).prop_map(
        |(train, validation, normalize, sequence_length)| Data {
            train,
            validation,
            normalize,
            sequence_length,
        },
    );
    let checkpoint = (
        prop::option::of(1u64..=1_000_000_000_000),
        1u32..=1_000_000,
        0u32..=1_000_000,
    )
        .prop_map(|(every_steps, keep_last, keep_best)| Checkpointing {
            every_steps,
            keep_last,
            keep_best,
        });
    (
        name(),
        data,
        model(),
        training(),
        any::<prop::sample::Index>(),
        1u32..=1024,
        checkpoint,
    )
        .prop_map(
            |(name, data, model, training, ranks, threads, checkpoint)| {
                let ranks = ranks.index(training.microbatches as usize) as u32 + 1;
                let resources = Resources {
                    device: Device::Cpu,
                    ranks,
                    threads,
                };
                Job {
                    name,
                    data,
                    model,
                    training,
                    resources,
                    checkpoint,
                }
            },
        )
}
