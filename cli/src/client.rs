//! The coordinator as commands see it. With `decode`, the only file of this crate that
//! knows generated types.

use std::time::Duration;

use proto::v1;
use proto::v1::depot_client::DepotClient;
use proto::v1::jobs_client::JobsClient;
use proto::v1::workers_client::WorkersClient;
use spec::{DatasetManifest, Digest, MetricRow};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code as Grpc, Status, Streaming};

use crate::stop::{Code, Stop};
use crate::views::{Checkpoint, Dataset, Job, Worker};

mod decode;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the first answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How often an open connection is asked whether it lives, and how long that answer may take.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(10));

/// A connection to a coordinator.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
    url: String,
}

/// What a watched job tells.
pub enum Update {
    /// The job as it is now.
    Job(Box<Job>),
    /// A step's row.
    Row(Box<MetricRow>),
}

/// The updates of a watched job; ends when the job has.
pub struct Updates {
    stream: Streaming<v1::JobUpdate>,
    url: String,
}

/// A part of a dataset on its way in.
pub enum ImportPart {
    /// A chunk.
    Chunk(Vec<u8>),
    /// The end: the manifest that names the chunks.
    Manifest(Box<DatasetManifest>),
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Not a URL, no coordinator there, or one that does not answer.
    pub async fn connect(url: &str) -> Result<Self, Stop> {
        let endpoint = Endpoint::from_shared(url.to_string()).map_err(|_| {
            Stop::refused(format!(
                "\"{url}\" is not a URL: expected one as http://127.0.0.1:7070"
            ))
        })?;
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE.0)
            .keep_alive_timeout(KEEP_ALIVE.1);
        let channel = endpoint.connect().await.map_err(|_| unreachable(url))?;
        let client = Client {
            channel,
            url: url.to_string(),
        };
        client.greet().await?;
        Ok(client)
    }

    /// Asks for something small: what listens there may hang, or be something else.
    async fn greet(&self) -> Result<(), Stop> {
        let url = &self.url;
        let stop = |message| {
            let code = Code::Unreachable;
            Err(Stop { code, message })
        };
        let mut workers = WorkersClient::new(self.channel.clone())
            .max_decoding_message_size(proto::MAX_REPLY_BYTES);
        let asked = workers.list(v1::ListWorkersRequest {});
        match tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(status)) if status.code() == Grpc::Unavailable => Err(unreachable(url)),
            Ok(Err(_)) => stop(format!(
                "what answers at {url} is no coordinator: say where one is with --coordinator URL"
            )),
            Err(_) => stop(format!(
                "the coordinator at {url} did not answer within {ANSWER_TIMEOUT:?}: see whether it is stopped or overloaded"
            )),
        }
    }

    /// Submits a job.
    ///
    /// # Errors
    /// It is refused.
    pub async fn submit(&self, job: &spec::Job) -> Result<Job, Stop> {
        let request = v1::SubmitRequest {
            job_toml: spec::job_file::render(job),
        };
        let answer = self.jobs().submit(request).await;
        Ok(decode::job(
            answer.map_err(|status| self.stop(&status))?.into_inner(),
        ))
    }

    /// All jobs, oldest first.
    ///
    /// # Errors
    /// The coordinator does not answer.
    pub async fn list_jobs(&self) -> Result<Vec<Job>, Stop> {
        let answer = self.jobs().list(v1::ListJobsRequest {}).await;
        let jobs = answer
            .map_err(|status| self.stop(&status))?
            .into_inner()
            .jobs;
        Ok(jobs.into_iter().map(decode::job).collect())
    }

    /// One job.
    ///
    /// # Errors
    /// It is unknown.
    pub async fn show_job(&self, job: &str) -> Result<Job, Stop> {
        let answer = self
            .jobs()
            .show(v1::JobRef {
                job: job.to_string(),
            })
            .await;
        Ok(decode::job(
            answer.map_err(|status| self.stop(&status))?.into_inner(),
        ))
    }

    /// Cancels a job.
    ///
    /// # Errors
    /// It is unknown.
    pub async fn cancel_job(&self, job: &str) -> Result<Job, Stop> {
        let answer = self
            .jobs()
            .cancel(v1::JobRef {
                job: job.to_string(),
            })
            .await;
        Ok(decode::job(
            answer.map_err(|status| self.stop(&status))?.into_inner(),
        ))
    }

    /// A job and its rows after a step, as they come.
    ///
    /// # Errors
    /// It is unknown.
    pub async fn watch_job(&self, job: &str, after_step: u64) -> Result<Updates, Stop> {
        let request = v1::RowsRequest {
            job: job.to_string(),
            after_step,
        };
        let answer = self
            .jobs()
            .watch(request)
            .await
            .map_err(|status| self.stop(&status))?;
        Ok(Updates {
            stream: answer.into_inner(),
            url: self.url.clone(),
        })
    }

    /// The rows of a job, each passed to `take`.
    ///
    /// # Errors
    /// It is unknown.
    pub async fn metrics(&self, job: &str, mut take: impl FnMut(MetricRow)) -> Result<(), Stop> {
        let request = v1::RowsRequest {
            job: job.to_string(),
            after_step: 0,
        };
        let answer = self
            .jobs()
            .metrics(request)
            .await
            .map_err(|status| self.stop(&status))?;
        let mut rows = answer.into_inner();
        while let Some(row) = rows.next().await {
            let row = row.map_err(|status| self.stop(&status))?;
            take(row.try_into().map_err(Stop::failed)?);
        }
        Ok(())
    }

    /// All workers.
    ///
    /// # Errors
    /// The coordinator does not answer.
    pub async fn list_workers(&self) -> Result<Vec<Worker>, Stop> {
        let answer = WorkersClient::new(self.channel.clone())
            .max_decoding_message_size(proto::MAX_REPLY_BYTES)
            .list(v1::ListWorkersRequest {})
            .await;
        let workers = answer
            .map_err(|status| self.stop(&status))?
            .into_inner()
            .workers;
        workers.into_iter().map(decode::worker).collect()
    }

    /// Brings in a dataset: the parts that `parts` delivers, the manifest last.
    ///
    /// # Errors
    /// It is refused, or the parts end before the manifest.
    pub async fn import(
        &self,
        name: &str,
        parts: mpsc::Receiver<ImportPart>,
    ) -> Result<Dataset, Stop> {
        use v1::import_message::Message;
        let name = name.to_string();
        let messages = ReceiverStream::new(parts).map(move |part| {
            let message = match part {
                ImportPart::Chunk(bytes) => Message::Chunk(bytes),
                ImportPart::Manifest(manifest) => {
                    let manifest_json =
                        serde_json::to_string(&manifest).expect("a manifest is JSON");
                    Message::End(v1::ImportEnd {
                        name: name.clone(),
                        manifest_json,
                    })
                }
            };
            v1::ImportMessage {
                message: Some(message),
            }
        });
        let answer = self.depot().import_dataset(messages).await;
        decode::dataset(answer.map_err(|status| self.stop(&status))?.into_inner())
    }

    /// All versions of all datasets.
    ///
    /// # Errors
    /// The coordinator does not answer.
    pub async fn list_datasets(&self) -> Result<Vec<Dataset>, Stop> {
        let answer = self.depot().list_datasets(v1::ListDatasetsRequest {}).await;
        let datasets = answer
            .map_err(|status| self.stop(&status))?
            .into_inner()
            .datasets;
        datasets.into_iter().map(decode::dataset).collect()
    }

    /// One dataset: its newest version, or the one of this digest.
    ///
    /// # Errors
    /// It is unknown.
    pub async fn show_dataset(&self, name: &str, digest: Option<Digest>) -> Result<Dataset, Stop> {
        let digest = digest.map(|digest| digest.to_string()).unwrap_or_default();
        let answer = self
            .depot()
            .show_dataset(v1::DatasetRef {
                name: name.to_string(),
                digest,
            })
            .await;
        decode::dataset(answer.map_err(|status| self.stop(&status))?.into_inner())
    }

    /// Checkpoints of one job or of all.
    ///
    /// # Errors
    /// The job is unknown.
    pub async fn list_checkpoints(&self, job: Option<&str>) -> Result<Vec<Checkpoint>, Stop> {
        let request = v1::ListCheckpointsRequest {
            job: job.unwrap_or_default().to_string(),
        };
        let answer = self.depot().list_checkpoints(request).await;
        let checkpoints = answer
            .map_err(|status| self.stop(&status))?
            .into_inner()
            .checkpoints;
        let checkpoints = checkpoints.into_iter().map(decode::checkpoint);
        let mut checkpoints: Vec<Checkpoint> = checkpoints.collect::<Result<_, _>>()?;
        Checkpoint::mark_best(&mut checkpoints);
        Ok(checkpoints)
    }

    /// One checkpoint.
    ///
    /// # Errors
    /// It is unknown.
    pub async fn show_checkpoint(&self, checkpoint: &str) -> Result<Checkpoint, Stop> {
        let request = v1::CheckpointRef {
            checkpoint: checkpoint.to_string(),
        };
        let answer = self.depot().show_checkpoint(request).await;
        decode::checkpoint(answer.map_err(|status| self.stop(&status))?.into_inner())
    }

    /// Deletes a checkpoint; what it was.
    ///
    /// # Errors
    /// It is unknown, or its job has not ended.
    pub async fn delete_checkpoint(&self, checkpoint: &str) -> Result<Checkpoint, Stop> {
        let request = v1::CheckpointRef {
            checkpoint: checkpoint.to_string(),
        };
        let answer = self.depot().delete_checkpoint(request).await;
        decode::checkpoint(answer.map_err(|status| self.stop(&status))?.into_inner())
    }

    fn jobs(&self) -> JobsClient<Channel> {
        JobsClient::new(self.channel.clone()).max_decoding_message_size(proto::MAX_REPLY_BYTES)
    }

    fn depot(&self) -> DepotClient<Channel> {
        DepotClient::new(self.channel.clone())
            .max_decoding_message_size(proto::MAX_REPLY_BYTES)
            .max_encoding_message_size(proto::MAX_MESSAGE_BYTES)
    }

    fn stop(&self, status: &Status) -> Stop {
        stop(&self.url, status)
    }
}

