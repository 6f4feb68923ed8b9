//! `trainyard submit`

use super::job_file::JobFile;
use super::watch::watch;
use crate::arguments::Submit;
use crate::client::Client;
use crate::stop::Stop;
use crate::view::{Format, print};

/// Submits a job, prints its id, and watches it where asked to.
///
/// # Errors
/// A job that is refused; with `--watch` also one that does not succeed.
pub async fn run(client: &Client, options: &Submit, format: Format) -> Result<(), Stop> {
    let file = JobFile::read(&options.job, &options.set)?;
    let job = client.submit(&file.job).await.map_err(|stop| Stop {
        message: format!("{}: {}", options.job.display(), stop.message),
        ..stop
    })?;
    match format {
        Format::Json => format.json(&job),
        Format::Table => print(&format!("{}\n", job.id)),
    }
    if options.watch {
        watch(client, &job.id, format).await
    } else {
        Ok(())
    }
}
