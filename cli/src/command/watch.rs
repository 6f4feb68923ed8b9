//! Watching a job: a progress bar on a terminal, plain lines in a pipe, rows as JSON lines where asked for.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use spec::MetricRow;
use spec::metric::Measures;

use crate::client::{Client, Update};
use crate::stop::{Code, Stop};
use crate::view::{Format, optional, tell};
use crate::views::Job;

/// The time between two plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// Shows a job until it ends.
///
/// # Errors
/// It failed or was cancelled, is unknown, or the coordinator went away.
pub async fn watch(client: &Client, job: &str, format: Format) -> Result<(), Stop> {
    let ended = follow(client, job, format).await?;
    match ended {
        Some(job) => outcome(&job),
        None => Err(ended_before(job)),
    }
}

/// Waits until a job has ended; the job as it ended. `None`: the coordinator ended before.
///
/// # Errors
/// It is unknown, or the coordinator went away.
pub async fn quiet(client: &Client, job: &str) -> Result<Option<Job>, Stop> {
    // No row comes after the last step there can be.
    let mut updates = client.watch_job(job, u64::MAX).await?;
    let mut last = None;
    while let Some(update) = updates.next().await? {
        if let Update::Job(job) = update {
            last = Some(*job);
        }
    }
    Ok(last.filter(has_ended))
}

/// Shows a job until it ends; the job as it ended.
///
/// # Errors
/// It is unknown, or the coordinator went away.
pub async fn follow(client: &Client, job: &str, format: Format) -> Result<Option<Job>, Stop> {
    let mut updates = client.watch_job(job, 0).await?;
    let mut show = Show::new(format);
    let mut last = None;
    while let Some(update) = updates.next().await? {
        match update {
            Update::Row(row) => show.row(&row),
            Update::Job(job) => {
                show.job(&job);
                last = Some(*job);
            }
        }
    }
    show.end();
    Ok(last.filter(has_ended))
}

/// The coordinator closed the stream of a job that had not ended.
pub fn ended_before(job: &str) -> Stop {
    Stop {
        code: Code::Unreachable,
        message: format!("the coordinator ended before {job} did"),
    }
}

fn has_ended(job: &Job) -> bool {
    ["succeeded", "failed", "cancelled"].contains(&job.state.as_str())
}

/// What a job's end means for the exit status.
///
/// # Errors
/// It failed or was cancelled.
pub fn outcome(job: &Job) -> Result<(), Stop> {
    match job.state.as_str() {
        "succeeded" => Ok(()),
        state => Err(Stop {
            code: Code::Failed,
            message: format!("{} {state}{}", job.id, why(job)),
        }),
    }
}

/// The reason, behind a colon, where it says more than the state.
fn why(job: &Job) -> String {
    if job.reason.is_empty() || job.reason == job.state {
        String::new()
    } else {
        format!(": {}", job.reason)
    }
}

/// How progress is shown.
pub enum Show {
    /// A bar on a terminal.
    Bar(ProgressBar, Lines),
    /// Lines on stderr.
    Plain(Lines),
    /// Rows on stdout.
    Json,
}

/// What lines are made from.
#[derive(Default)]
pub struct Lines {
    steps: u64,
    state: String,
    reason: String,
    validation: String,
    measures: Measures,
    shown_at: Option<Instant>,
    began: Option<(Instant, u64)>,
}

impl Show {
    /// The way that fits the format and the terminal.
    pub fn new(format: Format) -> Self {
        if format == Format::Json {
            return Show::Json;
        }
        if !std::io::stderr().is_terminal() {
            return Show::Plain(Lines::default());
        }
        let style = "{prefix:.bold} {bar:24} {pos}/{len}  {msg}";
        let style = ProgressStyle::with_template(style).expect("the template is well-formed");
        Show::Bar(ProgressBar::new(0).with_style(style), Lines::default())
    }

    /// A job's total, for a training that has no coordinator.
    pub fn steps(&mut self, steps: u64) {
        match self {
            Show::Bar(bar, lines) => {
                lines.steps = steps;
                bar.set_length(steps);
            }
            Show::Plain(lines) => lines.steps = steps,
            Show::Json => {}
        }
    }

    fn job(&mut self, job: &Job) {
        self.steps(job.steps);
        match self {
            Show::Bar(bar, lines) => {
                bar.set_prefix(format!("{} {}", job.id, job.state));
                if let Some(news) = lines.news(job) {
                    bar.println(news);
                }
            }
            Show::Plain(lines) => {
                if let Some(news) = lines.news(job) {
                    tell(&news);
                }
            }
            Show::Json => {}
        }
    }

    /// A step's row.
    pub fn row(&mut self, row: &MetricRow) {
        match self {
            Show::Json => Format::Json.json(row),
            Show::Bar(bar, lines) => {
                bar.set_position(row.exact.step);
                bar.set_message(lines.text(row));
            }
            Show::Plain(lines) => {
                let text = lines.text(row);
                let is_due = lines
                    .shown_at
                    .is_none_or(|at| at.elapsed() >= LINE_INTERVAL);
                if is_due || row.exact.validation_loss.is_some() || row.exact.step == lines.steps {
                    lines.shown_at = Some(Instant::now());
                    tell(&format!("step {}/{}  {text}", row.exact.step, lines.steps));
                }
            }
        }
    }

    /// Leaves the last state on the screen.
    pub fn end(self) {
        if let Show::Bar(bar, _) = self {
            bar.abandon();
        }
    }
}

impl Lines {
    /// A change of state or reason, in one line.
    fn news(&mut self, job: &Job) -> Option<String> {
        if (&self.state, &self.reason) == (&job.state, &job.reason) {
            return None;
        }
        self.state.clone_from(&job.state);
        self.reason.clone_from(&job.reason);
        Some(format!(
            "{} ({}) {}{}",
            job.id,
            job.name,
            job.state,
            why(job)
        ))
    }

    fn text(&mut self, row: &MetricRow) -> String {
        let exact = &row.exact;
        if exact.validation_loss.is_some() {
            let (loss, accuracy) = (
                optional(exact.validation_loss, 4),
                optional(exact.validation_accuracy, 4),
            );
            self.validation = format!("  validation {loss} / {accuracy}");
        }
        let left = self.left(exact.step);
        // Those of the newest validation stay, as its loss and accuracy do.
        self.measures.0.extend(exact.measures.0.clone());
        let measures = match self.measures.to_string() {
            none if none.is_empty() => none,
            some => format!("  {some}"),
        };
        format!(
            "epoch {}  loss {}  accuracy {}{}{measures}  {:.0} samples/s{left}",
            exact.epoch,
            optional(exact.loss, 4),
            optional(exact.accuracy, 4),
            self.validation,
            row.timing.samples_per_s,
        )
    }

    /// The time left at the pace so far. Rows that were there before count as passed.
    fn left(&mut self, step: u64) -> String {
        let (began, first) = *self.began.get_or_insert((Instant::now(), step));
        let done = step.saturating_sub(first);
        if done == 0 || step >= self.steps {
            return String::new();
        }
        let seconds = began.elapsed().as_secs_f64() / done as f64 * (self.steps - step) as f64;
        format!("  {} left", crate::view::duration((seconds * 1e3) as u64))
    }
}
