//! From data to verified checkpoint: the same bits on every way.

use std::fs;
use std::path::PathBuf;

use crate::yard::{Yard, happened, repository, text, with_set};

/// The layers of the digits job.
pub const DIGITS_CNN: &str = r#"{ conv2d = { filters = 12, kernel = 3, padding = 1 } }, "relu", { max_pool2d = 2 },
  "flatten", { linear = 64 }, "relu", { linear = "classes" }"#;

/// A job on the digits.
pub fn job(layers: &str, data: &str, training: &str) -> String {
    format!(
        "name = \"variant\"\n[data]\ntrain = \"digits/train\"\n{data}\n[model]\nlayers = [{layers}]\n\
         [training]\n{training}\n"
    )
}

/// Rows that could only come from a training: each step once, each with other parameters, and a loss that falls.
pub fn assert_trained(rows: &[String], steps: usize) {
    assert_eq!(rows.len(), steps);
    for (row, step) in rows.iter().zip(1..) {
        assert_eq!(column(row, "step"), step.to_string(), "{row}");
    }
    let digests = |row: &String| column(row, "parameters_digest");
    let distinct: std::collections::BTreeSet<String> = rows.iter().map(digests).collect();
    assert_eq!(distinct.len(), steps);
    let loss = |row: &String| column(row, "loss").parse::<f64>().expect("a loss");
    assert!(loss(&rows[steps - 1]) < loss(&rows[0]), "{rows:?}");
}

/// What a row prints for a column.
pub fn column(row: &str, key: &str) -> String {
    let prefix = format!("\"{key}\":");
    let found = row
        .split(',')
        .find_map(|column| column.strip_prefix(&prefix));
    found
        .unwrap_or_else(|| panic!("no {key} in {row}"))
        .to_string()
}

/// Asserts equality row by row, so that a failure names the first step that differs.
pub fn assert_same(rows: &[String], expected: &[String], what: &str) {
    for (row, expected) in rows.iter().zip(expected) {
        assert_eq!(row, expected, "{what}");
    }
    assert_eq!(rows.len(), expected.len(), "{what}");
}

#[test]
fn the_digits_job_gives_the_same_rows_on_every_number_of_ranks_and_threads_and_by_run() {
    let mut yard = Yard::with_digits(&[1, 1, 2]);
    let file = repository("jobs/digits-cnn.toml");
    let rows = |ranks: u32, threads: u32| {
        let (ranks, threads) = (
            format!("resources.ranks={ranks}"),
            format!("resources.threads={threads}"),
        );
        let id = yard.submit(&file, &["training.epochs=4", &ranks, &threads]);
        let ended = yard.succeeded(&id);
        let rows = yard.exact_rows(&id);
        let last = rows.last().expect("the job has rows");
        let digest = ended["parameters_digest"].to_string();
        assert_eq!(column(last, "parameters_digest"), digest);
        rows
    };
    let expected = rows(1, 1);
    assert_trained(&expected, 4 * 23);
    let validated = expected.iter().filter(|row| row.contains("validation_"));
    assert_eq!(validated.count(), 4, "one after each epoch");
    for (ranks, threads) in [(2, 1), (3, 1), (1, 2)] {
        let what = format!("{ranks} ranks of {threads} threads");
        assert_same(&rows(ranks, threads), &expected, &what);
    }
    let set = ["training.epochs=4", "resources.ranks=3"];
    let beside = yard.run_rows(&file, &set, None);
    assert_same(&beside, &expected, "run with the coordinator's data");
    yard.stop_coordinator();
    let alone = yard.run_rows(&file, &set, Some(&yard.data_dir()));
    assert_same(&alone, &expected, "run with the data directory");
    let threads = [&set[..], &["resources.threads=2"]].concat();
    let alone = yard.run_rows(&file, &threads, Some(&yard.data_dir()));
    assert_same(&alone, &expected, "run on two threads");
    // What `run` kept is there for a coordinator: three jobs, each with its checkpoint.
    yard.start_coordinator();
    let kept = yard.json(&["checkpoint", "verify", "digits-cnn"]);
    assert_eq!(kept["step"], 4 * 23);
    assert_eq!(yard.list(&["job", "list"]).len(), 6);
    assert_same(
        &yard.exact_rows("job-6"),
        &expected,
        "rows that run has kept",
    );
}

