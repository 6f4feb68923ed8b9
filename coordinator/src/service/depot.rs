//! `Depot`: datasets, checkpoints and the chunks of both.

use proto::v1;
use proto::v1::depot_server::Depot;
use spec::{AttemptId, Digest};
use tonic::{Code, Request, Response, Status, Streaming};

use super::{Service, refused};
use crate::driver::unix_ms;
use crate::error::Error;
use crate::ledger::{Checkpoint, Dataset, Ledger};

#[tonic::async_trait]
impl Depot for Service {
    async fn import_dataset(
        &self,
        request: Request<Streaming<v1::ImportMessage>>,
    ) -> Result<Response<v1::Dataset>, Status> {
        let imported = self.import(request.into_inner()).await;
        if imported.is_err() {
            self.give_back().await;
        }
        imported.map(|dataset| Response::new(describe_dataset(dataset)))
    }

    async fn list_datasets(
        &self,
        _: Request<v1::ListDatasetsRequest>,
    ) -> Result<Response<v1::ListDatasetsReply>, Status> {
        let datasets = self.with_ledger(|ledger| ledger.datasets()).await?;
        let datasets = datasets.into_iter().map(describe_dataset).collect();
        Ok(Response::new(v1::ListDatasetsReply { datasets }))
    }

    async fn show_dataset(
        &self,
        request: Request<v1::DatasetRef>,
    ) -> Result<Response<v1::Dataset>, Status> {
        let v1::DatasetRef { name, digest } = request.into_inner();
        let digest = match digest.as_str() {
            "" => None,
            text => Some(text.parse::<Digest>().map_err(refused)?),
        };
        let dataset = self
            .with_ledger(move |ledger| ledger.dataset(&name, digest.as_ref()))
            .await?;
        Ok(Response::new(describe_dataset(dataset)))
    }

    async fn read_chunk(
        &self,
        request: Request<v1::ReadChunkRequest>,
    ) -> Result<Response<v1::Chunk>, Status> {
        let digest: Digest = request.into_inner().digest.parse().map_err(refused)?;
        let read = self
            .with_ledger(move |ledger| Ok(ledger.store().chunk(&digest.0)?))
            .await;
        // What is wrong with a chunk stays wrong: the reader must not try again.
        let bytes = read.map_err(|status| match status.code() {
            Code::Unavailable => status,
            _ => Status::data_loss(status.message()),
        })?;
        Ok(Response::new(v1::Chunk { bytes }))
    }

    async fn save_checkpoint(
        &self,
        request: Request<Streaming<v1::SaveMessage>>,
    ) -> Result<Response<v1::Checkpoint>, Status> {
        let (_pins, end) = self.receive(request.into_inner(), Sender::Rank).await?;
        let attempt: AttemptId = end.attempt.parse().map_err(refused)?;
        let manifest = proto::decode_checkpoint(&end.manifest_json).map_err(refused)?;
        let checkpoint = self.keeping(move |ledger| {
            let state = ledger.state(attempt.job)?;
            let is_current = state.attempts == attempt.number && !state.state.is_final();
            if !is_current || manifest.job_id != Some(attempt.job) {
                return Err(Error::StaleAttempt { attempt });
            }
            ledger.add_checkpoint(manifest, unix_ms())
        });
        Ok(Response::new(describe_checkpoint(checkpoint.await?)))
    }

    async fn import_checkpoint(
        &self,
        request: Request<Streaming<v1::SaveMessage>>,
    ) -> Result<Response<v1::Checkpoint>, Status> {
        let imported = self.import_weights(request.into_inner()).await;
        if imported.is_err() {
            self.give_back().await;
        }
        imported.map(|checkpoint| Response::new(describe_checkpoint(checkpoint)))
    }

    async fn delete_checkpoint(
        &self,
        request: Request<v1::CheckpointRef>,
    ) -> Result<Response<v1::Checkpoint>, Status> {
        let reference = request.into_inner().checkpoint;
        let checkpoint = self
            .with_ledger(move |ledger| ledger.delete_checkpoint(&reference))
            .await?;
        Ok(Response::new(describe_checkpoint(checkpoint)))
    }

    async fn list_checkpoints(
        &self,
        request: Request<v1::ListCheckpointsRequest>,
    ) -> Result<Response<v1::ListCheckpointsReply>, Status> {
        let job = request.into_inner().job;
        let list = self.with_ledger(move |ledger| {
            let job = if job.is_empty() {
                None
            } else {
                Some(ledger.find_job(&job)?)
            };
            ledger.checkpoints(job)
        });
        let checkpoints = list.await?.into_iter().map(describe_checkpoint).collect();
        Ok(Response::new(v1::ListCheckpointsReply { checkpoints }))
    }

