//! `cargo xtask predict`: the time of a step as `plan` predicts it beside what real ranks take, for every job in `jobs/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::measured::Measured;
use crate::yard::{Yard, finish};
use crate::{cargo, scene};

/// Compare the predicted time of a step with the measured one, for every CPU job in jobs/, on two workers of this machine
///
/// Jobs whose data is not in the repository train on made-up data of the same shape. The machine must be idle: what else
/// runs makes steps longer, and rates no slower.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only jobs whose file name contains this.
    #[arg(value_name = "NAME")]
    only: Option<String>,
    /// How long each job trains, in seconds.
    #[arg(long, value_name = "S", default_value_t = 8)]
    seconds: u64,
    /// Which share of a job's steps may be faster than the one that counts: 0.5 is the median. Less on a busy machine.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    quantile: f64,
}

/// How far a prediction may be from what is measured, as a share of that.
const BAR: f64 = 0.25;

/// Steps that a job must have taken, and how long that may take.
const STEPS: usize = 20;
const LONGEST: Duration = Duration::from_secs(300);

/// How long the workers may take to measure their rates.
const MEASURING: Duration = Duration::from_secs(60);

/// A dataset that stands in for one that is not in the repository.
enum StandIn {
    /// Images of one byte a value, in IDX files: channels, height, width.
    Images([usize; 3]),
    /// One stream of text, split so.
    Text(&'static str),
    /// Lines of text with a class each.
    Messages,
}

/// What stands in for the datasets of jobs/, by the name that they have there.
const STAND_INS: &[(&str, StandIn)] = &[
    ("fashion-mnist", StandIn::Images([1, 28, 28])),
    ("shakespeare", StandIn::Text("characters")),
    ("wikitext", StandIn::Text("whitespace")),
    ("sms", StandIn::Messages),
];

/// Rows of made-up datasets.
const ROWS: usize = 2048;

/// A job's step.
struct Compared {
    job: String,
    predicted: Value,
    steps: usize,
    /// Milliseconds: the whole step, forward, backward, reduce and update.
    measured: [f64; 5],
}

/// Predicts and measures, and prints both.
///
/// # Errors
/// A job that does not run, or a prediction beyond the bar.
pub fn run(arguments: &Arguments, root: &Path) -> anyhow::Result<()> {
    let binary = cargo::executable(root, "build --release --package trainyard", "trainyard")?;
    let folder = tempfile::tempdir().context("no temporary folder can be made")?;
    let scene = scene::rows(root);
    let yard = Yard::start(&binary, folder.path())?;
    yard.import_digits(root)?;
    let mut compared = Vec::new();
    for job in jobs(root, arguments.only.as_deref())? {
        stand_in(&yard, folder.path(), &job)?;
        compared.push(compare(&yard, &job, arguments)?);
    }
    ensure!(!compared.is_empty(), "no job in jobs/ has such a name");
    drop(yard);
    scene::print(&scene);
    println!(
        "| job | steps | predicted ms | measured ms | ratio | forward | backward | sums | update |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut beyond = Vec::new();
    for one in &compared {
        let of = |key: &str| one.predicted[key].as_f64().unwrap_or(f64::NAN);
        let keys = [
            "step_ms",
            "forward_ms",
            "backward_ms",
            "reduce_ms",
            "update_ms",
        ];
        let [step, parts @ ..] = keys.map(of);
        let ratio = step / one.measured[0];
        let parts = parts.iter().zip(&one.measured[1..]);
        let parts: Vec<String> = parts
            .map(|(told, seen)| format!("{told:.3} / {seen:.3}"))
            .collect();
        println!(
            "| {} | {} | {step:.3} | {:.3} | {ratio:.2} | {} |",
            one.job,
            one.steps,
            one.measured[0],
            parts.join(" | ")
        );
        if ratio.is_nan() || (ratio - 1.0).abs() > BAR {
            beyond.push(format!("{} ({ratio:.2})", one.job));
        }
    }
    ensure!(
        beyond.is_empty(),
        "predictions more than {:.0} % from what was measured: {}",
        100.0 * BAR,
        beyond.join(", ")
    );
    Ok(())
}

/// The CPU jobs, by name.
fn jobs(root: &Path, only: Option<&str>) -> anyhow::Result<Vec<PathBuf>> {
    let mut jobs = Vec::new();
    for entry in fs::read_dir(root.join("jobs"))? {
        let path = entry?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let wanted = name.ends_with(".toml") && only.is_none_or(|only| name.contains(only));
        if wanted && !fs::read_to_string(&path)?.contains("device = \"cuda\"") {
            jobs.push(path);
        }
    }
    jobs.sort();
    Ok(jobs)
}

/// Imports what stands in for the data of a job, unless it is there.
fn stand_in(yard: &Yard<'_>, folder: &Path, job: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(job)?;
    let table: toml::Table = toml::from_str(&text).with_context(|| job.display().to_string())?;
    let reference = table
        .get("data")
        .and_then(|data| data.get("train")?.as_str());
    let reference = reference.with_context(|| format!("{} names no data", job.display()))?;
    let name = reference.split(['/', '@']).next().unwrap_or(reference);
    let known = finish(yard.command(&["data", "list"]))?;
    if known.contains(&format!("\"name\":\"{name}\"")) {
        return Ok(());
    }
    let Some((_, kind)) = STAND_INS.iter().find(|(known, _)| *known == name) else {
        bail!(
            "nothing stands in for the dataset \"{name}\" of {}: add it to STAND_INS",
            job.display()
        );
    };
    let source = folder.join(name);
    let mut import = yard.command(&["data", "import", name]);
    match kind {
        StandIn::Images(shape) => {
            fs::create_dir_all(&source)?;
            for (split, rows) in [("train", ROWS), ("t10k", ROWS / 8)] {
                images(&source, split, rows, *shape)?;
            }
            import.arg(&source).args(["--kind", "idx"]);
        }
        StandIn::Text(tokenizer) => {
            fs::write(&source, prose(40 * ROWS))?;
            import
                .arg(&source)
                .args(["--kind", "text", "--tokenizer", tokenizer]);
            import.args(["--test-fraction", "0.1"]);
        }
        StandIn::Messages => {
            let source = source.with_extension("csv");
            let words = prose(60 * ROWS);
            let words: Vec<&str> = words.split_whitespace().collect();
            let lines = words.chunks(40).enumerate();
            let rows = lines.map(|(row, words)| format!("{},{}\n", words.join(" "), row % 2));
            fs::write(&source, format!("text,label\n{}", rows.collect::<String>()))?;
            import
                .arg(&source)
                .args(["--kind", "csv", "--test-fraction", "0.1"]);
        }
    }
    finish(import).map(drop)
}

/// Numbers that are the same every time and look like none.
fn noise(count: usize) -> impl Iterator<Item = u8> {
    (0..count as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 17) as u8)
}

/// Images and labels of a split in IDX files; a single channel has no extent of its own.
fn images(folder: &Path, split: &str, rows: usize, shape: [usize; 3]) -> anyhow::Result<()> {
    let extents: Vec<usize> = match shape {
        [1, height, width] => vec![rows, height, width],
        [channels, height, width] => vec![rows, channels, height, width],
    };
    let idx = |extents: &[usize]| {
        let header = [0, 0, 8, extents.len() as u8];
        let extents = extents
            .iter()
            .flat_map(|&extent| (extent as u32).to_be_bytes());
        header.into_iter().chain(extents).collect::<Vec<u8>>()
    };
    let mut images = idx(&extents);
    images.extend(noise(extents.iter().product()));
    fs::write(
        folder.join(format!("{split}-images-idx{}-ubyte", extents.len())),
        images,
    )?;
    let mut labels = idx(&[rows]);
    labels.extend((0..rows).map(|row| (row % 10) as u8));
    fs::write(folder.join(format!("{split}-labels-idx1-ubyte")), labels)?;
    Ok(())
}

/// Text of so many words, from a vocabulary of some thousands.
fn prose(words: usize) -> String {
    let numbers: Vec<u8> = noise(2 * words).collect();
    let word = |pair: &[u8]| {
        let letters = pair.iter().flat_map(|byte| [byte & 15, byte >> 4]);
        letters
            .map(|letter| char::from(b'a' + letter))
            .take(3)
            .collect::<String>()
    };
    numbers.chunks(2).map(word).collect::<Vec<_>>().join(" ")
}

/// Predicts a job's step, then trains it for a while.
fn compare(yard: &Yard<'_>, job: &Path, arguments: &Arguments) -> anyhow::Result<Compared> {
    let deadline = Instant::now() + MEASURING;
    let predicted = loop {
        let mut plan = yard.command(&["plan"]);
        plan.arg(job);
        let plan: Value = serde_json::from_str(&finish(plan)?)?;
        if !plan["prediction"].is_null() {
            break plan["prediction"].clone();
        }
        ensure!(
            Instant::now() < deadline,
            "the workers did not measure their rates within {MEASURING:?}"
        );
        thread::sleep(Duration::from_millis(500));
    };
    let mut submit = yard.command(&["submit"]);
    // Long enough to be ended before its end.
    let length = if fs::read_to_string(job)?.contains("\nsteps") {
        "training.steps=1000000"
    } else {
        "training.epochs=100000"
    };
    submit.arg(job).args(["--set", length]);
    let submitted: Value = serde_json::from_str(&finish(submit)?)?;
    let id = submitted["id"]
        .as_str()
        .context("a job has an id")?
        .to_string();
    let began = Instant::now();
    let rows = loop {
        thread::sleep(Duration::from_secs(arguments.seconds));
        let rows = finish(yard.command(&["job", "metrics", &id]))?;
        if rows.lines().count() >= STEPS {
            break rows;
        }
        ensure!(
            began.elapsed() < LONGEST,
            "{} did not take {STEPS} steps within {LONGEST:?}",
            job.display()
        );
    };
    finish(yard.command(&["job", "cancel", &id]))?;
    let ended = yard.command(&["job", "wait", &id]).output()?;
    ensure!(!ended.stdout.is_empty(), "the job did not end");
    let mut measured: [Measured; 5] = Default::default();
    let (mut samples_before, mut steps) = (0.0, 0);
    for line in rows.lines() {
        let row: Value = serde_json::from_str(line)?;
        let number = |key: &str| row[key].as_f64().unwrap_or(f64::NAN);
        let samples = number("samples") - samples_before;
        samples_before = number("samples");
        steps += 1;
        // The first steps find nothing in any cache.
        if steps <= STEPS / 4 {
            continue;
        }
        let whole = 1e3 * samples / number("samples_per_s");
        let parts = ["forward_ms", "backward_ms", "reduce_ms", "update_ms"].map(number);
        measured[0].push(whole);
        measured[1..]
            .iter_mut()
            .zip(parts)
            .for_each(|(measured, part)| measured.push(part));
    }
    let name = job
        .file_stem()
        .map(|name| name.to_string_lossy().into_owned());
    Ok(Compared {
        job: name.unwrap_or_default(),
        predicted,
        steps,
        measured: measured.map(|measured| measured.quantile(arguments.quantile)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_data_has_the_form_of_the_real() {
        let folder = tempfile::tempdir().unwrap();
        images(folder.path(), "train", 5, [1, 28, 28]).unwrap();
        let images = fs::read(folder.path().join("train-images-idx3-ubyte")).unwrap();
        assert_eq!((images.len(), images[3]), (16 + 5 * 784, 3));
        let labels = fs::read(folder.path().join("train-labels-idx1-ubyte")).unwrap();
        assert_eq!(labels[4..], [0, 0, 0, 5, 0, 1, 2, 3, 4]);
        let text = prose(100);
        assert_eq!(text.split(' ').count(), 100);
        assert!(
            text.split(' ')
                .collect::<std::collections::BTreeSet<_>>()
                .len()
                > 50
        );
    }
}
