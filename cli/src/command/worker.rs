//! `trainyard worker start|list`

use worker::{agent, machine};

use crate::arguments::WorkerStart;
use crate::client::Client;
use crate::end;
use crate::stop::Stop;
use crate::view::Format;
use crate::yard::end_with_parent;

/// Offers this machine's devices until it is asked to end.
///
/// # Errors
/// Devices or a name that cannot be, or a coordinator that refuses the worker.
pub async fn start(options: &WorkerStart, url: &str) -> Result<(), Stop> {
    if let Some(parent) = options.end_with_parent {
        end_with_parent(parent)?;
    }
    let asked = end::asked()?;
    let threads = threads(&options.devices)?;
    let name = options.name.clone().unwrap_or_else(machine::host_name);
    if !spec::job_file::is_name(&name) {
        return Err(Stop::refused(format!(
            "\"{name}\" is not a worker's name: use a-z, 0-9, dot, underscore and hyphen, beginning with a letter or digit"
        )));
    }
    let offer = machine::cpu_offer(threads, options.sharing);
    let config = agent::Config::new(url.to_string(), name, offer, options.data_dir.clone());
    agent::run(config, asked).await.map_err(Stop::refused)
}

/// The thread slots that `--devices` offers.
fn threads(devices: &str) -> Result<u32, Stop> {
    let refused = || {
        Stop::refused(format!(
            "--devices {devices}: expected cpu:N with N thread slots from 1 to 1024, or auto"
        ))
    };
    match devices.strip_prefix("cpu:") {
        None if devices == "auto" => Ok(machine::cores()),
        None => Err(refused()),
        Some(number) => match number.parse() {
            Ok(threads @ 1..=1024) => Ok(threads),
            _ => Err(refused()),
        },
    }
}

/// Prints the workers.
///
/// # Errors
/// The coordinator does not answer.
pub async fn list(client: &Client, format: Format) -> Result<(), Stop> {
    format.list(&client.list_workers().await?);
    Ok(())
}