#[test]
fn jobs_of_every_kind_give_the_same_rows_on_every_number_of_ranks() {
    let variants = [
        // (what, layers, data, training, steps)
        (
            "a batch that divides badly, momentum",
            DIGITS_CNN,
            "validation = 0.1",
            "epochs = 1\nbatch_size = 50\nmicrobatches = 7\n\
             optimizer = { sgd = { lr = 0.05, momentum = 0.9, weight_decay = 1e-4 } }",
            33,
        ),
        (
            "steps that end within an epoch whose last batch is left out",
            DIGITS_CNN,
            "validation = 0.3",
            "steps = 31\nbatch_size = 100\nmicrobatches = 3\ndrop_last = true\nseed = 7\n\
             optimizer = { adam = { lr = 2e-3, betas = [0.8, 0.99], eps = 1e-7, weight_decay = 1e-3 } }",
            31,
        ),
        (
            "strides and paddings, data that is standardised, no validation",
            r#"{ conv2d = { filters = 5, kernel = [3, 2], stride = 2, padding = [2, 1], bias = false } }, "relu",
               { max_pool2d = { kernel = 3, stride = 2, padding = 1 } }, { conv2d = { filters = 7, kernel = 1 } }, "relu",
               "flatten", { linear = "classes" }"#,
            "normalize = \"standard\"",
            "epochs = 1\nbatch_size = 33\nmicrobatches = 5\noptimizer = { adam = { lr = 3e-3 } }",
            55,
        ),
        (
            "as many ranks as microbatches, of which the last batch has but one, plain descent",
            r#""flatten", { linear = { units = 16, bias = false } }, "relu", { linear = "classes" }"#,
            "normalize = \"unit\"\nvalidation = 0.2",
            "epochs = 2\nbatch_size = 479\nmicrobatches = 3\noptimizer = { sgd = { lr = 0.1 } }",
            8,
        ),
    ];
    let yard = Yard::with_digits(&[3]);
    for (what, layers, data, training, steps) in variants {
        let file = yard.file("variant.toml", job(layers, data, training));
        let expected = yard.run_rows(&file, &[], None);
        assert_trained(&expected, steps);
        for ranks in 1..=3 {
            let id = yard.submit(&file, &[&format!("resources.ranks={ranks}")]);
            yard.succeeded(&id);
            let what = format!("{what}, on {ranks} ranks");
            assert_same(&yard.exact_rows(&id), &expected, &what);
        }
    }
}

#[test]
fn checkpoints_are_listed_verified_and_evaluate_to_the_rows_of_their_steps() {
    let yard = Yard::with_digits(&[1, 1]);
    let set = [
        "training.epochs=3",
        "checkpoint.every_steps=23",
        "checkpoint.keep_last=2",
    ];
    let id = yard.submit(&repository("jobs/digits-cnn.toml"), &set);
    yard.succeeded(&id);
    let kept = yard.list(&["checkpoint", "list", &id]);
    let steps: Vec<u64> = kept
        .iter()
        .filter_map(|kept| kept["step"].as_u64())
        .collect();
    assert_eq!(steps, [46, 69], "the newest two");
    assert_eq!(yard.list(&["checkpoint", "list"]), kept);
    let digest = text(&kept[1]["digest"]);
    let names = [id.clone(), "digits-cnn".into(), digest[..8].to_string()];
    for name in &names {
        let verified = yard.json(&["checkpoint", "verify", name]);
        assert_eq!(text(&verified["checkpoint"]), digest, "{name}");
        assert!(verified["bytes"].as_u64() > Some(4 * 13_122), "{verified}");
    }
    let rows = yard.exact_rows(&id);
    for step in [46, 69] {
        let name = format!("{id}@{step}");
        assert_eq!(yard.json(&["checkpoint", "show", &name])["step"], step);
        for threads in ["1", "2"] {
            let evaluate = ["model", "evaluate", &name, "--threads", threads, "--json"];
            let evaluated = yard.run(&evaluate).done().remove(0);
            let row = &rows[step - 1];
            let (loss, accuracy) = (
                column(row, "validation_loss"),
                column(row, "validation_accuracy"),
            );
            let expected = format!("{{\"loss\":{loss},\"accuracy\":{accuracy},\"samples\":359}}");
            assert_eq!(evaluated, expected, "{name} on {threads} threads");
        }
    }
    let on_all = yard.json(&["model", "evaluate", &id, "--data", "digits/train"]);
    assert_eq!(on_all["samples"], 1797);
}

#[test]
fn a_job_is_submitted_watched_listed_and_cancelled() {
    let yard = Yard::with_digits(&[1, 1]);
    let file = repository("jobs/digits-cnn.toml");
    let watched = yard.run(&with_set(
        &["submit", &file, "--watch"],
        &["training.epochs=2"],
    ));
    assert!(watched.stderr.contains("succeeded"), "{watched:?}");
    assert!(watched.stderr.contains("step 46/46"), "{watched:?}");
    assert_eq!(watched.done(), ["job-1"], "stdout is data");
    let rows = yard.list(&["job", "watch", "job-1"]);
    assert_eq!(rows.len(), 46, "one JSON object for each row");

    let id = yard.submit(&file, &["training.epochs=100000", "name=endless"]);
    yard.until_job(&id, "trains", |now| now["step"].as_u64() > Some(0));
    let ranks = yard.ranks();
    assert_eq!(ranks.len(), 2);
    let list = yard.list(&["job", "list"]);
    let states: Vec<String> = list.iter().map(|job| text(&job["state"])).collect();
    assert_eq!(states, ["succeeded", "running"]);
    assert_eq!(list[1]["ranks"], 2);
    let waits = |slots: &serde_json::Value| slots["free_threads"] == 0;
    assert!(yard.list(&["worker", "list"]).iter().all(waits));

    yard.json(&["job", "cancel", "endless"]);
    let ended = yard.run(&["job", "wait", &id]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("cancelled"), "{ended:?}");
    crate::process::all_gone(&ranks);
    yard.until_idle(2);
    let watched = yard.run(&["job", "watch", &id]);
    assert_eq!(watched.code, Some(1), "{watched:?}");
    let job = yard.json(&["job", "show", &id]);
    assert_eq!(job["state"], "cancelled");
    assert_eq!(happened(&job, "cancel requested").len(), 1);
    // A job that has ended stays as it is.
    assert_eq!(yard.json(&["job", "cancel", &id])["state"], "cancelled");
    yard.succeeded("digits-cnn");
}

