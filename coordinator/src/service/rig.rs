//! For tests: a coordinator in this process and a client of it. Here the generated types end; every wait has a deadline.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use proto::v1;
use proto::v1::depot_client::DepotClient;
use proto::v1::jobs_client::JobsClient;
use proto::v1::workers_client::WorkersClient;
use scheduler::Backoff;
use spec::{AttemptId, CheckpointManifest, DatasetManifest, Digest, MetricRow};
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

use crate::error::Error;
use crate::server::{Config, run};

/// What a call was refused with.
pub type Refusal = (Code, String);

/// Waits for what must come.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what)
        .await
        .expect("it comes within a minute")
}

/// Times under which no lease ends by itself and a failed job is tried again at once. A farewell this long would hang
/// a test that waits for it.
pub fn config() -> Config {
    Config {
        scheduler: scheduler::Config {
            lease: Duration::from_secs(600),
            backoff: Backoff {
                first: Duration::from_millis(1),
                most: Duration::from_millis(1),
            },
            ..scheduler::Config::default()
        },
        heartbeat: Duration::from_secs(1),
        farewell: Duration::from_secs(600),
    }
}

/// A coordinator in this process.
pub struct Rig {
    url: String,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), Error>>,
}

impl Rig {
    pub async fn start(store: Arc<dyn Store>) -> Rig {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(run(listener, store, config(), async {
            // A rig that is dropped stops too.
            let _ = stopped.await;
        }));
        Rig { url, stop, served }
    }

    pub async fn stop(self) -> Result<(), Error> {
        self.stop.send(()).expect("it runs");
        soon(self.served).await.expect("it does not panic")
    }

    /// Waits until it ends by itself.
    pub async fn end(self) -> Result<(), Error> {
        soon(self.served).await.expect("it does not panic")
    }

    pub async fn client(&self) -> Client {
        let endpoint = Endpoint::from_shared(self.url.clone()).expect("a URL");
        Client {
            channel: soon(endpoint.connect()).await.expect("it listens"),
        }
    }
}

/// A caller of the coordinator.
#[derive(Clone)]
pub struct Client {
    pub(super) channel: Channel,
}

/// What is told of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    pub id: String,
    pub state: String,
    pub reason: String,
    pub step: u64,
    pub ranks_running: u32,
    pub attempts: u32,
    pub job_toml: String,
    pub history: Vec<String>,
}

/// What a watcher sees.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    Row(u64),
    State(String),
}

/// A job's updates.
pub struct Watch(Streaming<v1::JobUpdate>);

pub(super) fn refusal(status: Status) -> Refusal {
    (status.code(), status.message().to_string())
}

fn shown(job: v1::Job) -> Shown {
    Shown {
        id: job.id,
        state: job.state,
        reason: job.reason,
        step: job.step,
        ranks_running: job.ranks_running,
        attempts: job.attempts,
        job_toml: job.job_toml,
        history: job.history.into_iter().map(|item| item.text).collect(),
    }
}

fn reference(job: &str) -> v1::JobRef {
    v1::JobRef {
        job: job.to_string(),
    }
}

