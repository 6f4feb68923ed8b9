//! `trainyard job list|show|watch|wait|metrics|cancel`

use super::watch::{ended_before, outcome, quiet, watch};
use crate::arguments::{Job, JobRef};
use crate::client::Client;
use crate::stop::Stop;
use crate::view::{Format, print, table};

/// Runs a job command.
///
/// # Errors
/// An unknown job, one that failed where its end is waited for, or a coordinator that went away.
pub async fn run(client: &Client, command: Job, format: Format) -> Result<(), Stop> {
    match command {
        Job::List => {
            format.list(&client.list_jobs().await?);
            Ok(())
        }
        Job::Show(JobRef { job }) => {
            format.details(&client.show_job(&job).await?);
            Ok(())
        }
        Job::Watch(JobRef { job }) => watch(client, &job, format).await,
        Job::Wait(JobRef { job }) => wait(client, &job, format).await,
        Job::Metrics(JobRef { job }) => metrics(client, &job, format).await,
        Job::Cancel(JobRef { job }) => {
            format.details(&client.cancel_job(&job).await?);
            Ok(())
        }
    }
}

async fn wait(client: &Client, job: &str, format: Format) -> Result<(), Stop> {
    let ended = quiet(client, job).await?;
    let ended = ended.ok_or_else(|| ended_before(job))?;
    format.details(&ended);
    outcome(&ended)
}

/// Prints rows as they arrive: a job of a million steps is not held in memory.
async fn metrics(client: &Client, job: &str, format: Format) -> Result<(), Stop> {
    use crate::view::Row;
    let mut page: Vec<Vec<String>> = Vec::new();
    let mut header_due = true;
    let mut flush = |page: &mut Vec<Vec<String>>| {
        let text = table(spec::MetricRow::HEADER, page);
        let body = text.split_once('\n').map_or("", |(_, body)| body);
        print(if header_due { &text } else { body });
        header_due = false;
        page.clear();
    };
    client
        .metrics(job, |row| match format {
            Format::Json => format.json(&row),
            Format::Table => {
                page.push(row.cells());
                if page.len() == 1000 {
                    flush(&mut page);
                }
            }
        })
        .await?;
    if format == Format::Table {
        flush(&mut page);
    }
    Ok(())
}
