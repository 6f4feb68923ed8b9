//! The agent's stream to the coordinator.

use std::sync::Arc;
use std::time::Duration;

use proto::v1;
use proto::v1::worker_message::Message;
use proto::v1::workers_client::WorkersClient;
use proto::{Command, RankReport, RankStatus};
use spec::offer::Offer;
use spec::rates::Rates;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Code, Streaming};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Messages that may wait for the network.
const IN_FLIGHT: usize = 1024;

/// How the agent introduces itself.
#[derive(Debug, Clone)]
pub(crate) struct Hello {
    pub name: String,
    pub instance: String,
    pub offer: Offer,
    pub ranks: Vec<RankStatus>,
}

/// What the agent sends after its hello.
pub(crate) enum Upward {
    Heartbeat,
    Report(RankReport),
    Rates(Arc<Rates>),
    Goodbye,
}

/// An open stream.
pub(crate) struct Link {
    outgoing: mpsc::Sender<v1::WorkerMessage>,
    incoming: Streaming<v1::CoordinatorMessage>,
}

/// Why a stream is not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// It may open later.
    #[error("{reason}")]
    Away { reason: String },
    /// It will not.
    #[error("{reason}")]
    Refused { reason: String },
}

impl Link {
    /// Opens the stream and says hello.
    pub async fn open(url: String, hello: Hello) -> Result<Link, LinkError> {
        let endpoint = Endpoint::from_shared(url.clone()).map_err(|_| LinkError::Refused {
            reason: format!("\"{url}\" is not a URL: expected one as http://127.0.0.1:7070"),
        })?;
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(5))
            .keep_alive_timeout(Duration::from_secs(10));
        let away = |reason: String| LinkError::Away { reason };
        let channel = endpoint
            .connect()
            .await
            .map_err(|error| away(format!("{url}: {}", root_cause(&error))))?;
        let mut client = WorkersClient::new(channel)
            .max_decoding_message_size(proto::MAX_MESSAGE_BYTES)
            .max_encoding_message_size(proto::MAX_MESSAGE_BYTES);
        let (outgoing, messages) = mpsc::channel(IN_FLIGHT);
        let first = v1::WorkerMessage {
            message: Some(Message::Hello(encode_hello(hello))),
        };
        outgoing.try_send(first).expect("a new channel has room");
        let answer = client.join(ReceiverStream::new(messages)).await;
        let incoming = answer.map_err(|status| match status.code() {
            Code::AlreadyExists | Code::InvalidArgument => LinkError::Refused {
                reason: status.message().to_string(),
            },
            _ => away(status.message().to_string()),
        })?;
        Ok(Link {
            outgoing,
            incoming: incoming.into_inner(),
        })
    }

    /// Sends a message if there is room; false if there is none now.
    pub fn try_send(&self, upward: Upward) -> bool {
        self.outgoing.try_send(encode(upward)).is_ok()
    }

    /// Sends a message, waiting for room. What a broken stream loses, [`Link::next`] tells.
    pub async fn send(&self, upward: Upward) {
        let _ = self.outgoing.send(encode(upward)).await;
    }

    /// The next command.
    ///
    /// # Errors
    /// The stream broke, or brought what this program does not understand.
    pub async fn next(&mut self) -> Result<Command, LinkError> {
        let away = |reason: String| LinkError::Away { reason };
        match self.incoming.next().await {
            Some(Ok(message)) => {
                Command::try_from(message).map_err(|error| away(error.to_string()))
            }
            Some(Err(status)) => Err(away(status.message().to_string())),
            None => Err(away("the coordinator closed the stream".to_string())),
        }
    }
}

fn encode(upward: Upward) -> v1::WorkerMessage {
    let message = match upward {
        Upward::Heartbeat => Message::Heartbeat(v1::Heartbeat {}),
        Upward::Report(report) => Message::Report(report.into()),
        Upward::Rates(rates) => Message::Rates(rates.as_ref().into()),
        Upward::Goodbye => Message::Goodbye(v1::Goodbye {}),
    };
    v1::WorkerMessage {
        message: Some(message),
    }
}

fn encode_hello(hello: Hello) -> v1::Hello {
    v1::Hello {
        name: hello.name,
        instance: hello.instance,
        offer: Some(hello.offer.into()),
        ranks: hello.ranks.into_iter().map(v1::RankStatus::from).collect(),
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
