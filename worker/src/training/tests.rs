//! Whole trainings in this process: gangs of threads, a depot in memory.

use std::sync::Arc;
use std::thread;

use collective::{Fence, Gang, local};
use spec::metric::Exact;
use spec::rank::{Failure, FailureKind, Report};
use spec::{AttemptId, Digest, Job, JobId};

use super::{Done, Training, evaluate};
use crate::depot::{Depot, lasting, passing};

mod best;
mod frozen;
mod kept;
mod rules;
mod sync;

use kept::Kept;

const RUN: AttemptId = AttemptId {
    job: JobId(1),
    number: 1,
};

const STEPS: u64 = 10;

/// Short last batches, short last microbatches, validation twice, a checkpoint after every step.
const JOB: &str = r#"
name = "small"
[data]
train = "points/train"
validation = 0.2
normalize = "standard"
[model]
layers = [
  { conv2d = { filters = 3, kernel = 3, padding = 1 } }, "relu", { max_pool2d = 2 },
  "flatten", { linear = "classes" },
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
    spec::job_file::parse_with(JOB, &set).expect("a job")
}

/// What a rank of a gang came to: its rows, and how it ended.
type Ended = (Vec<Exact>, Result<Done, Failure>);

/// A gang of threads; rank r goes on from `resume(r)`, and its reports are refused from step `refuse` on.
fn gang(
    kept: &Arc<Kept>,
    job: &Job,
    resume: impl Fn(usize) -> Option<Digest>,
    refuse: u64,
) -> Vec<Ended> {
    let seats = local::table(job.resources.ranks as usize);
    thread::scope(|scope| {
        let ranks: Vec<_> = seats
            .into_iter()
            .enumerate()
            .map(|(rank, seat)| {
                let resume = resume(rank).map(|digest| (RUN.job, digest));
                let depot: Arc<dyn Depot> = kept.clone();
                scope.spawn(move || {
                    let mut rows = Vec::new();
                    let run = || {
                        let mut training = Training::prepare(job, depot.clone(), rank, resume)?;
                        let bytes = training.plan().fold_bytes() as usize;
                        let mut gang = Gang::new(
                            Box::new(seat),
                            Fence([1, 1, 1]),
                            bytes,
                            job.training.microbatches,
                        )
                        .map_err(passing)?;
                        training.run(RUN, &mut gang, &mut |report| {
                            if let Report::Row(row) = report {
                                if row.exact.step >= refuse {
                                    return Err(lasting("nobody listens"));
                                }
                                rows.push(row.exact.clone());
                            }
                            Ok(())
                        })
                    };
                    let done = run();
                    (rows, done)
                })
            })
            .collect();
        ranks
            .into_iter()
            .map(|rank| rank.join().expect("no panic"))
            .collect()
    })
}

/// A training that goes well: the rows of rank 0 and the state that all ranks end with.
fn train(kept: &Arc<Kept>, job: &Job, resume: Option<Digest>) -> (Vec<Exact>, Done) {
    let mut ended = gang(kept, job, |_| resume, u64::MAX);
    let states: Vec<Done> = ended
        .iter()
        .map(|(_, done)| done.clone().expect("it goes well"))
        .collect();
    assert!(
        states.windows(2).all(|pair| pair[0] == pair[1]),
        "{states:?}"
    );
    assert!(ended.iter().skip(1).all(|(rows, _)| rows.is_empty()));
    (std::mem::take(&mut ended[0].0), states[0].clone())
}

#[test]
fn rows_and_state_are_the_same_bits_on_any_number_of_ranks_and_threads() {
    let (rows, state) = train(&Kept::new(), &job(1, 1), None);
    assert_eq!(rows.len() as u64, STEPS);
    assert_eq!(state.step, STEPS);
    let validated: Vec<u64> = rows
        .iter()
        .filter(|row| row.validation_loss.is_some())
        .map(|row| row.step)
        .collect();
    assert_eq!(validated, [5, 10]);
    assert!(
        rows[9].validation_loss < rows[4].validation_loss,
        "it learns: {rows:?}"
    );
    for ranks in 1..=4 {
        for threads in 1..=2 {
            let other = train(&Kept::new(), &job(ranks, threads), None);
            assert_eq!(
                other,
                (rows.clone(), state.clone()),
                "{ranks} ranks, {threads} threads"
            );
        }
    }
}

#[test]
fn going_on_from_any_step_gives_the_rows_that_would_have_been() {
    let kept = Kept::new();
    let (rows, state) = train(&kept, &job(1, 1), None);
    for step in 1..STEPS {
        let resume = kept.checkpoint(step).digest();
        // Another number of ranks than before, too.
        let ranks = 1 + (step % 3) as u32;
        let (rest, end) = train(&kept, &job(ranks, 1), Some(resume));
        assert_eq!(
            rest,
            rows[step as usize..],
            "from step {step} on {ranks} ranks"
        );
        assert_eq!(end, state);
    }
}

