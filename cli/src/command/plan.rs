//! `trainyard plan`

use coordinator::admission::{self, Admitted, Capacity, admit};
use plan::{Plan, Room, Whose};
use spec::bytes::Bytes;
use spec::job::SplitRef;
use worker::client::Remote;
use worker::depot::Depot;

use super::job_file::JobFile;
use crate::arguments;
use crate::client::Client;
use crate::local;
use crate::stop::{Code, Stop};
use crate::view::{Format, print, tell};
use crate::views::Worker;

mod table;
mod time;

use table::Shown;

/// Plans a job and prints it.
///
/// # Errors
/// A job that is refused, or data that is not known.
pub fn run(options: &arguments::Plan, url: &str, format: Format) -> Result<(), Stop> {
    let file = JobFile::read(&options.job, &options.set)?;
    let room = options.memory.map(|Bytes(bytes)| Room {
        bytes,
        whose: Whose::Flag,
    });
    let Resolved {
        plan,
        steps,
        workers,
    } = resolve(&file, &options.shapes, room, url)?;
    let told = match workers {
        Some(workers) => time::by_workers(&file.job, &plan, &workers),
        None => time::by_this_machine(&file.job, &plan)?,
    };
    let (prediction, unpredicted) = match told {
        Ok(told) => (Some(told), None),
        Err(reason) => (None, Some(reason)),
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
        bytes_reduced_per_step: 2 * plan.folds().sum::<u64>() * u64::from(ranks - 1),
        warnings: plan.warnings().iter().map(ToString::to_string).collect(),
        prediction,
        unpredicted,
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

/// A job's plan, and its steps where the data is known.
pub struct Resolved {
    pub plan: Plan,
    pub steps: Option<u64>,
    /// Those of the coordinator, where it was asked.
    pub workers: Option<Vec<Worker>>,
}

/// Plans a job on the shapes of a person, of a data directory, or else of the coordinator. It must fit into `room`, or else
/// where the coordinator is asked into the memory of the workers.
///
/// # Errors
/// A job that is refused, or data that is not known.
pub fn resolve(
    file: &JobFile,
    shapes: &arguments::Shapes,
    room: Option<Room>,
    url: &str,
) -> Result<Resolved, Stop> {
    let facts = shapes
        .facts(&file.job)
        .map_err(|message| file.refuse(&message))?;
    if let Some(facts) = facts {
        let of = |job: &spec::Job| plan::for_job(job, &facts, &[]);
        let plan = of(&file.job).map_err(|error| file.refuse_plan(&error))?;
        if let Some(room) = room {
            let memory = |job: &spec::Job| Some(of(job).ok()?.memory.total);
            plan::fit(&file.job, &plan, room, memory)
                .map_err(|misfit| file.refuse_misfit(&misfit))?;
        }
        return Ok(Resolved {
            plan,
            steps: None,
            workers: None,
        });
    }
    let (admitted, workers) = match &shapes.data_dir {
        Some(data_dir) => {
            let ledger = local::open(data_dir)?;
            let lookup = |reference: &SplitRef| {
                ledger
                    .dataset(&reference.dataset, reference.digest.as_ref())
                    .map(|dataset| dataset.manifest)
            };
            let admitted = admit(lookup, file.job.clone(), room)
                .map_err(|error| file.refuse_admission(&error))?;
            (admitted, None)
        }
        None => {
            let (admitted, workers) = admit_remote(file, url, room)?;
            (admitted, Some(workers))
        }
    };
    Ok(Resolved {
        plan: admitted.plan,
        steps: Some(admitted.steps),
        workers,
    })
}

/// Admits a job with what the coordinator knows of its data, and tells its workers; it must fit into `room`, or else into
/// the memory of the workers.
///
/// # Errors
/// A job that is refused, or no coordinator.
pub fn admit_remote(
    file: &JobFile,
    url: &str,
    room: Option<Room>,
) -> Result<(Admitted, Vec<Worker>), Stop> {
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
    let client = talker.block_on(Client::connect(url)).map_err(|stop| match stop.code {
        Code::Unreachable => Stop {
            message: format!("{}; without one, `trainyard plan` takes --data-dir DIR, --input 1x28x28 --classes 10 or --vocabulary 65", stop.message),
            ..stop
        },
        _ => stop,
    })?;
    let workers = talker.block_on(client.list_workers())?;
    let room = room.or_else(|| room_of(&workers, &file.job));
    let depot = Remote::new(url).map_err(|failure| Stop::refused(failure.message))?;
    let lookup = |reference: &SplitRef| {
        depot
            .dataset(reference)
            .map_err(|failure| Refusal::Lookup(file.refuse(&failure.message)))
    };
    let admitted = admit(lookup, file.job.clone(), room).map_err(|refusal| match refusal {
        Refusal::Admission(error) => file.refuse_admission(&error),
        Refusal::Lookup(stop) => stop,
    })?;
    Ok((admitted, workers))
}

/// The memory that the workers who are there have for a rank of a job.
fn room_of(workers: &[Worker], job: &spec::Job) -> Option<Room> {
    let connected = workers.iter().filter(|worker| worker.state == "connected");
    let capacities: Vec<Capacity<'_>> = connected
        .map(|worker| Capacity {
            device_class: &worker.device_class,
            threads: worker.threads,
            memory_bytes: worker.memory_bytes,
        })
        .collect();
    admission::room(&capacities, job.resources.ranks, job.resources.threads)
}
