//! The agent: keeps the stream to the coordinator, starts and watches rank processes, passes their reports on in order
//! and keeps them until the coordinator has made them durable.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::{Command, RankOrder, RankReport, RankStatus};
use spec::offer::Offer;
use spec::rank::{Assignment, Order, Progress, Report};
use spec::rates::Rates;
use tokio::sync::mpsc;
use tokio::time::Interval;
use tracing::{info, warn};

use crate::client::{Hello, Link, LinkError, Upward};

mod measuring;
mod process;

use measuring::Measuring;
use process::{Launcher, RankKey, RankProcess};

/// How a worker behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// The coordinator's URL.
    pub coordinator: String,
    /// The worker's name, unique among those connected.
    pub name: String,
    /// What it offers.
    pub offer: Offer,
    /// Where the logs of its ranks are kept.
    pub data_dir: PathBuf,
    /// How often it sends a heartbeat until the coordinator says otherwise.
    pub heartbeat: Duration,
    /// The longest wait between two tries to reach the coordinator.
    pub longest_retry: Duration,
}

impl Config {
    /// A worker of this name with this offer.
    pub fn new(coordinator: String, name: String, offer: Offer, data_dir: PathBuf) -> Self {
        let (heartbeat, longest_retry) = (Duration::from_secs(1), Duration::from_secs(2));
        Config {
            coordinator,
            name,
            offer,
            data_dir,
            heartbeat,
            longest_retry,
        }
    }
}

/// What can end a worker.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The coordinator will not have it.
    #[error("the coordinator refused this worker: {reason}")]
    Refused {
        /// What it said.
        reason: String,
    },
    /// Rank processes cannot be started here.
    #[error("cannot prepare to start ranks: {0}")]
    Launcher(std::io::Error),
}

/// Reports kept for the coordinator; when there are more, ranks wait.
const OUTBOX: usize = 100_000;
const FIRST_RETRY: Duration = Duration::from_millis(50);
/// How long the last reports may take.
const FAREWELL: Duration = Duration::from_secs(1);

type Opening = Pin<Box<dyn Future<Output = Result<Link, LinkError>> + Send>>;

struct Agent {
    config: Config,
    instance: String,
    launcher: Launcher,
    ranks: BTreeMap<RankKey, RankProcess>,
    /// Ranks that have ended, how far they had come, and the report of it that is not acknowledged yet.
    departed: VecDeque<(u64, RankStatus)>,
    /// Reports that are not acknowledged yet; the first `sent` of them are on the wire.
    outbox: VecDeque<RankReport>,
    sent: usize,
    next_sequence: u64,
    heartbeat: Interval,
    retry: Duration,
    /// How fast this machine is, once that is known.
    rates: Option<Arc<Rates>>,
}

enum Connection {
    Opening(Opening),
    Open(Box<Link>),
}

/// Runs a worker until `shutdown` resolves; its ranks end with it.
///
/// # Errors
/// The coordinator refuses it, or ranks cannot be started.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
    let (events, mut rank_events) = mpsc::channel(1024);
    let launcher =
        Launcher::start(config.data_dir.join("logs"), events).map_err(Error::Launcher)?;
    let mut agent = Agent {
        instance: instance(),
        launcher,
        ranks: BTreeMap::new(),
        departed: VecDeque::new(),
        outbox: VecDeque::new(),
        sent: 0,
        next_sequence: 1,
        heartbeat: tokio::time::interval(config.heartbeat),
        retry: FIRST_RETRY,
        rates: None,
        config,
    };
    let mut measuring = Measuring::start(&agent.config.data_dir);
    let mut connection = Connection::Opening(agent.open(Duration::ZERO));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some((key, report)) = rank_events.recv(), if agent.outbox.len() < OUTBOX => agent.report(key, report),
            changed = connection.next() => match changed {
                Ok(Change::Opened(link)) => {
                    info!(coordinator = agent.config.coordinator, name = agent.config.name, "connected");
                    agent.retry = FIRST_RETRY;
                    agent.sent = 0;
                    agent.tell_rates(&link);
                    connection = Connection::Open(link);
                }
                Ok(Change::Command(command)) => agent.obey(command),
                Err(LinkError::Refused { reason }) => return Err(Error::Refused { reason }),
                Err(LinkError::Away { reason }) => {
                    if agent.retry == FIRST_RETRY {
                        warn!(reason, "no stream to the coordinator, trying again");
                    }
                    connection = Connection::Opening(agent.open(agent.retry));
                    agent.retry = (agent.retry * 2).min(agent.config.longest_retry);
                }
            },
            Some(rates) = measuring.measured() => {
                info!(cores = rates.cores, "measured this machine's rates");
                agent.rates = Some(Arc::new(rates));
                if let Connection::Open(link) = &connection {
                    agent.tell_rates(link);
                }
            }
            _ = agent.heartbeat.tick() => {
                if let Connection::Open(link) = &connection {
                    // A full stream shows that the worker is alive.
                    link.try_send(Upward::Heartbeat);
                }
            }
        }
        if let Connection::Open(link) = &connection {
            agent.flush(link);
        }
        measuring.may_go_on(agent.ranks.is_empty());
    }
    agent.leave(connection, &mut rank_events).await;
    Ok(())
}

enum Change {
    Opened(Box<Link>),
    Command(Command),
}

impl Connection {
    /// Cancel safe: what has happened is kept in `self`.
    async fn next(&mut self) -> Result<Change, LinkError> {
        match self {
            Connection::Opening(opening) => {
                opening.await.map(|link| Change::Opened(Box::new(link)))
            }
            Connection::Open(link) => link.next().await.map(Change::Command),
        }
    }
}

