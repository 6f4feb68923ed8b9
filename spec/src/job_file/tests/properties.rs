use proptest::prelude::*;

use super::models::model;
use super::{FULL, SMALL};
use crate::digest::Digest;
use crate::job::{
    Checkpointing, Clip, Data, Device, Job, Length, Loss, Normalize, Optimizer, Resources,
    SplitRef, Training, Validate, Validation,
};
use crate::job_file::{layer_positions, parse, parse_with, render};
use crate::schedule::{Every, LrSchedule, ScheduleKind};
use crate::watch::Monitor;

/// Parsing answers, and what it says about a text lies in that text and on one line each.
fn answers(text: &str, set: &[String]) {
    let positions = layer_positions(text);
    let lines: Vec<&str> = text.split('\n').collect();
    let inside =
        |line: usize, column: usize| column >= 1 && column <= lines[line - 1].chars().count() + 1;
    assert!(
        positions.iter().all(|&(line, column)| inside(line, column)),
        "{positions:?}"
    );
    match parse_with(text, set) {
        Ok(job) => assert_eq!(parse(&render(&job)), Ok(job)),
        Err(mistakes) => {
            assert!(!mistakes.mistakes.is_empty());
            let count = mistakes.mistakes.len() + usize::from(mistakes.more > 0);
            assert_eq!(
                mistakes.display_for("job.toml").lines().count(),
                count,
                "{mistakes}"
            );
            for mistake in &mistakes.mistakes {
                assert_eq!(
                    mistake.line.is_some(),
                    mistake.column.is_some(),
                    "{mistake:?}"
                );
                if let (Some(line), Some(column)) = (mistake.line, mistake.column) {
                    assert!(inside(line, column), "{mistake:?}");
                }
            }
        }
    }
}

const PIECES: &[&str] = &[
    "\n",
    "\"",
    "\"\"\"",
    "'",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "#",
    "\\u0000",
    "\r",
    "\t",
    "é",
    "\u{feff}",
    "0",
    "-1",
    "1e400",
    "-nan",
    "inf",
    "0x",
    "99999999999999999999999999999999999999999",
    "1979-05-27",
    "true",
    "{}",
    "[]",
    "[1, 2]",
    "{ a = 1 }",
    "[training]\n",
    "[[model.layers]]\n",
    "training.epochs = 1\n",
    "name = 1\n",
    "sgd",
    "adam",
    "lr",
    "linear",
    "conv2d",
    "relu",
    "kernel",
    "name",
    "a.b.c.d = 1\n",
];

#[derive(Debug, Clone)]
enum Mutation {
    Insert(&'static str),
    Remove(usize),
    Repeat(usize),
}

fn mutations() -> impl Strategy<Value = Vec<(prop::sample::Index, Mutation)>> {
    let mutation = prop_oneof![
        3 => prop::sample::select(PIECES).prop_map(Mutation::Insert),
        2 => (1usize..20).prop_map(Mutation::Remove),
        1 => (1usize..40).prop_map(Mutation::Repeat),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), mutation), 1..6)
}

fn mutated(text: &str, mutations: &[(prop::sample::Index, Mutation)]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (index, mutation) in mutations {
        let at = index.index(chars.len() + 1);
        let end = |length: usize| (at + length).min(chars.len());
        match mutation {
            Mutation::Insert(piece) => drop(chars.splice(at..at, piece.chars())),
            Mutation::Remove(length) => drop(chars.drain(at..end(*length))),
            Mutation::Repeat(length) => {
                let piece = chars[at..end(*length)].to_vec();
                drop(chars.splice(at..at, piece));
            }
        }
    }
    chars.into_iter().collect()
}

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
            )| Training {
                length,
                // All microbatches full but the last, which has at least one sample.
                batch_size: samples * (full - 1) + last.index(samples as usize) as u32 + 1,
                microbatches: full,
                seed,
                drop_last,
                loss: Loss::CrossEntropy,
                optimizer,
                lr_schedule,
                clip: loss.then_some(if drop_last {
                    Clip::Norm(lr_schedule.warmup_steps as f64 / 1e9 + 0.5)
                } else {
                    Clip::Value(0.1)
                }),
                monitor: if loss {
                    Monitor::ValidationLoss
                } else {
                    Monitor::ValidationAccuracy
                },
                early_stopping: None,
                validate: Validate { every_epochs },
            },
        )
}

