//! `trainyard submit`

use super::job_file::JobFile;
use super::plan::admit_remote;
use super::watch::watch;
use crate::arguments::Submit;
use crate::client::Client;
use crate::stop::{Code, Stop};
use crate::view::{Format, print};

/// Submits a job, prints its id, and watches it where asked to.
///
/// # Errors
/// A job that is refused; with `--watch` also one that does not succeed.
pub async fn run(url: &str, options: &Submit, format: Format) -> Result<(), Stop> {
    let file = JobFile::read(&options.job, &options.set)?;
    let client = Client::connect(url).await?;
    let job = match client.submit(&file.job).await {
        Ok(job) => job,
        Err(stop) if stop.code == Code::Refused => return Err(placed(file, url, stop).await?),
        Err(stop) => return Err(stop),
    };
    match format {
        Format::Json => format.json(&job),
        Format::Table => print(&format!("{}\n", job.id)),
    }
    if options.watch {
        watch(&client, &job.id, format).await
    } else {
        Ok(())
    }
}

/// A refusal with its place in the job file: the same admission again, here, where the file is.
async fn placed(file: JobFile, url: &str, stop: Stop) -> Result<Stop, Stop> {
    let url = url.to_string();
    let placed = move || match admit_remote(&file, &url, None) {
        Err(placed) if placed.code == Code::Refused => placed,
        Ok(_) | Err(_) => file.refuse(&stop.message),
    };
    tokio::task::spawn_blocking(placed)
        .await
        .map_err(Stop::failed)
}
