//! `Jobs`: submit, list, show, watch, metrics, cancel.

use std::pin::Pin;

use proto::v1;
use proto::v1::jobs_server::Jobs;
use scheduler::{AttemptRecord, RankState};
use spec::job::SplitRef;
use spec::state::JobState;
use spec::{JobId, MetricRow};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{Service, refused};
use crate::admission::{Capacity, admit, room};
use crate::driver::Command;
use crate::error::Error;
use crate::ledger::{Ledger, SubmittedJob};

/// Rows read from the ledger at a time, and kept ready for a slow reader.
const PAGE: usize = 256;

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Jobs for Service {
    async fn submit(
        &self,
        request: Request<v1::SubmitRequest>,
    ) -> Result<Response<v1::Job>, Status> {
        let job = proto::decode_job(&request.into_inner().job_toml).map_err(refused)?;
        let workers = self.driver.workers.borrow().clone();
        let admitted = self.with_ledger(move |ledger| {
            let connected = workers.iter().filter(|worker| worker.connected);
            let capacities: Vec<Capacity<'_>> = connected
                .map(|worker| Capacity {
                    device_class: &worker.device_class,
                    threads: worker.threads,
                    memory_bytes: worker.memory_bytes,
                })
                .collect();
            let resources = job.resources;
            let room = room(&capacities, resources.ranks, resources.threads);
            let lookup = |reference: &SplitRef| {
                ledger
                    .dataset(&reference.dataset, reference.digest.as_ref())
                    .map(|dataset| dataset.manifest)
            };
            admit(lookup, job, room)
        });
        let admitted = Box::new(admitted.await?);
        let asked = self
            .driver
            .ask(|reply| Command::Submit { admitted, reply })
            .await;
        let id = asked.map_err(|error| super::status(&error))?;
        self.job(id).await
    }

    async fn list(
        &self,
        _: Request<v1::ListJobsRequest>,
    ) -> Result<Response<v1::ListJobsReply>, Status> {
        let list = |ledger: &Ledger| {
            let jobs = ledger.jobs()?;
            jobs.iter()
                .map(|submitted| describe(ledger, submitted, Detail::Line))
                .collect::<Result<Vec<_>, Error>>()
        };
        Ok(Response::new(v1::ListJobsReply {
            jobs: self.with_ledger(list).await?,
        }))
    }

    async fn show(&self, request: Request<v1::JobRef>) -> Result<Response<v1::Job>, Status> {
        let reference = request.into_inner().job;
        let id = self
            .with_ledger(move |ledger| ledger.find_job(&reference))
            .await?;
        self.job(id).await
    }

    type WatchStream = Replies<v1::JobUpdate>;

    async fn watch(
        &self,
        request: Request<v1::RowsRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let v1::RowsRequest { job, after_step } = request.into_inner();
        let id = self
            .with_ledger(move |ledger| ledger.find_job(&job))
            .await?;
        let (updates, replies) = mpsc::channel(PAGE);
        let service = self.clone();
        tokio::spawn(async move {
            if let Err(status) = service.follow(id, after_step, &updates).await {
                // A client that has gone away needs no status.
                let _ = updates.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(replies))))
    }

    type MetricsStream = Replies<v1::MetricRow>;

    async fn metrics(
        &self,
        request: Request<v1::RowsRequest>,
    ) -> Result<Response<Self::MetricsStream>, Status> {
        let v1::RowsRequest { job, after_step } = request.into_inner();
        let id = self
            .with_ledger(move |ledger| ledger.find_job(&job))
            .await?;
        let (rows, replies) = mpsc::channel(PAGE);
        let service = self.clone();
        tokio::spawn(async move {
            if let Err(status) = service.send_rows(id, after_step, &rows, Into::into).await {
                // A client that has gone away needs no status.
                let _ = rows.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(replies))))
    }

    async fn cancel(&self, request: Request<v1::JobRef>) -> Result<Response<v1::Job>, Status> {
        let reference = request.into_inner().job;
        let job = self
            .with_ledger(move |ledger| ledger.find_job(&reference))
            .await?;
        let asked = self
            .driver
            .ask(|reply| Command::Cancel { job, reply })
            .await;
        asked.map_err(|error| super::status(&error))?;
        self.job(job).await
    }
}

