//! Checkpoints at the best validations.

use super::*;

/// Validated after every fifth step, at a rate that makes some validations worse than those before.
fn job(ranks: u32, set: &str) -> Job {
    let text = JOB.replace("every_steps = 1\n", "");
    let set = [
        format!("resources.ranks={ranks}"),
        "training.epochs=8".to_string(),
        "training.optimizer.adam.lr=0.3".to_string(),
        set.to_string(),
    ];
    spec::job_file::parse_with(&text, &set).expect("a job")
}

/// A step and the value of the validation after it.
type Validated = (u64, f64);

/// The steps and values of the validations of a training, and those of them that bettered all before.
fn validations(rows: &[Exact]) -> (Vec<Validated>, Vec<Validated>) {
    let values = rows
        .iter()
        .filter_map(|row| Some((row.step, row.validation_loss?)));
    let values: Vec<Validated> = values.collect();
    let mut bests: Vec<Validated> = Vec::new();
    for &(step, value) in &values {
        if bests.last().is_none_or(|&(_, best)| value < best) {
            bests.push((step, value));
        }
    }
    (values, bests)
}

/// The steps of the checkpoints that a depot was given, and the values they say they have.
fn saved(kept: &Kept) -> Vec<(u64, Option<f64>)> {
    let checkpoints = kept.checkpoints(RUN.job).expect("readable");
    checkpoints
        .iter()
        .map(|manifest| (manifest.step, manifest.monitored))
        .collect()
}

#[test]
fn there_is_a_checkpoint_with_its_value_after_each_validation_that_betters_all_before() {
    let mut first = None;
    for ranks in 1..=3 {
        let kept = Kept::new();
        let (rows, state) = train(&kept, &job(ranks, "checkpoint.keep_best=1"), None);
        let (values, bests) = validations(&rows);
        assert!(
            1 < bests.len() && bests.len() < values.len() - 1,
            "{values:?}"
        );
        assert_ne!(bests.last(), values.last(), "{values:?}");
        let expected: Vec<(u64, Option<f64>)> = bests
            .iter()
            .chain(values.last())
            .map(|&(step, value)| (step, Some(value)))
            .collect();
        assert_eq!(saved(&kept), expected, "{ranks} ranks");
        let (known, ends) = first.get_or_insert_with(|| (rows.clone(), state.clone()));
        assert_eq!((&rows, &state), (&*known, &*ends), "{ranks} ranks");
    }
}

#[test]
fn a_training_that_goes_on_remembers_what_was_best() {
    let kept = Kept::new();
    let (rows, state) = train(&kept, &job(1, "checkpoint.every_steps=7"), None);
    let checkpoints = saved(&kept);
    let (_, bests) = validations(&rows);
    for &(step, _) in checkpoints.iter().filter(|&&(step, _)| step > bests[0].0) {
        let again = Kept::new();
        let resume = kept.checkpoint(step);
        for other in kept.checkpoints(RUN.job).expect("readable") {
            let chunks: Vec<Vec<u8>> = other
                .chunks()
                .map(|digest| kept.chunk(&digest).expect("kept"))
                .collect();
            let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            if other.step <= step {
                again.save(RUN, &chunks, &other).expect("kept");
            }
        }
        let job = job(2, "checkpoint.every_steps=7");
        let (rest, end) = train(&again, &job, Some(resume.digest()));
        assert_eq!((&rest[..], &end), (&rows[step as usize..], &state));
        assert_eq!(saved(&again), checkpoints, "from step {step}");
    }
}

#[test]
fn without_keep_best_there_is_only_the_one_at_the_end() {
    let kept = Kept::new();
    let (rows, _) = train(&kept, &job(2, "checkpoint.keep_best=0"), None);
    let (values, _) = validations(&rows);
    let &(step, value) = values.last().expect("it is validated");
    assert_eq!(saved(&kept), [(step, Some(value))]);
}