    async fn show_checkpoint(
        &self,
        request: Request<v1::CheckpointRef>,
    ) -> Result<Response<v1::Checkpoint>, Status> {
        let reference = request.into_inner().checkpoint;
        let checkpoint = self
            .with_ledger(move |ledger| ledger.find_checkpoint(&reference))
            .await?;
        Ok(Response::new(describe_checkpoint(checkpoint)))
    }
}

/// Who sends a checkpoint.
enum Sender {
    /// A rank, whose job has nowhere else to keep it.
    Rank,
    /// Somebody who can send it again.
    Person,
}

impl Service {
    /// What came of a broken import takes no room. If this fails too, the next checkpoint tries again.
    async fn give_back(&self) {
        let _ = self
            .with_ledger(|ledger| Ok(ledger.store().collect()?))
            .await;
    }

    async fn import_weights(
        &self,
        messages: Streaming<v1::SaveMessage>,
    ) -> Result<Checkpoint, Status> {
        let (_pins, end) = self.receive(messages, Sender::Person).await?;
        let manifest = proto::decode_checkpoint(&end.manifest_json).map_err(refused)?;
        if !end.attempt.is_empty() || manifest.job_id.is_some() {
            return Err(refused(
                "a checkpoint that a job made is saved, not imported",
            ));
        }
        self.with_ledger(move |ledger| ledger.add_checkpoint(manifest, unix_ms()))
            .await
    }

    /// Takes in a checkpoint's chunks, pinned until a record refers to them, and what ends them.
    async fn receive(
        &self,
        mut messages: Streaming<v1::SaveMessage>,
        sender: Sender,
    ) -> Result<(Vec<store::Pin>, v1::SaveEnd), Status> {
        use v1::save_message::Message;
        let mut pins = Vec::new();
        while let Some(message) = messages.message().await? {
            match message
                .message
                .ok_or_else(|| refused("a save message without content"))?
            {
                Message::Chunk(bytes) => {
                    let put = move |ledger: &Ledger| Ok(ledger.store().put_chunk(&bytes)?);
                    pins.push(match sender {
                        Sender::Rank => self.keeping(put).await?,
                        Sender::Person => self.with_ledger(put).await?,
                    });
                }
                Message::End(end) => return Ok((pins, end)),
            }
        }
        Err(refused(
            "the checkpoint ended before its manifest: nothing was kept",
        ))
    }

    async fn import(&self, mut messages: Streaming<v1::ImportMessage>) -> Result<Dataset, Status> {
        use v1::import_message::Message;
        // Pins keep the chunks until the manifest refers to them, or let them go if the stream breaks.
        let mut pins = Vec::new();
        while let Some(message) = messages.message().await? {
            match message
                .message
                .ok_or_else(|| refused("an import message without content"))?
            {
                Message::Chunk(bytes) => {
                    let put = move |ledger: &Ledger| Ok(ledger.store().put_chunk(&bytes)?);
                    pins.push(self.with_ledger(put).await?);
                }
                Message::End(v1::ImportEnd {
                    name,
                    manifest_json,
                }) => {
                    let manifest = proto::decode_dataset(&manifest_json).map_err(refused)?;
                    let dataset = self.with_ledger(move |ledger| {
                        if !spec::job_file::is_name(&name) {
                            return Err(Error::BadName { name });
                        }
                        ledger.add_dataset(&name, manifest, unix_ms())
                    });
                    return dataset.await;
                }
            }
        }
        Err(refused(
            "the import ended before its manifest: nothing was kept",
        ))
    }
}

fn describe_dataset(dataset: Dataset) -> v1::Dataset {
    let manifest_json = serde_json::to_string(&dataset.manifest).expect("a manifest is JSON");
    v1::Dataset {
        name: dataset.name,
        manifest_json,
        imported_unix_ms: dataset.imported_unix_ms,
    }
}

fn describe_checkpoint(checkpoint: Checkpoint) -> v1::Checkpoint {
    v1::Checkpoint {
        digest: checkpoint.digest.to_string(),
        manifest_json: serde_json::to_string(&checkpoint.manifest).expect("a manifest is JSON"),
        saved_unix_ms: checkpoint.saved_unix_ms,
    }
}