fn job() -> impl Strategy<Value = Job> {
    let validation = prop_oneof![
        split_ref().prop_map(Validation::Split),
        (1e-12..1.0).prop_map(Validation::Fraction),
    ];
    let normalize =
        prop::sample::select(vec![Normalize::None, Normalize::Unit, Normalize::Standard]);
    let data = (split_ref(), prop::option::of(validation), normalize).prop_map(
        |(train, validation, normalize)| Data {
            train,
            validation,
            normalize,
        },
    );
    let checkpoint = (prop::option::of(1u64..=1_000_000_000_000), 1u32..=1_000_000).prop_map(
        |(every_steps, keep_last)| Checkpointing {
            every_steps,
            keep_last,
        },
    );
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_text_is_answered(text: String, set in prop::collection::vec(any::<String>(), 0..3)) {
        answers(&text, &set);
    }

    #[test]
    fn any_mutation_of_a_job_file_is_answered(small: bool, mutations in mutations()) {
        answers(&mutated(if small { SMALL } else { FULL }, &mutations), &[]);
    }

    #[test]
    fn any_override_of_a_known_key_is_answered(
        set in prop::collection::vec(
            (prop::sample::select(super::super::keys::dotted()), prop::sample::select(PIECES), any::<String>()),
            1..4,
        ),
    ) {
        let set: Vec<String> = set.iter().map(|(key, piece, text)| format!("{key}={piece}{text}")).collect();
        answers(FULL, &set);
    }

    #[test]
    fn a_job_survives_its_canonical_text(job in job()) {
        prop_assert_eq!(parse(&render(&job)), Ok(job));
    }

    #[test]
    fn a_job_survives_json(job in job()) {
        let json = serde_json::to_string(&job).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<Job>(&json).expect("a job"), job);
    }
}

#[test]
fn deep_nesting_is_answered_on_a_small_stack() {
    let dotted = "a.".repeat(70) + "a";
    let tables = format!("{{ {dotted} = ").repeat(70) + "1" + &" }".repeat(70);
    let lists = format!("[{{ {dotted} = ").repeat(39) + "1" + &" }]".repeat(39);
    let texts = [
        format!("x = {tables}"),
        format!("x = {lists}"),
        format!("[{dotted}]\n{dotted} = {tables}"),
        format!("x = {tables}\nx = {tables}"),
        format!("x = {}", "[".repeat(100_000)),
        format!("x = {}", "{a=".repeat(100_000)),
        format!("{} = 1", "a.".repeat(100_000) + "a"),
        format!("[{}]", "a.".repeat(100_000) + "a"),
        format!("{SMALL}optimizer = {tables}"),
        format!("{SMALL}[checkpoint]\nkeep_last = {lists}"),
    ];
    let unknown = parse(&texts[2]).expect_err("mistakes").mistakes;
    assert!(
        unknown
            .iter()
            .any(|mistake| mistake.message.starts_with("unknown key \"a\"")),
        "{unknown:?}"
    );
    let small = std::thread::Builder::new().stack_size(1 << 20);
    let thread = small.spawn(move || {
        for text in texts {
            answers(&text, &[]);
            answers(SMALL, &[format!("training.seed={text}")]);
            let value = text.split_once('=').map_or("", |(_, value)| value);
            answers(SMALL, &[format!("model.layers={value}")]);
        }
    });
    thread.expect("a thread").join().expect("no panic");
}

#[test]
fn every_prefix_of_a_job_file_is_answered() {
    for (end, _) in FULL.char_indices() {
        answers(&FULL[..end], &[]);
    }
}
