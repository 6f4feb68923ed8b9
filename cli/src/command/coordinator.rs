//! `trainyard coordinator start`

use std::io::ErrorKind;
use std::sync::Arc;

use serde::Serialize;
use store::Disk;
use tokio::net::TcpListener;
use tracing::info;

use crate::arguments::CoordinatorStart;
use crate::end;
use crate::local::coordinator_dir;
use crate::stop::Stop;
use crate::view::{Format, print};
use crate::yard::end_with_parent;

/// What a coordinator says on stdout once it serves.
#[derive(Serialize)]
struct Serving {
    address: String,
}

/// Serves until it is asked to end.
///
/// # Errors
/// A port or a data directory that is in use, or a store that fails.
pub async fn start(options: &CoordinatorStart, format: Format) -> Result<(), Stop> {
    if let Some(parent) = options.end_with_parent {
        end_with_parent(parent)?;
    }
    let asked = end::asked()?;
    let address = options.listen;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => Stop::refused(format!(
                "{address} is in use: choose another with --listen, or stop what listens there"
            )),
            _ => Stop::refused(format!(
                "cannot listen on {address}: {error}; choose another with --listen"
            )),
        })?;
    let directory = coordinator_dir(&options.data_dir);
    let store = tokio::task::spawn_blocking(move || Disk::open(&directory))
        .await
        .map_err(Stop::failed)?;
    let store = store.map_err(Stop::refused)?;
    let address = listener.local_addr().map_err(Stop::failed)?.to_string();
    info!(address, data_dir = %options.data_dir.display(), "coordinator serves");
    match format {
        Format::Json => format.json(&Serving { address }),
        Format::Table => print(&format!("listening on {address}\n")),
    }
    coordinator::run(
        listener,
        Arc::new(store),
        coordinator::Config::default(),
        asked,
    )
    .await
    .map_err(Stop::failed)?;
    info!("coordinator ended");
    Ok(())
}
