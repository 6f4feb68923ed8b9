use super::{FULL, SMALL};
use crate::ema::Ema;
use crate::group::{Group, GroupRate};
use crate::init::{Fan, InitRule, Kaiming, Nonlinearity, Values};
use crate::job::{
    Checkpointing, Clip, Data, Device, Job, Length, Normalize, Optimizer, Resources, SplitRef,
    Training, Validate, Validation,
};
use crate::job_file::{layer_positions, parse, parse_split};
use crate::loss::{ClassWeights, CrossEntropy, Loss};
use crate::metric::Metric;
use crate::model::{Conv2d, Layer, LayerKind, Linear, MaxPool2d, Model, Pair, Size};
use crate::monitor::{EarlyStopping, Monitor};
use crate::schedule::{Every, LrSchedule, ScheduleKind};

fn split(dataset: &str, split: &str) -> SplitRef {
    SplitRef {
        dataset: dataset.to_string(),
        digest: None,
        split: split.to_string(),
    }
}

fn plain(kind: LayerKind) -> Layer {
    Layer { name: None, kind }
}

fn named(name: &str, kind: LayerKind) -> Layer {
    Layer {
        name: Some(name.to_string()),
        kind,
    }
}

#[test]
fn what_is_not_said_has_its_default() {
    let expected = Job {
        name: "digits".to_string(),
        data: Data {
            train: split("digits", "train"),
            validation: None,
            normalize: Normalize::Standard,
            sequence_length: None,
        },
        model: Model {
            layers: vec![
                plain(LayerKind::Flatten),
                plain(LayerKind::Linear(Linear {
                    units: Size::Classes,
                    bias: true,
                    tied: None,
                })),
            ],
        },
        training: Training {
            length: Length::Epochs(3),
            batch_size: 64,
            microbatches: 8,
            seed: 42,
            init: Vec::new(),
            drop_last: false,
            loss: Loss::CROSS_ENTROPY,
            metrics: vec![Metric::Accuracy],
            optimizer: Optimizer::Adam {
                lr: 1e-3,
                betas: [0.9, 0.999],
                eps: 1e-8,
                weight_decay: 0.0,
            },
            groups: Vec::new(),
            ema: None,
            lr_schedule: LrSchedule::CONSTANT,
            clip: None,
            monitor: Monitor::Loss,
            early_stopping: None,
            validate: Validate { every_epochs: 1 },
        },
        resources: Resources {
            device: Device::Cpu,
            ranks: 1,
            threads: 1,
        },
        checkpoint: Checkpointing {
            every_steps: None,
            keep_last: 3,
            keep_best: 1,
        },
    };
    assert_eq!(parse(SMALL), Ok(expected));
}

#[test]
fn what_is_said_is_kept() {
    let expected = Job {
        name: "fashion-cnn".to_string(),
        data: Data {
            train: split("fashion-mnist", "train"),
            validation: Some(Validation::Fraction(0.25)),
            normalize: Normalize::Unit,
            sequence_length: Some(128),
        },
        model: Model {
            layers: vec![
                named(
                    "conv1",
                    LayerKind::Conv2d(Conv2d {
                        filters: 32,
                        kernel: Pair { h: 5, w: 3 },
                        stride: Pair::both(2),
                        padding: Pair { h: 2, w: 1 },
                        dilation: Pair::both(1),
                        groups: 1,
                        bias: false,
                    }),
                ),
                plain(LayerKind::Relu),
                plain(LayerKind::MaxPool2d(MaxPool2d {
                    kernel: Pair::both(3),
                    stride: Pair::both(2),
                    padding: Pair::both(1),
                })),
                named("act-2", LayerKind::Relu),
                plain(LayerKind::Flatten),
                plain(LayerKind::Linear(Linear {
                    units: Size::Count(128),
                    bias: false,
                    tied: None,
                })),
                named(
                    "head",
                    LayerKind::Linear(Linear {
                        units: Size::Classes,
                        bias: true,
                        tied: None,
                    }),
                ),
            ],
        },
        training: Training {
            length: Length::Steps(2000),
            batch_size: 250,
            microbatches: 10,
            seed: i64::MAX as u64,
            init: vec![InitRule {
                patterns: vec!["*.weight".to_string()],
                values: Values::KaimingNormal(Kaiming {
                    mode: Fan::Out,
                    nonlinearity: Nonlinearity::Relu,
                    slope: 0.0,
                }),
            }],
            drop_last: true,
            loss: Loss::CrossEntropy(CrossEntropy {
                label_smoothing: 0.1,
                ignore_index: Some(3),
                class_weights: Some(ClassWeights::Balanced),
            }),
            metrics: vec![
                Metric::Accuracy,
                Metric::Top(3),
                Metric::F1,
                Metric::Perplexity,
            ],
            optimizer: Optimizer::Sgd {
                lr: 1.0,
                momentum: 0.9,
                nesterov: false,
                weight_decay: 1e-4,
            },
            groups: vec![
                Group {
                    patterns: vec!["conv1.*".to_string(), "act-?.*".to_string()],
                    rate: GroupRate::Same,
                    weight_decay: None,
                    frozen: true,
                },
                Group {
                    patterns: vec!["*.bias".to_string()],
                    rate: GroupRate::Scaled(2.0),
                    weight_decay: Some(0.0),
                    frozen: false,
                },
            ],
            ema: Some(Ema {
                decay: 0.99,
                start_step: 10,
                every_steps: 2,
            }),
            lr_schedule: LrSchedule {
                warmup_steps: 100,
                kind: ScheduleKind::Cosine { min_lr: 1e-3 },
            },
            clip: Some(Clip::Norm(5.0)),
            monitor: Monitor::Metric(Metric::F1),
            early_stopping: Some(EarlyStopping {
                patience: 4,
                min_delta: 0.01,
            }),
            validate: Validate { every_epochs: 2 },
        },
        resources: Resources {
            device: Device::Cpu,
            ranks: 3,
            threads: 2,
        },
        checkpoint: Checkpointing {
            every_steps: Some(200),
            keep_last: 5,
            keep_best: 2,
        },
    };
    assert_eq!(parse(FULL), Ok(expected));
}