impl Updates {
    /// The next update; `None` once the job has ended.
    ///
    /// # Errors
    /// The coordinator went away.
    pub async fn next(&mut self) -> Result<Option<Update>, Stop> {
        use v1::job_update::Update as Wire;
        while let Some(update) = self.stream.next().await {
            match update.map_err(|status| stop(&self.url, &status))?.update {
                Some(Wire::Job(job)) => return Ok(Some(Update::Job(Box::new(decode::job(job))))),
                Some(Wire::Row(row)) => {
                    let row = row.try_into().map_err(Stop::failed)?;
                    return Ok(Some(Update::Row(Box::new(row))));
                }
                None => {}
            }
        }
        Ok(None)
    }
}

fn unreachable(url: &str) -> Stop {
    let message = format!(
        "no coordinator answers at {url}: start one with `trainyard up`, or say where it is with --coordinator URL"
    );
    Stop {
        code: Code::Unreachable,
        message,
    }
}

fn stop(url: &str, status: &Status) -> Stop {
    let code = match status.code() {
        Grpc::Unavailable | Grpc::Unknown | Grpc::Cancelled | Grpc::DeadlineExceeded => {
            return unreachable(url);
        }
        Grpc::Internal | Grpc::DataLoss | Grpc::Aborted => Code::Failed,
        _ => Code::Refused,
    };
    Stop {
        code,
        message: status.message().to_string(),
    }
}
