//! `trainyard run`: one rank in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use coordinator::admission::{Admitted, admit};
use spec::job::SplitRef;
use spec::rank::{Failure, FailureKind, Report};
use spec::{AttemptId, JobId, MetricRow};
use worker::client::Remote;
use worker::depot::Depot;
use worker::machine;
use worker::training::{Done, Training, alone};

use super::job_file::JobFile;
use super::plan::admit_remote;
use super::watch::Show;
use crate::arguments::Run;
use crate::client::Client;
use crate::end;
use crate::local::{self, LocalDepot, Session};
use crate::stop::Stop;
use crate::view::{Format, tell};

/// The exit status of an interruption.
const INTERRUPTED: i32 = 130;

/// Trains a job in this process: with a coordinator's data if one answers, else with those of the data directory, where
/// rows and checkpoints are kept too.
///
/// # Errors
/// A job that is refused, or a training that fails.
pub fn run(options: &Run, url: &str, format: Format) -> Result<(), Stop> {
    let mut file = JobFile::read(&options.job, &options.set)?;
    // One process, one rank: the bits are the same.
    file.job.resources.ranks = 1;
    let interrupted = watch_signals()?;
    let answers = {
        let talker = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Stop::failed)?;
        talker.block_on(Client::connect(url)).is_ok()
    };
    if answers {
        let (Admitted { job, steps, .. }, _) = admit_remote(&file, url, Some(machine::room()))?;
        let depot = Remote::new(url).map_err(|failure| Stop::refused(failure.message))?;
        tell(&format!(
            "data from the coordinator at {url}; rows and checkpoints of this run are not kept"
        ));
        let depot: Arc<dyn Depot> = Arc::new(local::Unkept(depot));
        let attempt = AttemptId {
            job: JobId(0),
            number: 1,
        };
        return train(
            &job,
            steps,
            depot,
            attempt,
            format,
            &interrupted,
            &mut |_| Ok(()),
        )
        .map(|_| ());
    }
    let ledger = local::open(&options.data_dir)?;
    let lookup = |reference: &SplitRef| {
        ledger
            .dataset(&reference.dataset, reference.digest.as_ref())
            .map(|dataset| dataset.manifest)
    };
    let admitted = admit(lookup, file.job.clone(), Some(machine::room()))
        .map_err(|error| file.refuse_admission(&error))?;
    let (job, steps) = (admitted.job.clone(), admitted.steps);
    let mut session = Session::begin(ledger.clone(), admitted)?;
    let attempt = session.attempt();
    let depot: Arc<dyn Depot> = Arc::new(LocalDepot(ledger));
    let result = train(
        &job,
        steps,
        depot,
        attempt,
        format,
        &interrupted,
        &mut |row| session.row(row),
    );
    let (done, result) = match result {
        Ok(done) => (Some(done), Ok(())),
        Err(stop) => (None, Err(stop)),
    };
    session.end(&result)?;
    if let Some(Done { step, .. }) = done {
        if step < steps {
            tell(&format!(
                "stopped early after step {step} of {steps}: {} did not become better",
                job.training.monitor
            ));
        }
        tell(&format!(
            "kept as {} in {}: checkpoint {}@{step}",
            attempt.job,
            options.data_dir.display(),
            job.name
        ));
    }
    result
}

fn train(
    job: &spec::Job,
    steps: u64,
    depot: Arc<dyn Depot>,
    attempt: AttemptId,
    format: Format,
    interrupted: &AtomicBool,
    keep: &mut dyn FnMut(&MetricRow) -> Result<(), Stop>,
) -> Result<Done, Stop> {
    let stop = |failure: Failure| match failure.kind {
        FailureKind::Passing | FailureKind::Lasting if interrupted.load(Ordering::SeqCst) => {
            Stop::interrupted()
        }
        FailureKind::Passing | FailureKind::Lasting => Stop::failed(failure.message),
    };
    let mut training = Training::prepare(job, depot, 0, None).map_err(stop)?;
    let mut gang = alone(
        training.plan().fold_bytes() as usize,
        job.training.microbatches,
    )
    .map_err(stop)?;
    let mut show = Show::new(format);
    show.steps(steps);
    let mut kept = Ok(());
    let mut report = |report: Report| {
        if let Report::Row(row) = report {
            show.row(&row);
            if kept.is_ok() {
                kept = keep(&row);
            }
        }
        if interrupted.load(Ordering::SeqCst) {
            return Err(worker::depot::passing("interrupted"));
        }
        match &kept {
            Ok(()) => Ok(()),
            Err(stop) => Err(worker::depot::lasting(&stop.message)),
        }
    };
    let result = training.run(attempt, &mut gang, &mut report).map_err(stop);
    show.end();
    result
}

/// Notes ctrl-C and SIGTERM; the training ends after the step that is under way.
fn watch_signals() -> Result<Arc<AtomicBool>, Stop> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let noted = interrupted.clone();
    let listener = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Stop::failed)?;
    let asked = {
        let _inside = listener.enter();
        end::asked()?
    };
    std::thread::Builder::new()
        .name("signals".to_string())
        .spawn(move || {
            listener.block_on(async {
                asked.await;
                noted.store(true, Ordering::SeqCst);
                // Who asks twice does not want to wait for the step. What is noted so far stands: cancelled.
                if let Ok(again) = end::asked() {
                    again.await;
                    std::process::exit(INTERRUPTED);
                }
            });
        })
        .map_err(Stop::failed)?;
    Ok(interrupted)
}
