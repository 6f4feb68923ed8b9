//! The ways in which a person ends a program: ctrl-C and SIGTERM.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};

use crate::stop::Stop;

/// Resolves at ctrl-C or SIGTERM. From the call on these no longer end the process by themselves.
///
/// # Errors
/// The system refuses to tell.
pub fn asked() -> Result<impl Future<Output = ()>, Stop> {
    let listen = |kind| {
        signal(kind).map_err(|error| Stop::failed(format!("cannot listen for signals: {error}")))
    };
    let (mut interrupt, mut terminate) = (
        listen(SignalKind::interrupt())?,
        listen(SignalKind::terminate())?,
    );
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Runs a future unless ctrl-C or SIGTERM comes first.
///
/// # Errors
/// Its own, or the interruption.
pub async fn unless_asked<T>(work: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
    let asked = asked()?;
    tokio::select! {
        result = work => result,
        () = asked => Err(Stop::interrupted()),
    }
}
