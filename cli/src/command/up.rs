//! `trainyard up`

use std::time::Duration;

use serde::Serialize;
use worker::machine;

use crate::arguments::Up;
use crate::end;
use crate::stop::Stop;
use crate::view::{Format, print, tell};
use crate::yard::Yard;

/// How often the children are looked after.
const LOOK: Duration = Duration::from_millis(250);

/// What the processes log if nothing else is said: not every step.
const LOG: &str = "info,trainyard::step=warn";

/// What is printed once all runs.
#[derive(Serialize)]
struct Running {
    coordinator: String,
    workers: u32,
}

/// Runs a coordinator and workers until asked to end.
///
/// # Errors
/// A port or data directory in use, or a child that ends by itself.
pub async fn run(options: &Up, log: Option<&str>, format: Format) -> Result<(), Stop> {
    let asked = end::asked()?;
    let cores = machine::cores();
    if options.workers > cores {
        tell(&format!(
            "{} workers on {cores} cores: each offers one thread slot, so that ranks share cores",
            options.workers
        ));
    }
    let mut yard = Yard::start(
        options.listen,
        &options.data_dir,
        options.workers,
        1,
        log.unwrap_or(LOG),
    )?;
    match format {
        Format::Json => format.json(&Running {
            coordinator: yard.url.clone(),
            workers: options.workers,
        }),
        Format::Table => print(&format!(
            "coordinator at {} with {} workers, data in {}; ctrl-C ends all\n",
            yard.url,
            options.workers,
            options.data_dir.display()
        )),
    }
    let mut asked = std::pin::pin!(asked);
    loop {
        tokio::select! {
            () = &mut asked => {
                yard.stop().await;
                return Ok(());
            }
            () = tokio::time::sleep(LOOK) => {
                if let Some(ended) = yard.ended() {
                    return Err(Stop::failed(ended));
                }
            }
        }
    }
}
