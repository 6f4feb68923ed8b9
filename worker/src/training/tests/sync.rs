//! Norms over all samples of a step: a rank's share is one wave, and ranks meet in the middle of a step.

use spec::Job;
use spec::rank::FailureKind;

use super::kept::Kept;
use super::{STEPS, gang, train};

/// As `JOB`: short microbatches, and a last batch of an epoch in which microbatches are absent.
const NORMED: &str = r#"
name = "synced"
[data]
train = "points/train"
validation = 0.2
normalize = "standard"
[model]
layers = [
  { conv2d = { filters = 3, kernel = 3, padding = 1 } }, { batch_norm = { sync = true } }, "relu", { max_pool2d = 2 },
  "flatten", { linear = 5 }, { batch_norm = { sync = true, momentum = 0.25 } }, "relu", { linear = "classes" },
]
[training]
epochs = 2
batch_size = 11
microbatches = 4
optimizer = { adam = { lr = 1e-2 } }
[checkpoint]
every_steps = 1
keep_last = 100
"#;

fn job(ranks: u32, threads: u32) -> Job {
    let set = [
        format!("resources.ranks={ranks}"),
        format!("resources.threads={threads}"),
    ];
    spec::job_file::parse_with(NORMED, &set).expect("a job")
}

#[test]
fn steps_that_meet_at_norms_give_the_same_bits_on_any_ranks_and_threads() {
    let kept = Kept::new();
    let (rows, state) = train(&kept, &job(1, 1), None);
    assert_eq!(rows.len() as u64, STEPS);
    assert!(
        rows[9].validation_loss < rows[4].validation_loss,
        "it learns: {rows:?}"
    );
    for (ranks, threads) in [(1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (4, 1)] {
        let other = train(&Kept::new(), &job(ranks, threads), None);
        let expected = (rows.clone(), state.clone());
        assert_eq!(other, expected, "{ranks} ranks, {threads} threads");
    }
    // What a norm sees is the whole batch: other statistics than those of microbatches.
    let apart = NORMED
        .replace("{ sync = true }", "{ sync = false }")
        .replace("sync = true, ", "");
    let apart = spec::job_file::parse(&apart).expect("a job");
    assert_ne!(train(&Kept::new(), &apart, None).0[0].loss, rows[0].loss);
    // After any step, on another number of ranks.
    for step in [1, 4, 7] {
        let resume = kept.checkpoint(step).digest();
        let ranks = 1 + (step % 3) as u32;
        let (rest, end) = train(&kept, &job(ranks, 1), Some(resume));
        assert_eq!(rest, rows[step as usize..], "from step {step}");
        assert_eq!(end, state);
    }
}

#[test]
fn a_peer_that_is_gone_ends_a_step_in_its_middle_as_at_its_end() {
    let ended = gang(&Kept::new(), &job(3, 1), |_| None, 4);
    assert_eq!(ended[0].0.len(), 3);
    for (_, done) in &ended[1..] {
        let failure = done.clone().expect_err("their peer has gone");
        assert_eq!(failure.kind, FailureKind::Passing, "{}", failure.message);
        assert!(failure.message.contains("rank 0"), "{}", failure.message);
    }
}
