//! `Workers`: one stream per worker.

use std::pin::Pin;

use proto::v1;
use proto::v1::worker_message::Message;
use proto::v1::workers_server::Workers;
use proto::{RankReport, RankStatus};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::{Service, refused, status};
use crate::driver::{Command, Handle, Hello};
use crate::error::Error;
use crate::roster::Seat;

/// Messages that may wait for a worker before it is taken for dead.
const PATIENCE: usize = 4096;

#[tonic::async_trait]
impl Workers for Service {
    type JoinStream = Pin<Box<dyn Stream<Item = Result<v1::CoordinatorMessage, Status>> + Send>>;

    async fn join(
        &self,
        request: Request<Streaming<v1::WorkerMessage>>,
    ) -> Result<Response<Self::JoinStream>, Status> {
        let mut messages = request.into_inner();
        let first = messages
            .message()
            .await?
            .and_then(|message| message.message);
        let Some(Message::Hello(hello)) = first else {
            return Err(refused("a worker's first message must be its hello"));
        };
        let hello = decode_hello(hello)?;
        let (outgoing, orders) = mpsc::channel(PATIENCE);
        let (seated, answer) = oneshot::channel();
        let driver = self.driver.clone();
        // On a task of its own: a caller that goes away now must not leave a seat that nobody gives back.
        tokio::spawn(async move {
            let asked = driver.ask(|reply| Command::Join {
                hello,
                outgoing,
                reply,
            });
            let seat = match asked.await {
                Ok(seat) => seat,
                Err(error) => {
                    // A caller that has gone away needs no reason.
                    let _ = seated.send(Err(status(&error)));
                    return;
                }
            };
            let left = match seated.send(Ok(())) {
                Ok(()) => tokio::select! {
                    left = listen(&driver, seat, &mut messages) => left.unwrap_or(false),
                    () = driver.ended() => return,
                },
                Err(_) => false,
            };
            let last = if left {
                Command::Leave(seat)
            } else {
                Command::Gone(seat)
            };
            // A driver that has ended needs no farewell.
            let _ = driver.tell(last);
        });
        answer.await.map_err(|_| status(&Error::Stopping))??;
        Ok(Response::new(Box::pin(
            ReceiverStream::new(orders).map(|command| Ok(command.into())),
        )))
    }

    async fn list(
        &self,
        _: Request<v1::ListWorkersRequest>,
    ) -> Result<Response<v1::ListWorkersReply>, Status> {
        let views = self.driver.workers.borrow().clone();
        let workers = views
            .iter()
            .map(|worker| v1::Worker {
                id: worker.id.to_string(),
                name: worker.name.clone(),
                state: if worker.connected {
                    "connected"
                } else {
                    "away"
                }
                .to_string(),
                device_class: worker.device_class.clone(),
                threads: worker.threads,
                free_threads: worker.free_threads,
                memory_bytes: worker.memory_bytes,
                free_memory_bytes: worker.free_memory_bytes,
                ranks: worker
                    .ranks
                    .iter()
                    .map(|(attempt, rank)| format!("{attempt}/{rank}"))
                    .collect(),
                rates: worker.rates.as_deref().map(Into::into),
            })
            .collect();
        Ok(Response::new(v1::ListWorkersReply { workers }))
    }
}

/// Passes on what a worker says; true once it has said goodbye, false when its stream ends without.
async fn listen(
    driver: &Handle,
    seat: Seat,
    messages: &mut Streaming<v1::WorkerMessage>,
) -> Result<bool, Status> {
    while let Some(message) = messages.message().await? {
        let command = match message.message {
            Some(Message::Heartbeat(_)) => Command::Beat(seat),
            Some(Message::Report(report)) => Command::Report(
                seat,
                Box::new(RankReport::try_from(report).map_err(refused)?),
            ),
            Some(Message::Rates(rates)) => {
                let rates = rates.try_into().map_err(refused)?;
                Command::Measured(seat, Box::new(rates))
            }
            Some(Message::Goodbye(_)) => return Ok(true),
            Some(Message::Hello(_)) | None => {
                return Err(refused("a message that has no place here"));
            }
        };
        driver.tell(command).map_err(|error| status(&error))?;
    }
    Ok(false)
}

fn decode_hello(hello: v1::Hello) -> Result<Hello, Status> {
    let offer = hello
        .offer
        .ok_or_else(|| refused("a hello without an offer"))?;
    if !spec::job_file::is_name(&hello.name) {
        return Err(refused(format!(
            "\"{}\" is not a worker's name: use a-z, 0-9, dot, underscore and hyphen",
            hello.name
        )));
    }
    let ranks: Result<Vec<RankStatus>, proto::Error> =
        hello.ranks.into_iter().map(RankStatus::try_from).collect();
    Ok(Hello {
        name: hello.name,
        instance: hello.instance,
        offer: offer.try_into().map_err(refused)?,
        ranks: ranks.map_err(refused)?,
    })
}