impl Service {
    async fn job(&self, id: JobId) -> Result<Response<v1::Job>, Status> {
        let show = move |ledger: &Ledger| describe(ledger, &ledger.submitted(id)?, Detail::Whole);
        Ok(Response::new(self.with_ledger(show).await?))
    }

    /// Sends the rows after a step that are there now; the step of the last. Stops early when nobody listens.
    async fn send_rows<T>(
        &self,
        id: JobId,
        mut after: u64,
        to: &mpsc::Sender<Result<T, Status>>,
        wrap: impl Fn(MetricRow) -> T,
    ) -> Result<u64, Status> {
        loop {
            let rows = self
                .with_ledger(move |ledger| ledger.rows(id, after, PAGE))
                .await?;
            let Some(last) = rows.last() else {
                return Ok(after);
            };
            after = last.exact.step;
            for row in rows {
                if to.send(Ok(wrap(row))).await.is_err() {
                    return Ok(after);
                }
            }
        }
    }

    /// Sends the job and its rows as they change until it has ended or nobody listens.
    async fn follow(
        &self,
        id: JobId,
        mut after: u64,
        updates: &mpsc::Sender<Result<v1::JobUpdate, Status>>,
    ) -> Result<(), Status> {
        use v1::job_update::Update;
        let mut changes = self.driver.changes.clone();
        let mut shown = None;
        loop {
            changes.borrow_and_update();
            // The state is read before the rows: once it is final, the rows read after it are all there are.
            let now = move |ledger: &Ledger| {
                let ended = ledger.state(id)?.state.is_final();
                let detail = if ended { Detail::Whole } else { Detail::Line };
                Ok((describe(ledger, &ledger.submitted(id)?, detail)?, ended))
            };
            let (job, ended) = self.with_ledger(now).await?;
            let wrap = |row: MetricRow| v1::JobUpdate {
                update: Some(Update::Row(row.into())),
            };
            after = self.send_rows(id, after, updates, wrap).await?;
            // Rows tell of steps by themselves.
            let standing = (
                ended,
                job.state.clone(),
                job.reason.clone(),
                job.ranks_running,
            );
            if shown.as_ref() != Some(&standing) {
                let update = v1::JobUpdate {
                    update: Some(Update::Job(job)),
                };
                if updates.send(Ok(update)).await.is_err() {
                    return Ok(());
                }
                shown = Some(standing);
            }
            if ended {
                return Ok(());
            }
            tokio::select! {
                changed = changes.changed() => changed.map_err(|_| super::status(&Error::Stopping))?,
                () = updates.closed() => return Ok(()),
            }
        }
    }
}

/// How much of a job is told.
#[derive(PartialEq)]
enum Detail {
    Line,
    Whole,
}

fn describe(ledger: &Ledger, submitted: &SubmittedJob, detail: Detail) -> Result<v1::Job, Error> {
    let state = ledger.state(submitted.id)?;
    let row = ledger.last_row(submitted.id)?;
    let attempt = ledger.newest_attempt(submitted.id)?;
    let (job_toml, history) = match detail {
        Detail::Line => (String::new(), Vec::new()),
        Detail::Whole => (
            spec::job_file::render(&submitted.job),
            ledger.history(submitted.id)?,
        ),
    };
    Ok(v1::Job {
        id: submitted.id.to_string(),
        name: submitted.job.name.clone(),
        state: state.state.to_string(),
        reason: state
            .reason
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        step: row.as_ref().map_or(0, |row| row.exact.step),
        steps: submitted.steps,
        ranks_running: match state.state {
            JobState::Running => attempt.map_or(0, |attempt| running(&attempt)),
            _ => 0,
        },
        ranks: submitted.job.resources.ranks,
        attempts: state.attempts,
        parameters_digest: row
            .map(|row| row.exact.parameters_digest)
            .unwrap_or_default(),
        submitted_unix_ms: submitted.submitted_unix_ms,
        finished_unix_ms: state.finished_at.map(|at| at.0),
        job_toml,
        history: history
            .into_iter()
            .map(|occurrence| v1::Occurrence {
                unix_ms: occurrence.unix_ms,
                text: occurrence.text,
            })
            .collect(),
    })
}

/// How many ranks were told to train and are not gone.
fn running(attempt: &AttemptRecord) -> u32 {
    let ranks = attempt.placements.iter();
    ranks
        .map(|placement| u32::from(placement.state == RankState::Running))
        .sum()
}
