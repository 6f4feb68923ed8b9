//! `trainyard quickstart`: the whole road, with real processes, from data to verified checkpoint.

use std::cell::OnceCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use data::{CsvOptions, DIGITS_CSV_GZ};
use serde::Serialize;
use spec::{Digest, Shape};

use super::checkpoint::verify;
use super::data::bring_in;
use super::evaluate::evaluate;
use super::watch::{ended_before, follow, outcome, quiet};
use crate::arguments::Quickstart;
use crate::client::Client;
use crate::end;
use crate::stop::Stop;
use crate::view::{Details, Format, print, tell};
use crate::views::Worker;
use crate::yard::Yard;

/// The job that quickstart trains.
pub const JOB_FILE: &str = include_str!("../../../jobs/digits-cnn.toml");

/// What the job file is called in the data directory.
const JOB_NAME: &str = "digits-cnn.toml";

/// What the processes log if nothing else is said.
const LOG: &str = "error";

/// How long the cancelling of an interrupted job may take.
const CANCELLING: Duration = Duration::from_secs(1);

/// How long workers may take to join.
const JOINING: Duration = Duration::from_secs(20);

/// What quickstart ends with.
#[derive(Debug, Serialize)]
struct Summary {
    validation_accuracy: f64,
    validation_loss: f64,
    samples_per_s: f64,
    training_s: f64,
    ranks: u32,
    job: String,
    checkpoint: Digest,
    parameters_digest: String,
    data_dir: String,
}

impl Details for Summary {
    fn lines(&self) -> Vec<(&'static str, String)> {
        vec![
            (
                "validation accuracy",
                format!("{:.4}", self.validation_accuracy),
            ),
            ("samples/s", format!("{:.0}", self.samples_per_s)),
            (
                "training",
                format!("{:.1} s on {} ranks", self.training_s, self.ranks),
            ),
            (
                "checkpoint",
                format!("{} of {}, verified", self.checkpoint.short(), self.job),
            ),
            ("parameters", self.parameters_digest.clone()),
            ("kept in", self.data_dir.clone()),
        ]
    }
}

/// Runs it all; ctrl-C ends what was started.
///
/// # Errors
/// Whatever did not work on the way.
pub async fn run(options: &Quickstart, log: Option<&str>, format: Format) -> Result<(), Stop> {
    let free_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let asked = end::asked()?;
    say(format, "starting a coordinator and workers");
    let yard = Yard::start(
        free_port,
        &options.data_dir,
        options.ranks,
        1,
        log.unwrap_or(LOG),
    )?;
    let submitted = OnceCell::new();
    let result = tokio::select! {
        result = train(&yard.url, options, format, &submitted) => result,
        () = asked => Err(Stop::interrupted()),
    };
    if result.is_err()
        && let Some(job) = submitted.get()
    {
        // Else whoever opens the data directory next would go on with it. A coordinator that is gone cannot be told.
        let cancelled = async { Client::connect(&yard.url).await?.cancel_job(job).await };
        let _ = tokio::time::timeout(CANCELLING, cancelled).await;
    }
    yard.stop().await;
    let summary = result?;
    let file = options.data_dir.join(JOB_NAME);
    std::fs::write(&file, JOB_FILE)
        .map_err(|error| Stop::failed(format!("cannot write {}: {error}", file.display())))?;
    match format {
        Format::Json => format.json(&summary),
        Format::Table => {
            print("\n");
            format.details(&summary);
            print(&next(&summary));
        }
    }
    Ok(())
}

