//! `trainyard plan`

use coordinator::admission::admit;
use spec::checkpoint::DataFacts;
use spec::job::SplitRef;
use worker::client::Remote;
use worker::depot::Depot;

use super::job_file::JobFile;
use crate::arguments;
use crate::client::Client;
use crate::local;
use crate::stop::{Code, Stop};
use crate::view::{Format, print, tell};

mod table;

use table::Shown;

/// Plans a job and prints it.
///
/// # Errors
/// A job that is refused, or data that is not known.
pub fn run(options: &arguments::Plan, url: &str, format: Format) -> Result<(), Stop> {
    let file = JobFile::read(&options.job, &options.set)?;
    let (plan, steps) = match (&options.input, options.classes, &options.data_dir) {
        (Some(shape), Some(classes), _) => {
            let classes = (0..classes).map(|class| class.to_string()).collect();
            let facts = DataFacts {
                shape: shape.clone(),
                classes,
                tokens: None,
            };
            let plan =
                plan::for_job(&file.job, &facts, &[]).map_err(|error| file.refuse_plan(&error))?;
            (plan, None)
        }
        (_, _, Some(data_dir)) => {
            let ledger = local::open(data_dir)?;
            let lookup = |reference: &SplitRef| {
                ledger
                    .dataset(&reference.dataset, reference.digest.as_ref())
                    .map(|dataset| dataset.manifest)
            };
            let admitted =
                admit(lookup, file.job.clone()).map_err(|error| file.refuse_admission(&error))?;
            (admitted.plan, Some(admitted.steps))
        }
        _ => {
            let admitted = admit_remote(&file, url)?;
            (admitted.plan, Some(admitted.steps))
        }
    };
    let batch_size = file.job.training.batch_size;
    let ranks = file.job.resources.ranks;
    let shown = Shown {
        name: &file.job.name,
        batch_size,
        ranks,
        steps,
        flops_per_step: (plan.flops_forward + plan.flops_backward) * u64::from(batch_size),
        // Each rank sends the slices of its sums to their owners and its own folded slice to all.
        bytes_reduced_per_step: 2 * plan.record_bytes * u64::from(ranks - 1),
        warnings: plan.warnings().iter().map(ToString::to_string).collect(),
        plan: &plan,
    };
    match format {
        Format::Json => format.json(&shown),
        Format::Table => {
            print(&shown.text());
            for warning in &shown.warnings {
                tell(&format!("warning: {warning}"));
            }
        }
    }
    Ok(())
}

/// Admits a job with what the coordinator knows of its data.
///
/// # Errors
/// A job that is refused, or no coordinator.
pub fn admit_remote(file: &JobFile, url: &str) -> Result<coordinator::admission::Admitted, Stop> {
    enum Refusal {
        Admission(coordinator::Error),
        Lookup(Stop),
    }
    impl From<coordinator::Error> for Refusal {
        fn from(error: coordinator::Error) -> Self {
            Refusal::Admission(error)
        }
    }
    let talker = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Stop::failed)?;
    talker.block_on(Client::connect(url)).map_err(|stop| match stop.code {
        Code::Unreachable => Stop {
            message: format!("{}; without one, `trainyard plan` takes --data-dir DIR or --input 1x28x28 --classes 10", stop.message),
            ..stop
        },
        _ => stop,
    })?;
    let depot = Remote::new(url).map_err(|failure| Stop::refused(failure.message))?;
    let lookup = |reference: &SplitRef| {
        depot
            .dataset(reference)
            .map_err(|failure| Refusal::Lookup(file.refuse(&failure.message)))
    };
    admit(lookup, file.job.clone()).map_err(|refusal| match refusal {
        Refusal::Admission(error) => file.refuse_admission(&error),
        Refusal::Lookup(stop) => stop,
    })
}