#[test]
fn jobs_take_their_turn() {
    let yard = Yard::with_digits(&[1]);
    let file = repository("jobs/digits-cnn.toml");
    let one = "resources.ranks=1";
    let first = yard.submit(&file, &[one, "training.epochs=100000"]);
    yard.until_job(&first, "runs", |job| job["state"] == "running");
    let second = yard.submit(&file, &[one, "training.epochs=1"]);
    let third = yard.submit(&file, &[one, "training.epochs=1"]);
    for (id, expected) in [
        (
            &second,
            "waiting for 1 thread slots, 0 are free".to_string(),
        ),
        (&third, format!("waiting behind {second}")),
    ] {
        let waiting = yard.json(&["job", "show", id]);
        assert_eq!(waiting["state"], "queued");
        assert_eq!(text(&waiting["reason"]), expected);
    }
    yard.json(&["job", "cancel", &first]);
    let ended = |id: &str| yard.succeeded(id)["finished_unix_ms"].as_u64();
    assert!(ended(&second) <= ended(&third));
    assert_same(
        &yard.exact_rows(&second),
        &yard.exact_rows(&third),
        "the same job",
    );
}

#[test]
fn a_dataset_is_stored_once_and_its_name_means_the_newest_version() {
    let yard = Yard::with_digits(&[1]);
    let old = yard.import_digits();
    assert_eq!(yard.list(&["data", "list"]).len(), 1, "the same content");
    let job = job(DIGITS_CNN, "", "steps = 5");
    let file = yard.file("newest.toml", &job);
    let expected = yard.run_rows(&file, &[], None);

    // Other rows under the same name.
    let rows: String = (0..40)
        .map(|row| {
            let pixels: Vec<String> = (0..64).map(|at| (row * at % 17).to_string()).collect();
            format!("{},{}\n", pixels.join(","), row % 10)
        })
        .collect();
    yard.file("other.csv", rows);
    let flags = ["--shape", "1x8x8", "--max", "16"];
    let new = yard.json(&[&["data", "import", "digits", "other.csv"][..], &flags].concat());
    assert_ne!(new["digest"], old["digest"]);
    assert_eq!(yard.list(&["data", "list"]).len(), 2);
    assert_eq!(
        yard.json(&["data", "show", "digits"])["digest"],
        new["digest"]
    );
    assert_ne!(yard.run_rows(&file, &[], None), expected);
    let version = format!("data.train=digits@{}/train", text(&old["digest"]));
    let by_digest = yard.run_rows(&file, &[&version], None);
    assert_same(&by_digest, &expected, "the old version");
    let id = yard.submit(&file, &[&version]);
    yard.succeeded(&id);
    assert_same(&yard.exact_rows(&id), &expected, "the old version");
}

/// A folder of real data, or `None` with a word about it.
fn shared(folder: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(repository("../shared"));
    let root = std::env::var_os("TRAINYARD_SHARED").map_or(beside, PathBuf::from);
    let path = root.join("data").join(folder);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn fashion_mnist_is_imported_planned_and_trained_to_the_same_rows_on_one_and_three_ranks() {
    let Some(folder) = shared("fashion-mnist") else {
        return;
    };
    let source = folder.display().to_string();
    let yard = Yard::new(&[1, 1, 1]);
    let import = ["data", "import", "fashion-mnist", &source, "--kind", "idx"];
    let dataset = yard.json(&import);
    let splits = dataset["splits"].as_array().expect("splits");
    let rows: Vec<u64> = splits
        .iter()
        .filter_map(|split| split["rows"].as_u64())
        .collect();
    assert_eq!(rows, [10_000, 60_000], "test and train");
    let text = fs::read_to_string(repository("jobs/fashion-cnn.toml")).expect("the job file");
    let short = text.replace("epochs = 2\n", "steps = 30\n");
    assert_ne!(short, text);
    let file = yard.file("fashion.toml", short);
    let plan = yard.json(&["plan", &file]);
    assert_eq!(plan["steps"], 30);
    let rows = |ranks: &str| {
        let id = yard.submit(&file, &[ranks]);
        yard.succeeded(&id);
        yard.exact_rows(&id)
    };
    let expected = rows("resources.ranks=1");
    assert_trained(&expected, 30);
    assert_same(&rows("resources.ranks=3"), &expected, "3 ranks");
}
