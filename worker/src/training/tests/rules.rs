//! Groups of parameters and averages of weights: the same bits on every way, and in checkpoints.

use std::sync::Arc;

use spec::Job;
use spec::metric::Exact;

use super::kept::Kept;
use super::{STEPS, train};
use crate::depot::Depot;
use crate::training::evaluate;

/// A frozen front with running statistics, a frozen layer behind a trained one, biases of their own, and averages.
const JOB: &str = r#"
name = "grouped"
[data]
train = "points/train"
validation = 0.2
[model]
layers = [
  { conv2d = { filters = 3, kernel = 3, padding = 1 }, name = "front" }, { batch_norm = {}, name = "norm" }, "relu",
  "flatten", { linear = 7, name = "body" }, "tanh", { linear = 5, name = "still" }, { linear = "classes", name = "head" },
]
[training]
epochs = 2
batch_size = 11
microbatches = 4
optimizer = { adamw = { lr = 1e-2 } }
groups = [
  { match = ["front.*", "norm.*", "still.weight"], frozen = true },
  { match = "*.bias", weight_decay = 0.0 },
  { match = "head.*", lr_scale = 0.5 },
]
ema = { decay = 0.8, start_step = 3, every_steps = 2 }
clip_norm = 0.5
[checkpoint]
every_steps = 1
keep_last = 100
"#;

fn job(set: &[&str]) -> Job {
    let set: Vec<String> = set.iter().map(ToString::to_string).collect();
    spec::job_file::parse_with(JOB, &set).expect("a job")
}

fn on(ranks: u32, threads: u32) -> Job {
    let ranks = format!("resources.ranks={ranks}");
    job(&[&ranks, &format!("resources.threads={threads}")])
}

#[test]
fn rows_and_state_are_the_same_bits_on_any_ranks_and_threads_and_from_any_checkpoint() {
    let kept = Kept::new();
    let (rows, state) = train(&kept, &on(1, 1), None);
    assert_eq!(rows.len() as u64, STEPS);
    assert!(
        rows[9].validation_loss < rows[4].validation_loss,
        "{rows:?}"
    );
    for (ranks, threads) in [(1, 2), (2, 1), (3, 1), (3, 2)] {
        let other = train(&Kept::new(), &on(ranks, threads), None);
        let what = format!("{ranks} ranks, {threads} threads");
        assert_eq!(other, (rows.clone(), state.clone()), "{what}");
    }
    for step in 1..STEPS {
        let resume = kept.checkpoint(step).digest();
        let ranks = 1 + (step % 3) as u32;
        let (rest, end) = train(&kept, &on(ranks, 1), Some(resume));
        assert_eq!(
            rest,
            rows[step as usize..],
            "from step {step} on {ranks} ranks"
        );
        assert_eq!(end, state);
    }
}

#[test]
fn averages_change_what_is_validated_and_nothing_of_the_training() {
    let mut without = on(1, 1);
    without.training.ema = None;
    let (averaged, _) = train(&Kept::new(), &on(1, 1), None);
    let (plain, _) = train(&Kept::new(), &without, None);
    let trained = |row: &Exact| (row.loss, row.gradient_norm, row.parameters_digest.clone());
    assert_eq!(
        averaged.iter().map(trained).collect::<Vec<_>>(),
        plain.iter().map(trained).collect::<Vec<_>>()
    );
    for step in [4, 9] {
        assert_ne!(averaged[step].validation_loss, plain[step].validation_loss);
    }
}

#[test]
fn a_checkpoint_is_evaluated_on_its_averages_once_there_are_some() {
    let kept = Kept::new();
    // Validation after every step: before the third there are no averages.
    let job = job(&["training.batch_size=48", "training.epochs=5"]);
    let (rows, _) = train(&kept, &job, None);
    assert_eq!(rows.len(), 5);
    let depot: Arc<dyn Depot> = kept.clone();
    for row in &rows {
        let checkpoint = kept.checkpoint(row.step);
        let evaluation =
            evaluate(&checkpoint, &depot, None, 1, false).expect("it can be evaluated");
        assert_eq!(evaluation.loss, row.validation_loss, "step {}", row.step);
    }
    let sections: Vec<(String, u64)> = kept
        .checkpoint(5)
        .sections
        .iter()
        .map(|section| (section.name.clone(), section.words))
        .collect();
    let trained = 7 * 48 + 7 + 5 + 5 * 3 + 3;
    let all = trained + (3 * 9 + 3) + (3 + 3) + 5 * 7;
    let named = |name: &str, words| (name.to_string(), words);
    assert_eq!(
        sections,
        [
            named("parameters", all),
            named("first_moment", trained),
            named("second_moment", trained),
            named("averages", trained),
            named("running_statistics", 6),
        ]
    );
}

#[test]
fn what_is_frozen_stays_as_it_was_drawn() {
    let kept = Kept::new();
    train(&kept, &on(1, 1), None);
    let words = |step: u64| -> Vec<f32> {
        let section = &kept.checkpoint(step).sections[0];
        let bytes = section
            .chunks
            .iter()
            .flat_map(|digest| kept.chunk(digest).expect("kept"));
        let bytes: Vec<u8> = bytes.collect();
        bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect()
    };
    let (early, late) = (words(1), words(STEPS));
    let trained = 7 * 48 + 7 + 5 + 5 * 3 + 3;
    assert_eq!(early[trained..], late[trained..]);
    let moved = early[..trained]
        .iter()
        .zip(&late)
        .filter(|(a, b)| a != b)
        .count();
    assert!(moved > trained * 9 / 10, "{moved} of {trained}");
}
