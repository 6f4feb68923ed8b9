//! Admission: a job that is accepted runs. Datasets are resolved to digests, the plan is made, the gang's needs follow.

use plan::{Plan, Reads, Room, Whose};
use spec::checkpoint::DataFacts;
use spec::dataset::{Split, held_out};
use spec::ema::Ema;
use spec::job::{SplitRef, Validation};
use spec::loss::Loss;
use spec::offer::GangRequest;
use spec::schedule::TooLong;
use spec::{DatasetManifest, Job};

use crate::error::Error;

/// A worker as placement sees it, whether busy or idle.
#[derive(Debug, Clone, Copy)]
pub struct Capacity<'a> {
    /// Its device class.
    pub device_class: &'a str,
    /// Thread slots that it offers.
    pub threads: u32,
    /// Memory that it offers, in bytes.
    pub memory_bytes: u64,
}

/// The most memory that each of a gang's ranks could have on the workers of one device class, were they idle. `None` where
/// their threads do not suffice for the gang whatever it takes of memory: it waits for other workers.
pub fn room(workers: &[Capacity<'_>], ranks: u32, threads: u32) -> Option<Room> {
    let bytes = workers.iter().flat_map(|worker| {
        // Of equal portions of a worker, as many as the gang has ranks or fewer, one is the answer.
        (1..=ranks.min(worker.threads / threads.max(1)))
            .map(|portions| worker.memory_bytes / u64::from(portions))
            .filter(|&bytes| {
                let class = workers
                    .iter()
                    .filter(|other| other.device_class == worker.device_class);
                let portions = |other: &Capacity<'_>| {
                    let by_memory = other.memory_bytes.checked_div(bytes).unwrap_or(u64::MAX);
                    by_memory.min(u64::from(other.threads / threads.max(1)))
                };
                class.map(portions).fold(0, u64::saturating_add) >= u64::from(ranks)
            })
    });
    let whose = Whose::Workers;
    bytes.max().map(|bytes| Room { bytes, whose })
}

/// A job that passed.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// The canonical job: every dataset carries its digest, and balanced class weights are numbers.
    pub job: Job,
    /// How many steps it has.
    pub steps: u64,
    /// What one rank of it does and needs.
    pub plan: Plan,
    /// What its gang asks for.
    pub request: GangRequest,
}

/// Checks a job against the datasets that `lookup` knows and the memory that a rank can have: `None` for what is not known.
///
/// # Errors
/// An unknown dataset or split, splits that differ, a `sequence_length` that the data does not have or needs, a schedule
/// longer than the run, balanced weights of what has no rows to count, a model that does not fit its data or the memory.
pub fn admit<E: From<Error>>(
    lookup: impl Fn(&SplitRef) -> Result<DatasetManifest, E>,
    mut job: Job,
    room: Option<Room>,
) -> Result<Admitted, E> {
    let train = resolve(&lookup, &mut job.data.train)?;
    let train_split = split(&train, &job.data.train)?;
    let facts = DataFacts::of(&train, &job.data).map_err(Error::from)?;
    let length = facts.sequence_length();
    // What the data decides is kept with the job: rows of another split are cut at the same length.
    job.data.sequence_length = length;
    let mut rows = train_split.samples(length);
    let mut counts = train_split.class_counts.clone();
    let mut validation = None;
    match &mut job.data.validation {
        None => {}
        Some(Validation::Fraction(fraction)) => {
            rows = train_split.trained_on(*fraction, length);
            for count in &mut counts {
                *count -= held_out(*count, *fraction);
            }
            validation = Some((train.clone(), job.data.train.clone()));
        }
        Some(Validation::Split(reference)) => {
            let manifest = resolve(&lookup, reference)?;
            if let Some(difference) = difference(&train, &manifest) {
                let name =
                    |reference: &SplitRef| format!("{}/{}", reference.dataset, reference.split);
                let (train, validation) = (name(&job.data.train), name(reference));
                return Err(Error::SplitsDiffer {
                    train,
                    validation,
                    difference,
                }
                .into());
            }
            validation = Some((manifest, reference.clone()));
        }
    }
    balance(&mut job.training.loss, &counts, &train)?;
    if job.steps_per_epoch(rows) == 0 {
        return Err(Error::NoFullBatch {
            rows,
            batch_size: job.training.batch_size,
        }
        .into());
    }
    if let Some(too_long) = job.training.lr_schedule.exceeds(job.run(rows)) {
        return Err(Error::ScheduleTooLong(too_long).into());
    }
    let steps = job.steps(rows);
    // Averages that begin with the last weights would be those.
    let late = |ema: &Ema| ema.start_step > 1 && ema.start_step >= steps;
    if let Some(ema) = job.training.ema.filter(late) {
        return Err(Error::ScheduleTooLong(TooLong {
            key: "training.ema.start_step".to_string(),
            value: ema.start_step,
            unit: "steps",
            length: steps,
        })
        .into());
    }
    let mut reads = vec![Reads {
        manifest: &train,
        split: train_split,
    }];
    if let Some((manifest, reference)) = &validation {
        reads.push(Reads {
            manifest,
            split: split(manifest, reference)?,
        });
    }
    let plan = plan::for_job(&job, &facts, &reads).map_err(Error::from)?;
    if let Some(room) = room {
        let memory = |job: &Job| {
            let plan = plan::for_job(job, &facts, &reads).ok()?;
            Some(plan.memory.total)
        };
        plan::fit(&job, &plan, room, memory).map_err(Error::TooLarge)?;
    }
    let request = GangRequest {
        device: job.resources.device,
        ranks: job.resources.ranks,
        threads: job.resources.threads,
        memory_bytes: plan.memory.total,
        device_class: None,
    };
    Ok(Admitted {
        job,
        steps,
        plan,
        request,
    })
}