impl Agent {
    /// Opens the stream after a wait. A rank that has ended is listed until the report of it is acknowledged: were it
    /// missing, the coordinator would take it for lost before it hears how it ended.
    fn open(&self, wait: Duration) -> Opening {
        let ranks = self.ranks.iter();
        let present = ranks.map(|(&key, process)| status(key, &process.progress));
        let departed = self.departed.iter().map(|(_, status)| status.clone());
        let hello = Hello {
            name: self.config.name.clone(),
            instance: self.instance.clone(),
            offer: self.config.offer.clone(),
            ranks: present.chain(departed).collect(),
        };
        let url = self.config.coordinator.clone();
        Box::pin(async move {
            tokio::time::sleep(wait).await;
            Link::open(url, hello).await
        })
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Welcome {
                worker,
                heartbeat_ms,
            } => {
                info!(worker, "welcomed");
                self.heartbeat = tokio::time::interval(Duration::from_millis(heartbeat_ms.max(10)));
            }
            Command::Ack { sequence } => {
                while self
                    .outbox
                    .front()
                    .is_some_and(|report| report.sequence <= sequence)
                {
                    self.outbox.pop_front();
                    self.sent = self.sent.saturating_sub(1);
                }
                self.departed.retain(|&(report, _)| report > sequence);
            }
            Command::Rank {
                attempt,
                rank,
                order,
            } => self.order((attempt, rank), order),
        }
    }

    fn order(&mut self, key: RankKey, order: RankOrder) {
        let (attempt, rank) = key;
        match (order, self.ranks.get_mut(&key)) {
            (RankOrder::Start { .. }, Some(_)) => {}
            (RankOrder::Start { job, resume }, None) => {
                let coordinator = self.config.coordinator.clone();
                let assignment = Assignment {
                    attempt,
                    rank,
                    job: *job,
                    coordinator,
                    resume,
                };
                info!(job = %attempt.job, %attempt, rank, "starting rank");
                match self.launcher.launch(key) {
                    Ok(mut process) => {
                        process.order(&Order::Assign(Box::new(assignment)));
                        self.ranks.insert(key, process);
                    }
                    Err(exit) => self.report(key, Report::Exited(exit)),
                }
            }
            (RankOrder::Go(go), Some(process)) => {
                process.progress = Progress::Running;
                process.order(&Order::Go(go));
            }
            (RankOrder::End, Some(process)) => process.order(&Order::End),
            (RankOrder::Stop, Some(process)) => process.kill(),
            // It has ended; the report of that is on its way.
            (RankOrder::Go(_) | RankOrder::End | RankOrder::Stop, None) => {}
        }
    }

    /// Numbers a rank's report and puts it into the outbox.
    fn report(&mut self, key: RankKey, report: Report) {
        let (attempt, rank) = key;
        match &report {
            Report::Exited(exit) => {
                info!(job = %attempt.job, %attempt, rank, status = exit.status, "rank ended");
                let process = self.ranks.remove(&key);
                let progress = process.map_or(Progress::Starting, |process| process.progress);
                self.departed
                    .push_back((self.next_sequence, status(key, &progress)));
            }
            Report::Ready { address } => self.progress(
                key,
                Progress::Ready {
                    address: address.clone(),
                },
            ),
            Report::Done { step, state_digest } => {
                self.progress(
                    key,
                    Progress::Done {
                        step: *step,
                        state_digest: state_digest.clone(),
                    },
                );
            }
            Report::Row(_) | Report::Checkpoint { .. } | Report::Failed(_) => {}
        }
        self.outbox.push_back(RankReport {
            sequence: self.next_sequence,
            attempt,
            rank,
            report,
        });
        self.next_sequence += 1;
    }

    fn progress(&mut self, key: RankKey, progress: Progress) {
        if let Some(process) = self.ranks.get_mut(&key) {
            process.progress = progress;
        }
    }

    /// Tells how fast this machine is, if that is known. A stream that has no room now breaks soon.
    fn tell_rates(&self, link: &Link) {
        if let Some(rates) = &self.rates {
            link.try_send(Upward::Rates(rates.clone()));
        }
    }

    fn flush(&mut self, link: &Link) {
        while let Some(report) = self.outbox.get(self.sent) {
            if !link.try_send(Upward::Report(report.clone())) {
                return;
            }
            self.sent += 1;
        }
    }

    /// Ends all ranks, passes on their last reports, says goodbye.
    async fn leave(
        mut self,
        connection: Connection,
        rank_events: &mut mpsc::Receiver<(RankKey, Report)>,
    ) {
        info!(ranks = self.ranks.len(), "leaving");
        self.ranks.values_mut().for_each(RankProcess::kill);
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.ranks.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left, rank_events.recv()).await {
                // The goodbye says why these ended: their worker left.
                Ok(Some((key, Report::Exited(_)))) => drop(self.ranks.remove(&key)),
                Ok(Some((key, report))) => self.report(key, report),
                Ok(None) | Err(_) => break,
            }
        }
        if let Connection::Open(mut link) = connection {
            let unsent = self.outbox.split_off(self.sent);
            let farewell = async {
                for report in unsent {
                    link.send(Upward::Report(report)).await;
                }
                link.send(Upward::Goodbye).await;
                // The coordinator answers a goodbye by closing, or is gone already.
                while link.next().await.is_ok() {}
            };
            let _ = tokio::time::timeout(FAREWELL, farewell).await;
        }
    }
}

fn status((attempt, rank): RankKey, progress: &Progress) -> RankStatus {
    RankStatus {
        attempt,
        rank,
        progress: progress.clone(),
    }
}

/// A name for this process that no other has: its id and when it started.
fn instance() -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    format!("{}-{}", std::process::id(), now.as_nanos())
}
