//! For tests: a machine that speaks the worker's side of the wire and has no processes. Here the generated types end.

use proto::v1;
use proto::v1::worker_message::Message;
use proto::v1::workers_client::WorkersClient;
use proto::{Command, RankReport, RankStatus};
use spec::AttemptId;
use spec::job::Device;
use spec::offer::Offer;
use spec::rank::Report;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::rig::{Client, Refusal, refusal, soon};

/// A worker's side of the wire, without processes.
pub struct Machine {
    outgoing: mpsc::Sender<v1::WorkerMessage>,
    incoming: Streaming<v1::CoordinatorMessage>,
    sequence: u64,
    acknowledged: u64,
}

impl Machine {
    /// Joins with 2 thread slots as a new process that has no ranks.
    pub async fn join(client: &Client, name: &str) -> Result<Machine, Refusal> {
        Machine::join_as(client, name, "first", Vec::new(), 0).await
    }

    /// Joins as the process `instance` with these ranks, having numbered its reports up to `sequence`.
    pub async fn join_as(
        client: &Client,
        name: &str,
        instance: &str,
        ranks: Vec<RankStatus>,
        sequence: u64,
    ) -> Result<Machine, Refusal> {
        let offer = Offer {
            device: Device::Cpu,
            device_class: "cpu/test".to_string(),
            threads: 2,
            memory_bytes: 1 << 40,
        };
        let hello = v1::Hello {
            name: name.to_string(),
            instance: instance.to_string(),
            offer: Some(offer.into()),
            ranks: ranks.into_iter().map(v1::RankStatus::from).collect(),
        };
        let mut machine = Machine::open(client, Message::Hello(hello)).await?;
        machine.sequence = sequence;
        match machine.next().await {
            Some(Command::Welcome { .. }) => Ok(machine),
            other => panic!("a welcome comes first, not {other:?}"),
        }
    }

    /// Opens a stream with a heartbeat where the hello belongs.
    pub async fn join_without_hello(client: &Client) -> Result<Machine, Refusal> {
        Machine::open(client, Message::Heartbeat(v1::Heartbeat {})).await
    }

    async fn open(client: &Client, first: Message) -> Result<Machine, Refusal> {
        let (outgoing, messages) = mpsc::channel(64);
        let message = Some(first);
        outgoing
            .try_send(v1::WorkerMessage { message })
            .expect("room");
        let mut workers = WorkersClient::new(client.channel.clone());
        let answer = soon(workers.join(ReceiverStream::new(messages))).await;
        Ok(Machine {
            outgoing,
            incoming: answer.map_err(refusal)?.into_inner(),
            sequence: 0,
            acknowledged: 0,
        })
    }

    /// The next command that is no acknowledgement; `None` once the coordinator has closed the stream.
    pub async fn next(&mut self) -> Option<Command> {
        loop {
            let message = soon(self.incoming.message()).await.ok().flatten()?;
            match Command::try_from(message).expect("a command") {
                Command::Ack { sequence } => self.acknowledged = sequence,
                command => return Some(command),
            }
        }
    }

    /// Reports, and returns the report's number.
    pub async fn report(&mut self, attempt: AttemptId, rank: u32, report: Report) -> u64 {
        self.sequence += 1;
        let sequence = self.sequence;
        self.send(RankReport {
            sequence,
            attempt,
            rank,
            report,
        })
        .await;
        sequence
    }

    pub async fn send(&mut self, report: RankReport) {
        let message = Some(Message::Report(report.into()));
        soon(self.outgoing.send(v1::WorkerMessage { message }))
            .await
            .expect("the stream is open");
    }

    /// Sends a report that says nothing.
    pub async fn send_nonsense(&mut self) {
        let message = Some(Message::Report(v1::RankReport {
            sequence: 1,
            attempt: "job-x#y".to_string(),
            rank: 0,
            report: None,
        }));
        soon(self.outgoing.send(v1::WorkerMessage { message }))
            .await
            .expect("the stream is open");
    }

    /// Waits until the report of this number is acknowledged.
    pub async fn acknowledged(&mut self, sequence: u64) {
        while self.acknowledged < sequence {
            let message = soon(self.incoming.message()).await;
            let message = message.expect("the stream is open").expect("a message");
            match Command::try_from(message).expect("a command") {
                Command::Ack { sequence } => self.acknowledged = sequence,
                other => panic!("an acknowledgement was due, not {other:?}"),
            }
        }
    }

    pub async fn goodbye(self) {
        let message = Some(Message::Goodbye(v1::Goodbye {}));
        soon(self.outgoing.send(v1::WorkerMessage { message }))
            .await
            .expect("the stream is open");
        let mut incoming = self.incoming;
        while let Ok(Some(_)) = soon(incoming.message()).await {}
    }
}