#[test]
fn an_optimizer_is_a_word_or_a_table() {
    let optimizer = |value: &str| {
        let text = format!("{SMALL}optimizer = {value}\n");
        parse(&text).expect("a job").training.optimizer
    };
    let adam = |lr| Optimizer::Adam {
        lr,
        betas: [0.9, 0.999],
        eps: 1e-8,
        weight_decay: 0.0,
    };
    assert_eq!(optimizer("\"adam\""), adam(1e-3));
    assert_eq!(optimizer("{ adam = {} }"), adam(1e-3));
    assert_eq!(optimizer("{ adam = { lr = 0.5 } }"), adam(0.5));
    let sgd = Optimizer::Sgd {
        lr: 0.01,
        momentum: 0.0,
        nesterov: false,
        weight_decay: 0.0,
    };
    assert_eq!(optimizer("\"sgd\""), sgd);
    assert_eq!(optimizer("{ sgd = {} }"), sgd);
    assert_eq!(
        optimizer("{ sgd = { momentum = 0.9, nesterov = true } }"),
        Optimizer::Sgd {
            lr: 0.01,
            momentum: 0.9,
            nesterov: true,
            weight_decay: 0.0,
        }
    );
    assert_eq!(
        optimizer("\"adamw\""),
        Optimizer::AdamW {
            lr: 1e-3,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 1e-2,
        }
    );
    assert_eq!(
        optimizer("\"rmsprop\""),
        Optimizer::RmsProp {
            lr: 1e-2,
            alpha: 0.99,
            eps: 1e-8,
            momentum: 0.0,
            weight_decay: 0.0,
        }
    );
    assert_eq!(
        optimizer("{ adagrad = { lr_decay = 0.1 } }"),
        Optimizer::Adagrad {
            lr: 1e-2,
            lr_decay: 0.1,
            eps: 1e-10,
            weight_decay: 0.0,
        }
    );
}

#[test]
fn a_schedule_is_a_word_or_a_table() {
    let schedule = |value: &str| {
        let text = SMALL.replace("[model]", "validation = 0.1\n[model]");
        let text = format!("{text}optimizer.sgd.lr = 0.5\nlr_schedule = {value}\n");
        parse(&text).expect("a job").training.lr_schedule
    };
    let read = |warmup_steps, kind| LrSchedule { warmup_steps, kind };
    assert_eq!(schedule("\"constant\""), LrSchedule::CONSTANT);
    assert_eq!(
        schedule("{ linear = { warmup_steps = 3 } }"),
        read(3, ScheduleKind::Linear { end: 0.0 })
    );
    assert_eq!(
        schedule("{ step = { every_epochs = 30 } }"),
        read(
            0,
            ScheduleKind::Step {
                every: Every::Epochs(30),
                gamma: 0.1
            }
        )
    );
    assert_eq!(
        schedule("\"one_cycle\""),
        read(
            0,
            ScheduleKind::OneCycle {
                max_lr: 0.5,
                warmup_fraction: 0.3,
                div_factor: 25.0,
                final_div_factor: 1e4
            }
        )
    );
    assert_eq!(
        schedule("\"reduce_on_plateau\""),
        read(
            0,
            ScheduleKind::ReduceOnPlateau {
                factor: 0.1,
                patience: 10,
                threshold: 1e-4,
                min_lr: 0.0
            }
        )
    );
}

#[test]
fn microbatches_follow_the_batch_size_unless_told_otherwise() {
    for (batch_size, microbatches) in [(1, 1), (16, 2), (32, 4), (57, 8), (1 << 20, 8)] {
        let job = parse(&format!("{SMALL}batch_size = {batch_size}\n")).expect("a job");
        assert_eq!(job.training.microbatches, microbatches, "{batch_size}");
    }
}

#[test]
fn a_split_is_read_as_it_is_written() {
    let digest = "0123456789abcdef".repeat(4);
    for text in ["digits/test".to_string(), format!("digits@{digest}/train")] {
        assert_eq!(parse_split(&text).expect("a split").to_string(), text);
    }
    assert_eq!(parse_split("digits"), Ok(split("digits", "train")));
    for text in [
        "", "/", "a/", "/a", "a/b/c", "A/b", "a@b/c", "a@/c", "@/", "a b/c",
    ] {
        let error = parse_split(text).expect_err(text);
        assert_eq!(error.text, text);
    }
}

#[test]
fn sections_may_be_written_in_every_way_of_toml() {
    let text = r#"
        training.epochs = 3
        data = { train = "digits" }
        name = "digits"
        [[model.layers]]
        flatten = {}
        [[model.layers]]
        linear = "classes"
    "#;
    assert_eq!(parse(text), parse(SMALL));
    assert_eq!(layer_positions(text), [(5, 9), (7, 9)]);
}

#[test]
fn layers_stand_where_they_are_written() {
    let lines: Vec<usize> = (11..=17).collect();
    let expected: Vec<(usize, usize)> = lines.into_iter().map(|line| (line, 3)).collect();
    assert_eq!(layer_positions(FULL), expected);
    assert_eq!(layer_positions(SMALL), [(5, 11), (5, 22)]);
    for text in [
        "",
        "model = 3",
        "[model]\nlayers = 3",
        "[model",
        "model.layers = []",
    ] {
        assert_eq!(layer_positions(text), [], "{text}");
    }
}
