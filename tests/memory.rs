//! The memory that a rank takes, held against its plan: real rank processes of real jobs. Each logs what was resident just
//! before the arena was allocated, and its peak at the end.

use std::fs;
use std::path::Path;

use crate::yard::{Yard, repository, with_set};

/// What the peak may be above the plan's figure: a twentieth of it, and this.
const SLACK: u64 = 4 << 20;

/// Steps of the Fashion-MNIST job: enough to fill the loader's two windows of 10,699 rows, and for checkpoints.
const STEPS: u32 = 190;

#[test]
fn a_rank_of_the_fashion_job_takes_what_its_plan_says() {
    let yard = Yard::new(&[1, 1]);
    import_fashion(&yard);
    for ranks in [1, 2] {
        compare(&yard, &repository("jobs/fashion-cnn.toml"), STEPS, ranks);
    }
}

#[test]
fn a_rank_of_the_simple_cnn_takes_what_its_plan_says() {
    let yard = Yard::new(&[1]);
    let mut text = String::new();
    for row in 0..2000usize {
        for value in 0..3 * 32 * 32 {
            text.push(char::from(b'0' + ((row * 31 + value * 7) % 10) as u8));
            text.push(',');
        }
        text.push_str(&format!("{}\n", row % 10));
    }
    let source = yard.file("pictures.csv", text);
    yard.json(&["data", "import", "pictures", &source, "--shape", "3x32x32"]);
    compare(&yard, &repository("benches/simple-cnn.toml"), 60, 1);
}

/// Runs so many steps of the job and compares what each of its ranks took with what the plan says.
fn compare(yard: &Yard, job: &str, steps: u32, ranks: u32) {
    let set = [
        format!("resources.ranks={ranks}"),
        format!("training.steps={steps}"),
        "checkpoint.every_steps=60".to_string(),
    ];
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    let plan = yard.json(&with_set(&["plan", job], &set));
    let planned = plan["memory"]["total"].as_u64().expect("bytes");
    let id = yard.submit(job, &set);
    let ended = yard.succeeded(&id);
    for rank in 0..ranks {
        let log = yard
            .data_dir()
            .join(format!("logs/{id}/attempt-1-rank-{rank}.log"));
        let log = fs::read_to_string(log).expect("the log of a rank");
        assert_eq!(logged(&log, "planned_bytes"), planned, "one plan for all");
        let before = logged(&log, "resident_bytes");
        let taken = logged(&log, "resident_peak_bytes") - before;
        let allowed = planned + planned / 20 + SLACK;
        println!(
            "{} rank {rank} of {ranks}: {before} bytes before the arena, {taken} more at the peak; planned {planned}, allowed {allowed}",
            ended["name"]
        );
        assert!(taken <= allowed, "{taken} bytes, {allowed} allowed\n{log}");
        assert!(
            taken >= planned / 2,
            "a plan of {planned} bytes for {taken}"
        );
    }
}

/// The number that a log line gives for a key.
fn logged(log: &str, key: &str) -> u64 {
    let (_, rest) = log
        .split_once(&format!(" {key}="))
        .expect("the rank logs it");
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().expect("a number")
}

/// Fashion-MNIST where it lies beside the repository, else as much of noise.
fn import_fashion(yard: &Yard) {
    let real = repository("../shared/data/fashion-mnist");
    let source = if Path::new(&real).is_dir() {
        real
    } else {
        for (split, rows) in [("train", 60_000u32), ("t10k", 10_000)] {
            let mut state = rows;
            let mut noise = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            };
            let pixels = (0..rows * 784).map(|_| noise());
            let images = idx(&[rows, 28, 28]).into_iter().chain(pixels);
            yard.file(
                &format!("fashion/{split}-images-idx3-ubyte"),
                images.collect::<Vec<u8>>(),
            );
            let labels = idx(&[rows])
                .into_iter()
                .chain((0..rows).map(|row| (row % 10) as u8));
            yard.file(
                &format!("fashion/{split}-labels-idx1-ubyte"),
                labels.collect::<Vec<u8>>(),
            );
        }
        yard.folder().join("fashion").display().to_string()
    };
    yard.json(&["data", "import", "fashion-mnist", &source, "--kind", "idx"]);
}

/// The head of an IDX file of bytes.
fn idx(extents: &[u32]) -> Vec<u8> {
    let magic = [0, 0, 8, extents.len() as u8];
    let extents = extents.iter().flat_map(|extent| extent.to_be_bytes());
    magic.into_iter().chain(extents).collect()
}
