//! Where a step stands in the whole: a pure function of its number, so that nothing about it needs to be stored.

use spec::Job;
use spec::schedule::Run;
use spec::watch::Watch;

/// The calendar of a job: how its steps fall into epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    /// All steps.
    pub steps: u64,
    steps_per_epoch: u64,
    rows: u64,
    batch_size: u64,
    validate_every: u64,
}

impl Calendar {
    /// The calendar of a job on so many training rows.
    pub fn new(job: &Job, rows: u64) -> Self {
        Calendar {
            steps: job.steps(rows),
            steps_per_epoch: job.steps_per_epoch(rows).max(1),
            rows,
            batch_size: u64::from(job.training.batch_size),
            validate_every: u64::from(job.training.validate.every_epochs),
        }
    }

    /// The learning rate of a step, from 1, after what the validation phases before it decided.
    pub fn lr(&self, job: &Job, watch: &Watch, step: u64) -> f64 {
        let run = Run {
            steps: self.steps,
            steps_per_epoch: self.steps_per_epoch,
        };
        let training = &job.training;
        let base = watch.plateau.lr.unwrap_or(training.optimizer.lr());
        training.lr_schedule.lr(base, step, run)
    }

    /// The epoch, from 1, that a step, from 1, belongs to.
    pub fn epoch(&self, step: u64) -> u64 {
        (step - 1) / self.steps_per_epoch + 1
    }

    /// Samples trained on up to and with a step, from 1.
    pub fn samples(&self, step: u64) -> u64 {
        let of_steps = |steps: u64| (steps * self.batch_size).min(self.rows);
        let per_epoch = of_steps(self.steps_per_epoch);
        step / self.steps_per_epoch * per_epoch + of_steps(step % self.steps_per_epoch)
    }

    /// Whether the validation rows are evaluated after a step, from 1.
    pub fn validates_after(&self, step: u64) -> bool {
        let ends_epoch = step.is_multiple_of(self.steps_per_epoch);
        step == self.steps || (ends_epoch && self.epoch(step).is_multiple_of(self.validate_every))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(job: &str, rows: u64) -> Calendar {
        let layers = "[model]\nlayers = [\"flatten\", { linear = \"classes\" }]";
        let text =
            format!("name = \"c\"\n[data]\ntrain = \"d/train\"\n{layers}\n[training]\n{job}");
        Calendar::new(&spec::job_file::parse(&text).expect("a job"), rows)
    }

    #[test]
    fn an_epochs_last_batch_may_be_short() {
        let calendar = calendar("epochs = 2\nbatch_size = 4", 10);
        assert_eq!(calendar.steps, 6);
        let seen: Vec<(u64, u64)> = (1..=6)
            .map(|step| (calendar.epoch(step), calendar.samples(step)))
            .collect();
        assert_eq!(seen, [(1, 4), (1, 8), (1, 10), (2, 14), (2, 18), (2, 20)]);
        let validated: Vec<u64> = (1..=6)
            .filter(|&step| calendar.validates_after(step))
            .collect();
        assert_eq!(validated, [3, 6]);
    }

    #[test]
    fn drop_last_leaves_the_short_batch_out() {
        let calendar = calendar("epochs = 2\nbatch_size = 4\ndrop_last = true", 10);
        assert_eq!(
            (calendar.steps, calendar.samples(2), calendar.samples(3)),
            (4, 8, 12)
        );
    }

    #[test]
    fn a_run_that_ends_within_an_epoch_is_validated_at_its_end() {
        let calendar = calendar(
            "steps = 4\nbatch_size = 4\nvalidate = { every_epochs = 2 }",
            10,
        );
        let validated: Vec<u64> = (1..=4)
            .filter(|&step| calendar.validates_after(step))
            .collect();
        assert_eq!(validated, [4]);
    }
}
