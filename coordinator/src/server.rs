//! The server: services, health and reflection on one port, the driver behind them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::driver::{self, Command};
use crate::error::Error;
use crate::ledger::Ledger;
use crate::service::Service;

/// How the coordinator behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// The scheduler's times and limits.
    pub scheduler: scheduler::Config,
    /// How often workers send a heartbeat.
    pub heartbeat: Duration,
    /// How long open calls may go on once the end was asked for.
    pub farewell: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            scheduler: scheduler::Config::default(),
            heartbeat: Duration::from_secs(1),
            farewell: Duration::from_secs(1),
        }
    }
}

/// Serves on `listener` until `shutdown` resolves or the store fails.
///
/// # Errors
/// A store that cannot be read or written any more, or a server that fails.
pub async fn run(
    listener: TcpListener,
    store: Arc<dyn Store>,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let ledger = Ledger::new(store);
    let (driver, thread) = driver::start(ledger.clone(), config.scheduler, config.heartbeat)?;
    let ended = CancellationToken::new();
    let watched = {
        let ended = ended.clone();
        tokio::task::spawn_blocking(move || {
            let result = thread.join();
            ended.cancel();
            result.unwrap_or(Err(Error::Stopping))
        })
    };
    let routes = Service {
        ledger,
        driver: driver.clone(),
    }
    .routes()
    .await;
    let stop = CancellationToken::new();
    // The builder's own setting holds only for listeners that it opens; without it a reply waits 40 ms for an
    // acknowledgement.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(5)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
    let mut server = std::pin::pin!(server);
    tokio::select! {
        served = &mut server => return Ok(served?),
        () = shutdown => {}
        () = ended.cancelled() => {}
    }
    // The driver first: the streams of workers and watchers end with it, and so hold nothing up. One that has ended by
    // itself needs no word, its result says why.
    let _ = driver.tell(Command::Stop);
    let result = watched.await.unwrap_or(Err(Error::Stopping));
    stop.cancel();
    match tokio::time::timeout(config.farewell, server).await {
        Ok(served) => result.and(served.map_err(Error::from)),
        // What still hangs on is cut.
        Err(_) => result,
    }
}