impl Client {
    /// The connection, for services that are not Trainyard's own.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    fn jobs(&self) -> JobsClient<Channel> {
        JobsClient::new(self.channel.clone())
    }

    fn depot(&self) -> DepotClient<Channel> {
        DepotClient::new(self.channel.clone())
    }

    pub async fn submit(&self, job_toml: &str) -> Result<Shown, Refusal> {
        let job_toml = job_toml.to_string();
        let answer = soon(self.jobs().submit(v1::SubmitRequest { job_toml })).await;
        answer.map(|job| shown(job.into_inner())).map_err(refusal)
    }

    pub async fn show(&self, job: &str) -> Result<Shown, Refusal> {
        let answer = soon(self.jobs().show(reference(job))).await;
        answer.map(|job| shown(job.into_inner())).map_err(refusal)
    }

    pub async fn cancel(&self, job: &str) -> Result<Shown, Refusal> {
        let answer = soon(self.jobs().cancel(reference(job))).await;
        answer.map(|job| shown(job.into_inner())).map_err(refusal)
    }

    pub async fn rows(&self, job: &str) -> Vec<MetricRow> {
        let job = job.to_string();
        let request = v1::RowsRequest { job, after_step: 0 };
        let mut stream = soon(self.jobs().metrics(request))
            .await
            .expect("a known job")
            .into_inner();
        let mut rows = Vec::new();
        while let Some(row) = soon(stream.message()).await.expect("a row") {
            rows.push(row.try_into().expect("a row as it was reported"));
        }
        rows
    }

    pub async fn watch(&self, job: &str, after_step: u64) -> Watch {
        let job = job.to_string();
        let request = v1::RowsRequest { job, after_step };
        let answer = soon(self.jobs().watch(request)).await;
        Watch(answer.expect("a known job").into_inner())
    }

    pub async fn import(
        &self,
        name: &str,
        chunks: &[&[u8]],
        manifest: Option<&DatasetManifest>,
    ) -> Result<Digest, Refusal> {
        use v1::import_message::Message;
        let chunks = chunks.iter().map(|chunk| Message::Chunk(chunk.to_vec()));
        let end = manifest.map(|manifest| {
            Message::End(v1::ImportEnd {
                name: name.to_string(),
                manifest_json: serde_json::to_string(manifest).expect("a manifest is JSON"),
            })
        });
        let messages: Vec<v1::ImportMessage> = chunks
            .chain(end)
            .map(|message| v1::ImportMessage {
                message: Some(message),
            })
            .collect();
        let answer = soon(self.depot().import_dataset(tokio_stream::iter(messages))).await;
        let dataset = answer.map_err(refusal)?.into_inner();
        let manifest = proto::decode_dataset(&dataset.manifest_json).expect("a manifest");
        Ok(manifest.digest())
    }

    pub async fn datasets(&self) -> usize {
        let answer = soon(self.depot().list_datasets(v1::ListDatasetsRequest {})).await;
        answer.expect("a list").into_inner().datasets.len()
    }

    pub async fn save(
        &self,
        attempt: AttemptId,
        chunks: &[&[u8]],
        manifest: &CheckpointManifest,
    ) -> Result<Digest, Refusal> {
        use v1::save_message::Message;
        let end = Message::End(v1::SaveEnd {
            attempt: attempt.to_string(),
            manifest_json: serde_json::to_string(manifest).expect("a manifest is JSON"),
        });
        let messages: Vec<v1::SaveMessage> = chunks
            .iter()
            .map(|chunk| Message::Chunk(chunk.to_vec()))
            .chain([end])
            .map(|message| v1::SaveMessage {
                message: Some(message),
            })
            .collect();
        let answer = soon(self.depot().save_checkpoint(tokio_stream::iter(messages))).await;
        let digest = answer.map_err(refusal)?.into_inner().digest;
        Ok(digest.parse().expect("a digest"))
    }

    pub async fn chunk(&self, digest: &str) -> Result<Vec<u8>, Refusal> {
        let digest = digest.to_string();
        let answer = soon(self.depot().read_chunk(v1::ReadChunkRequest { digest })).await;
        answer
            .map(|chunk| chunk.into_inner().bytes)
            .map_err(refusal)
    }

    /// The steps of a job's checkpoints.
    pub async fn checkpoints(&self, job: &str) -> Vec<u64> {
        let job = job.to_string();
        let answer = soon(
            self.depot()
                .list_checkpoints(v1::ListCheckpointsRequest { job }),
        )
        .await;
        let checkpoints = answer.expect("a list").into_inner().checkpoints;
        let steps = checkpoints.iter().map(|checkpoint| {
            let manifest = proto::decode_checkpoint(&checkpoint.manifest_json);
            manifest.expect("a manifest").step
        });
        steps.collect()
    }

    /// Names, states and ranks of the workers.
    pub async fn workers(&self) -> Vec<(String, String, Vec<String>)> {
        let mut workers = WorkersClient::new(self.channel.clone());
        let answer = soon(workers.list(v1::ListWorkersRequest {})).await;
        let workers = answer.expect("a list").into_inner().workers;
        workers
            .into_iter()
            .map(|worker| (worker.name, worker.state, worker.ranks))
            .collect()
    }

    /// Waits until a worker is in a state.
    pub async fn until_worker(&self, name: &str, state: &str) {
        let wanted = async {
            while !self
                .workers()
                .await
                .iter()
                .any(|worker| (worker.0.as_str(), worker.1.as_str()) == (name, state))
            {
                tokio::task::yield_now().await;
            }
        };
        soon(wanted).await;
    }

    /// Waits until a job shows what is wanted.
    pub async fn until(&self, job: &str, wanted: impl Fn(&Shown) -> bool) -> Shown {
        let mut watch = self.watch(job, u64::MAX).await;
        loop {
            let shown = self.show(job).await.expect("a known job");
            if wanted(&shown) {
                return shown;
            }
            assert!(
                watch.next().await.is_ok_and(|seen| seen.is_some()),
                "it never comes: {shown:?}"
            );
        }
    }
}

impl Watch {
    /// The next thing seen; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Seen>, Refusal> {
        use v1::job_update::Update;
        let update = soon(self.0.message()).await.map_err(refusal)?;
        Ok(
            update.map(|update| match update.update.expect("an update") {
                Update::Job(job) => Seen::State(job.state),
                Update::Row(row) => Seen::Row(row.step),
            }),
        )
    }

    /// Everything up to the end.
    pub async fn all(mut self) -> Vec<Seen> {
        let mut all = Vec::new();
        while let Some(seen) = self.next().await.expect("it ends well") {
            all.push(seen);
        }
        all
    }
}