/// Writes numbers in place of balanced class weights.
fn balance(loss: &mut Loss, counts: &[u64], train: &DatasetManifest) -> Result<(), Error> {
    loss.balance(counts).map_err(|class| match class {
        Some(class) => Error::NoRowsToBalance {
            class: train.classes[class].clone(),
        },
        None => Error::NothingToBalance,
    })
}

/// What two datasets that one model is to read differ in.
fn difference(train: &DatasetManifest, validation: &DatasetManifest) -> Option<&'static str> {
    if validation.shape != train.shape {
        Some("shape")
    } else if validation.classes != train.classes {
        Some("classes")
    } else if validation.tokens != train.tokens {
        Some("vocabulary")
    } else if validation.element != train.element {
        Some("element type")
    } else {
        None
    }
}

fn resolve<E>(
    lookup: &impl Fn(&SplitRef) -> Result<DatasetManifest, E>,
    reference: &mut SplitRef,
) -> Result<DatasetManifest, E> {
    let manifest = lookup(reference)?;
    reference.digest = Some(manifest.digest());
    Ok(manifest)
}

fn split<'a>(manifest: &'a DatasetManifest, reference: &SplitRef) -> Result<&'a Split, Error> {
    manifest
        .split(&reference.split)
        .ok_or_else(|| Error::UnknownSplit {
            dataset: reference.dataset.clone(),
            split: reference.split.clone(),
            known: manifest
                .splits
                .iter()
                .map(|split| split.name.clone())
                .collect(),
        })
}

#[cfg(test)]
mod tests {
    use spec::Shape;
    use spec::dataset::Element;
    use spec::loss::{ClassWeights, CrossEntropy};

    use super::*;

    fn admitted(counts: &[u64], validation: &str) -> Result<Loss, Error> {
        let manifest = DatasetManifest {
            kind: "csv".to_string(),
            shape: Shape::new(vec![4]).expect("a shape"),
            element: Element::U8,
            maximum: 255.0,
            classes: vec!["a".to_string(), "b".to_string()],
            tokens: None,
            splits: vec![Split {
                name: "train".to_string(),
                rows: counts.iter().sum(),
                chunks: Vec::new(),
                tokens: None,
                labels: Some(spec::Digest::of(b"labels")),
                class_counts: counts.to_vec(),
                mean: vec![0.5],
                std: vec![0.25],
            }],
        };
        let text = format!(
            "name = \"a\"\n[data]\ntrain = \"a\"\n{validation}\n[model]\nlayers = [{{ linear = \"classes\" }}]\n[training]\n\
             steps = 1\nloss = {{ cross_entropy = {{ class_weights = \"balanced\" }} }}\n"
        );
        let job = spec::job_file::parse(&text).expect("a job");
        Ok(admit::<Error>(|_| Ok(manifest.clone()), job, None)?
            .job
            .training
            .loss)
    }

    #[test]
    fn balanced_weights_are_written_out_and_need_rows_of_every_class() {
        let given = |weights: Vec<f64>| {
            Loss::CrossEntropy(CrossEntropy {
                class_weights: Some(ClassWeights::Given(weights)),
                ..CrossEntropy::default()
            })
        };
        assert_eq!(
            admitted(&[30, 10], "").unwrap(),
            given(vec![40.0 / 60.0, 2.0])
        );
        // A fifth of each class is held out: 24 and 8 rows are left.
        assert_eq!(
            admitted(&[30, 10], "validation = 0.2").unwrap(),
            given(vec![32.0 / 48.0, 2.0])
        );
        assert_eq!(
            admitted(&[30, 0], "").unwrap_err().to_string(),
            "training.loss.cross_entropy.class_weights: class \"b\" has no training rows, and so no balanced weight: write the \
             weights as numbers"
        );
        let tokens = admitted(&[], "").unwrap_err().to_string();
        assert!(tokens.contains("the tokens of a stream"), "{tokens}");
    }

    #[test]
    fn a_rank_can_have_the_most_that_leaves_as_much_to_the_others() {
        let worker = |device_class, threads, memory_bytes| Capacity {
            device_class,
            threads,
            memory_bytes,
        };
        let bytes = |workers: &[Capacity<'_>], ranks, threads| {
            room(workers, ranks, threads).map(|room| room.bytes)
        };
        let two = [worker("a", 2, 100), worker("a", 4, 300)];
        assert_eq!(bytes(&two, 1, 1), Some(300));
        assert_eq!(bytes(&two, 2, 1), Some(150), "both on the larger one");
        assert_eq!(bytes(&two, 3, 1), Some(100));
        assert_eq!(bytes(&two, 6, 1), Some(50));
        assert_eq!(bytes(&two, 3, 2), Some(100));
        assert_eq!(bytes(&two, 7, 1), None, "it waits for threads");
        assert_eq!(bytes(&[], 1, 1), None);
        let classes = [worker("a", 1, 100), worker("b", 2, 100)];
        assert_eq!(bytes(&classes, 2, 1), Some(50), "a gang is of one class");
        assert_eq!(bytes(&[worker("a", 1, 0)], 1, 1), Some(0));
    }
}