#[test]
fn a_rank_that_goes_on_from_the_last_step_is_done_at_once() {
    let kept = Kept::new();
    let (_, state) = train(&kept, &job(1, 1), None);
    let resume = kept.checkpoint(STEPS).digest();
    assert_eq!(train(&kept, &job(2, 1), Some(resume)), (Vec::new(), state));
}

#[test]
fn a_checkpoint_that_is_not_whole_is_passed_over() {
    let kept = Kept::new();
    let (rows, state) = train(&kept, &job(1, 1), None);
    kept.forget_after(6);
    let newest = kept.checkpoint(6).digest();
    kept.corrupt(6);
    let (rest, end) = train(&kept, &job(2, 1), Some(newest));
    assert_eq!((rest.as_slice(), &end), (&rows[5..], &state));

    // What was saved after the checkpoint that was asked for is not looked at.
    kept.forget_after(6);
    let (rest, _) = train(&kept, &job(1, 1), Some(kept.checkpoint(3).digest()));
    assert_eq!(rest, rows[3..]);

    // With none that is whole it begins anew, with nothing left of what was read in part.
    kept.forget_after(5);
    let newest = kept.checkpoint(5).digest();
    (1..=5).for_each(|step| kept.corrupt(step));
    assert_eq!(train(&kept, &job(2, 1), Some(newest)), (rows, state));
}

#[test]
fn a_checkpoint_whose_state_is_not_what_it_says_is_passed_over() {
    let kept = Kept::new();
    let (rows, _) = train(&kept, &job(1, 1), None);
    let mut wrong = kept.checkpoint(4);
    wrong.state_digest = kept.checkpoint(3).state_digest;
    kept.save(RUN, &[], &wrong).expect("kept");
    let mut short = kept.checkpoint(5);
    short.sections[0].words -= 1;
    kept.save(RUN, &[], &short).expect("kept");
    let (rest, _) = train(&kept, &job(1, 1), Some(short.digest()));
    assert_eq!(rest, rows[3..]);
}

#[test]
fn ranks_that_go_on_from_different_states_refuse_each_other() {
    let kept = Kept::new();
    train(&kept, &job(1, 1), None);
    let (two, three) = (kept.checkpoint(2).digest(), kept.checkpoint(3).digest());
    for other in [None, Some(three)] {
        let resume = |rank| if rank == 0 { Some(two) } else { other };
        for (rows, done) in gang(&kept, &job(2, 1), resume, u64::MAX) {
            let failure = done.expect_err("they differ");
            assert!(
                failure.message.contains("goes on from checkpoint"),
                "{}",
                failure.message
            );
            assert!(rows.is_empty());
        }
    }
}

#[test]
fn a_report_that_is_refused_ends_the_training_of_the_whole_gang() {
    let ended = gang(&Kept::new(), &job(3, 1), |_| None, 4);
    assert_eq!(ended[0].0.len(), 3);
    let failure = ended[0].1.clone().expect_err("nobody listens");
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (FailureKind::Lasting, "nobody listens")
    );
    for (_, done) in &ended[1..] {
        let failure = done.clone().expect_err("their peer has gone");
        assert_eq!(failure.kind, FailureKind::Passing, "{}", failure.message);
        assert!(failure.message.contains("rank 0"), "{}", failure.message);
    }
}

#[test]
fn what_keeps_a_chunk_from_being_read_decides_whether_another_attempt_may_go_better() {
    for kind in [FailureKind::Passing, FailureKind::Lasting] {
        let kept = Kept::new();
        *kept.fault.lock().unwrap() = Some(Failure {
            kind,
            message: "the depot is not there".to_string(),
        });
        let ended = gang(&kept, &job(1, 1), |_| None, u64::MAX);
        let failure = ended[0].1.clone().expect_err("nothing can be read");
        assert_eq!(failure.kind, kind, "{}", failure.message);
        assert!(
            failure.message.contains("the depot is not there"),
            "{}",
            failure.message
        );
    }
}

#[test]
fn an_evaluation_of_a_checkpoint_gives_what_its_training_saw() {
    let kept = Kept::new();
    let (rows, _) = train(&kept, &job(2, 1), None);
    let last = rows.last().expect("rows");
    let depot: Arc<dyn Depot> = kept.clone();
    for threads in 1..=2 {
        let evaluation = evaluate(&kept.checkpoint(STEPS), &depot, None, threads, false)
            .expect("it can be evaluated");
        assert_eq!(
            (evaluation.loss, evaluation.accuracy, evaluation.samples),
            (last.validation_loss, last.validation_accuracy, 12)
        );
    }
    let split = spec::job_file::parse_split("points/train").expect("a split");
    let all = evaluate(&kept.checkpoint(STEPS), &depot, Some(&split), 1, false)
        .expect("it can be evaluated");
    assert_eq!(all.samples, 60);
    let split = spec::job_file::parse_split("lines/train").expect("a split");
    let unknown = evaluate(&kept.checkpoint(STEPS), &depot, Some(&split), 1, false);
    assert_eq!(unknown.expect_err("unknown").message, "no dataset lines");
}
