//! The coordinator's depot, called from threads that may block.

use std::time::{Duration, Instant};

use proto::v1;
use proto::v1::depot_client::DepotClient;
use proto::v1::save_message::Message;
use spec::job::SplitRef;
use spec::rank::{Failure, FailureKind};
use spec::{AttemptId, CheckpointManifest, DatasetManifest, Digest, JobId};
use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::depot::{Depot, lasting, passing};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
const SAVE_TIMEOUT: Duration = Duration::from_secs(600);
/// The wait before the first repetition of a call, which doubles with each, and its most.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The depot of a coordinator.
pub struct Remote {
    runtime: Runtime,
    client: DepotClient<Channel>,
    url: String,
    patience: Duration,
}

impl Remote {
    /// The depot of the coordinator at this URL. Connects at the first call.
    ///
    /// # Errors
    /// A text that is not a URL.
    pub fn new(url: &str) -> Result<Self, Failure> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(passing)?;
        let endpoint = Endpoint::from_shared(url.to_string())
            .map_err(|_| {
                lasting(format!(
                    "\"{url}\" is not a URL: expected one as http://127.0.0.1:7070"
                ))
            })?
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(SAVE_TIMEOUT)
            .tcp_nodelay(true);
        let channel = runtime.block_on(async { endpoint.connect_lazy() });
        let client = DepotClient::new(channel)
            .max_decoding_message_size(proto::MAX_REPLY_BYTES)
            .max_encoding_message_size(proto::MAX_MESSAGE_BYTES);
        Ok(Remote {
            runtime,
            client,
            url: url.to_string(),
            patience: Duration::ZERO,
        })
    }

    /// One that repeats calls for so long while the coordinator cannot be reached, as when it is started anew.
    pub fn patient(self, patience: Duration) -> Self {
        Remote { patience, ..self }
    }

    /// Calls until there is an answer, or the patience is at its end. All calls may be repeated.
    fn repeat<T>(&self, mut call: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
        let deadline = Instant::now() + self.patience;
        let mut wait = FIRST_WAIT;
        loop {
            match call() {
                Err(failure)
                    if failure.kind == FailureKind::Passing && Instant::now() + wait < deadline =>
                {
                    std::thread::sleep(wait);
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                answer => return answer,
            }
        }
    }

    fn call<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
        limit: Duration,
    ) -> Result<T, Failure> {
        let answer = self
            .runtime
            .block_on(async { tokio::time::timeout(limit, call).await });
        match answer {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(self.failure(&status)),
            Err(_) => Err(passing(format!(
                "the coordinator at {} did not answer within {limit:?}",
                self.url
            ))),
        }
    }

    /// Keeps a checkpoint that no job made: the chunks, then the manifest that names them.
    ///
    /// # Errors
    /// It is refused, or the coordinator cannot be reached or cannot write.
    pub fn import(
        &self,
        chunks: &[&[u8]],
        manifest: &CheckpointManifest,
    ) -> Result<Digest, Failure> {
        let end = v1::SaveEnd {
            attempt: String::new(),
            manifest_json: serde_json::to_string(manifest).expect("a manifest is JSON"),
        };
        let kept = self.repeat(|| self.call(self.send(chunks, &end), SAVE_TIMEOUT))?;
        kept.digest.parse().map_err(lasting)
    }

    /// Sends a checkpoint; one of no attempt is imported.
    async fn send(
        &self,
        chunks: &[&[u8]],
        end: &v1::SaveEnd,
    ) -> Result<tonic::Response<v1::Checkpoint>, Status> {
        // Two messages wait at most: the copy of a checkpoint is never in memory whole.
        let (messages, outgoing) = tokio::sync::mpsc::channel(2);
        let mut client = self.client.clone();
        let sent = async move {
            let chunks = chunks.iter().map(|chunk| Message::Chunk(chunk.to_vec()));
            for message in chunks.chain([Message::End(end.clone())]) {
                let message = Some(message);
                // A call that has ended says itself why.
                if messages.send(v1::SaveMessage { message }).await.is_err() {
                    return;
                }
            }
        };
        let stream = tokio_stream::wrappers::ReceiverStream::new(outgoing);
        let call = async move {
            if end.attempt.is_empty() {
                client.import_checkpoint(stream).await
            } else {
                client.save_checkpoint(stream).await
            }
        };
        let (answer, ()) = tokio::join!(call, sent);
        answer
    }

    /// What the coordinator refuses stays refused; what did not reach it may pass.
    fn failure(&self, status: &Status) -> Failure {
        match status.code() {
            Code::NotFound
            | Code::InvalidArgument
            | Code::DataLoss
            | Code::Aborted
            | Code::Internal => lasting(status.message()),
            _ => passing(format!(
                "the coordinator at {} cannot be reached: {}",
                self.url,
                status.message()
            )),
        }
    }
}

impl Depot for Remote {
    fn dataset(&self, reference: &SplitRef) -> Result<DatasetManifest, Failure> {
        let digest = reference
            .digest
            .map(|digest| digest.to_string())
            .unwrap_or_default();
        let request = v1::DatasetRef {
            name: reference.dataset.clone(),
            digest,
        };
        let dataset = self.repeat(|| {
            let mut client = self.client.clone();
            self.call(client.show_dataset(request.clone()), CALL_TIMEOUT)
        })?;
        proto::decode_dataset(&dataset.manifest_json).map_err(lasting)
    }

    fn chunk(&self, digest: &Digest) -> Result<Vec<u8>, Failure> {
        let request = v1::ReadChunkRequest {
            digest: digest.to_string(),
        };
        let chunk = self.repeat(|| {
            let mut client = self.client.clone();
            self.call(client.read_chunk(request.clone()), CALL_TIMEOUT)
        })?;
        Ok(chunk.bytes)
    }

    fn save(
        &self,
        attempt: AttemptId,
        chunks: &[&[u8]],
        manifest: &CheckpointManifest,
    ) -> Result<Digest, Failure> {
        let manifest_json = serde_json::to_string(manifest).expect("a manifest is JSON");
        let end = v1::SaveEnd {
            attempt: attempt.to_string(),
            manifest_json,
        };
        let saved = self.repeat(|| self.call(self.send(chunks, &end), SAVE_TIMEOUT))?;
        saved.digest.parse().map_err(lasting)
    }

    fn checkpoints(&self, job: JobId) -> Result<Vec<CheckpointManifest>, Failure> {
        let request = v1::ListCheckpointsRequest {
            job: job.to_string(),
        };
        let reply = self.repeat(|| {
            let mut client = self.client.clone();
            self.call(client.list_checkpoints(request.clone()), CALL_TIMEOUT)
        })?;
        let decode = |checkpoint: &v1::Checkpoint| {
            proto::decode_checkpoint(&checkpoint.manifest_json).map_err(lasting)
        };
        reply.checkpoints.iter().map(decode).collect()
    }
}