async fn train(
    url: &str,
    options: &Quickstart,
    format: Format,
    job_id: &OnceCell<String>,
) -> Result<Summary, Stop> {
    let client = Client::connect(url).await?;
    say(format, "importing the digits: 1,797 scans of 8x8");
    bring_in(&client, "digits", |sink, progress| {
        let shape = Shape::new(vec![1, 8, 8]).expect("the digits have a shape");
        let csv = CsvOptions {
            label: None,
            shape: Some(shape),
            maximum: Some(16.0),
            ..CsvOptions::default()
        };
        data::import_csv_bytes("digits.csv.gz", DIGITS_CSV_GZ, &csv, sink, progress)
            .map_err(Stop::failed)
    })
    .await?;
    let deadline = Instant::now() + JOINING;
    let joined = |workers: &[Worker]| {
        let connected = workers.iter().filter(|worker| worker.state == "connected");
        connected.count() >= options.ranks as usize
    };
    while !joined(&client.list_workers().await?) {
        if Instant::now() > deadline {
            return Err(Stop::failed(format!(
                "not all of {} workers joined within {JOINING:?}",
                options.ranks
            )));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let ranks = format!("resources.ranks={}", options.ranks);
    let job = spec::job_file::parse_with(JOB_FILE, &[ranks]).map_err(Stop::failed)?;
    say(
        format,
        &format!("training {} on {} ranks", job.name, options.ranks),
    );
    let began = Instant::now();
    let submitted = client.submit(&job).await?;
    let _ = job_id.set(submitted.id.clone());
    let ended = match format {
        Format::Json => quiet(&client, &submitted.id).await?,
        Format::Table => follow(&client, &submitted.id, format).await?,
    };
    let training_s = began.elapsed().as_secs_f64();
    let ended = ended.ok_or_else(|| ended_before(&submitted.id))?;
    outcome(&ended)?;
    say(format, "evaluating and verifying the checkpoint");
    let checkpoint = client.show_checkpoint(&submitted.id).await?;
    let digest = verify(url, checkpoint.clone()).await?.checkpoint;
    let evaluated = evaluate(url, checkpoint, None, 1, false).await?.0;
    let (Some(validation_accuracy), Some(validation_loss)) = (evaluated.accuracy, evaluated.loss)
    else {
        return Err(Stop::failed("the evaluation gave no accuracy"));
    };
    Ok(Summary {
        validation_accuracy,
        validation_loss,
        samples_per_s: rate(&client, &submitted.id).await?,
        training_s,
        ranks: options.ranks,
        job: submitted.id,
        checkpoint: digest,
        parameters_digest: ended.parameters_digest,
        data_dir: options.data_dir.display().to_string(),
    })
}

/// The median of the rows' rates.
async fn rate(client: &Client, job: &str) -> Result<f64, Stop> {
    let mut rates = Vec::new();
    client
        .metrics(job, |row| rates.push(row.timing.samples_per_s))
        .await?;
    rates.sort_by(f64::total_cmp);
    rates
        .get(rates.len() / 2)
        .copied()
        .ok_or_else(|| Stop::failed("the job has no rows"))
}

fn say(format: Format, text: &str) {
    if format == Format::Table {
        tell(text);
    }
}

/// The commands to try next, as they work from where this one was typed.
fn next(summary: &Summary) -> String {
    let dir = &summary.data_dir;
    let program = std::env::args()
        .next()
        .unwrap_or_else(|| "trainyard".to_string());
    let commands = [
        (
            format!("up --workers 2 --data-dir {dir}"),
            "a coordinator and workers; then, in another terminal:",
        ),
        (
            format!("job metrics {}", summary.job),
            "every step, with the digest of its parameters",
        ),
        (
            format!("submit {dir}/{JOB_NAME} --watch"),
            "the same job again: the same digest",
        ),
        (
            format!("plan {dir}/{JOB_NAME}"),
            "what it computes and needs",
        ),
        (
            format!("model evaluate {}", summary.job),
            "the trained network on the rows held out",
        ),
    ];
    let width = commands
        .iter()
        .map(|(command, _)| command.len())
        .max()
        .unwrap_or(0);
    let mut text = "\nGo on from here:\n".to_string();
    for (command, meaning) in commands {
        text.push_str(&format!("  {program} {command:<width$}  {meaning}\n"));
    }
    text
}
