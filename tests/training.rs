//! Layers with running statistics, schedules, clipping and divergence, from the job file to the rows.

use std::collections::BTreeSet;

use crate::main_road::{DIGITS_CNN, assert_same, assert_trained, column, job};
use crate::refusals::mistakes;
use crate::yard::{Yard, repository};

/// Layers with statistics of their own, and the ways of training that look at more than one step.
const NORMS: &str = r#"{ conv2d = { filters = 8, kernel = 3, padding = 1 } }, "batch_norm", "silu", { avg_pool2d = 2 },
  "flatten", "layer_norm", { linear = 32 }, "gelu", { linear = "classes" }"#;
const NORMS_TRAINING: &str = "epochs = 3\nbatch_size = 64\nclip_norm = 0.5\noptimizer = { adamw = { lr = 3e-3 } }\n\
     lr_schedule = { cosine = { warmup_steps = 5, min_lr = 1e-5 } }";

#[test]
fn norms_schedule_and_clipping_give_the_same_rows_on_every_way_and_checkpoints_hold_the_statistics()
{
    let yard = Yard::with_digits(&[1, 1, 2]);
    let text = job(
        NORMS,
        "validation = 0.2\nnormalize = \"unit\"",
        NORMS_TRAINING,
    );
    let file = yard.file("norms.toml", text);
    let expected = yard.run_rows(&file, &[], None);
    assert_trained(&expected, 3 * 23);
    let rates: Vec<String> = expected
        .iter()
        .map(|row| column(row, "learning_rate"))
        .collect();
    let rates: Vec<f64> = rates.iter().filter_map(|lr| lr.parse().ok()).collect();
    assert!(rates[..6].is_sorted_by(|a, b| a < b), "{rates:?}");
    assert!(rates[5..].is_sorted_by(|a, b| a > b), "{rates:?}");
    for (ranks, threads) in [(1, 1), (2, 1), (3, 1), (1, 2)] {
        let set = [
            format!("resources.ranks={ranks}"),
            format!("resources.threads={threads}"),
            "checkpoint.every_steps=23".to_string(),
        ];
        let id = yard.submit(&file, &set.each_ref().map(String::as_str));
        yard.succeeded(&id);
        let what = format!("{ranks} ranks of {threads} threads");
        assert_same(&yard.exact_rows(&id), &expected, &what);
        for step in [46, 69] {
            let name = format!("{id}@{step}");
            let evaluate = ["model", "evaluate", &name, "--json"];
            let row = &expected[step - 1];
            let (loss, accuracy) = (
                column(row, "validation_loss"),
                column(row, "validation_accuracy"),
            );
            let as_then = format!("{{\"loss\":{loss},\"accuracy\":{accuracy},\"samples\":359}}");
            assert_eq!(yard.run(&evaluate).done(), [as_then], "{name}, {what}");
        }
    }
}

/// Norms over all samples of a step, beside one that is not.
const SYNCED: &str = r#"{ conv2d = { filters = 6, kernel = 3, padding = 1 } }, { batch_norm = { sync = true } }, "silu",
  { max_pool2d = 2 }, "flatten", { linear = 24 }, { batch_norm = { sync = true } }, "relu", { linear = 16 }, "batch_norm",
  { linear = "classes" }"#;
const SYNCED_TRAINING: &str =
    "epochs = 3\nbatch_size = 100\nmicrobatches = 8\noptimizer = { adam = { lr = 3e-3 } }";

#[test]
fn norms_over_all_samples_of_a_step_give_the_same_rows_on_every_number_of_ranks_and_threads() {
    let yard = Yard::with_digits(&[1, 1, 2]);
    let text = job(SYNCED, "validation = 0.2", SYNCED_TRAINING);
    let file = yard.file("synced.toml", &text);
    let expected = yard.run_rows(&file, &[], None);
    assert_trained(&expected, 3 * 15);
    let set = ["resources.threads=2"];
    assert_same(&yard.run_rows(&file, &set, None), &expected, "2 threads");
    for (ranks, threads) in [(1, 1), (2, 1), (3, 1), (1, 2)] {
        let set = [
            format!("resources.ranks={ranks}"),
            format!("resources.threads={threads}"),
        ];
        let id = yard.submit(&file, &set.each_ref().map(String::as_str));
        yard.succeeded(&id);
        let what = format!("{ranks} ranks of {threads} threads");
        assert_same(&yard.exact_rows(&id), &expected, &what);
        yard.json(&["checkpoint", "verify", &id]);
    }
    // Each microbatch by itself is another training.
    let apart = yard.file("apart.toml", text.replace("sync = true", "sync = false"));
    assert_ne!(yard.run_rows(&apart, &[], None)[0], expected[0]);
    // What `plan` says of both.
    let said = |file: &str| yard.run(&["plan", file]).done().join("\n");
    let (synced, apart) = (said(&file), said(&apart));
    let lanes = "8 microbatches of a rank, which meet those of others at 2 norms";
    assert!(synced.contains(lanes), "{synced}");
    assert!(!apart.contains("at once"), "{apart}");
    let all = text.replace(", \"batch_norm\"", "");
    let all = said(&yard.file("all.toml", all));
    assert!(all.contains("over 100 samples"), "{all}");
    assert!(apart.contains("over 13 samples"), "{apart}");
}

/// A frozen front, groups and averages.
const GROUPED: &str = r#"{ conv2d = { filters = 8, kernel = 3, padding = 1 }, name = "front" }, { batch_norm = {}, name = "norm" },
  "relu", { max_pool2d = 2 }, "flatten", { linear = 32 }, "relu", { linear = "classes" }"#;
const GROUPED_TRAINING: &str = "epochs = 3\nema = { decay = 0.9, start_step = 10 }\n\
     optimizer = { adamw = { lr = 3e-3 } }\nlr_schedule = \"cosine\"\nclip_norm = 1\ngroups = [\n  \
     { match = [\"front.*\", \"norm.*\"], frozen = true },\n  { match = \"*.bias\", weight_decay = 0, lr_scale = 2 },\n]";

#[test]
fn groups_and_averages_give_the_same_rows_on_every_way_and_evaluation_goes_by_the_averages() {
    let yard = Yard::with_digits(&[1, 1, 2]);
    let text = job(GROUPED, "validation = 0.2", GROUPED_TRAINING);
    let file = yard.file("grouped.toml", text);
    let expected = yard.run_rows(&file, &[], None);
    assert_trained(&expected, 3 * 23);
    for (ranks, threads) in [(1, 2), (2, 1), (3, 1)] {
        let set = [
            format!("resources.ranks={ranks}"),
            format!("resources.threads={threads}"),
        ];
        let id = yard.submit(&file, &set.each_ref().map(String::as_str));
        yard.succeeded(&id);
        let what = format!("{ranks} ranks of {threads} threads");
        assert_same(&yard.exact_rows(&id), &expected, &what);
        let row = expected.last().expect("rows");
        let (loss, accuracy) = (
            column(row, "validation_loss"),
            column(row, "validation_accuracy"),
        );
        let as_then = format!("{{\"loss\":{loss},\"accuracy\":{accuracy},\"samples\":359}}");
        let evaluated = yard.run(&["model", "evaluate", &id, "--json"]).done();
        assert_eq!(evaluated, [as_then], "{what}");
    }
}

#[test]
fn groups_that_take_nothing_and_averages_that_never_begin_are_refused() {
    let yard = Yard::with_digits(&[]);
    let names = "0.weight, 0.bias, 4.weight, 4.bias, 6.weight, 6.bias";
    for (training, expected) in [
        (
            "epochs = 1\n[[training.groups]]\nmatch = \"conv1.*\"\nfrozen = true",
            format!("job.toml:10:1: training.groups[0]: no parameter is called \"conv1.*\": there are {names}"),
        ),
        (
            "epochs = 1\ngroups = [{ match = \"*\" }, { match = \"*.bias\" }]",
            "job.toml:10:28: training.groups[1]: those before it have already taken all that is called \"*.bias\": put it \
             before them"
                .to_string(),
        ),
        (
            "epochs = 1\ngroups = [{ match = \"*\", frozen = true }]",
            "job.toml: every parameter is frozen, so there is nothing to train: leave some out of the training.groups that \
             are frozen"
                .to_string(),
        ),
        (
            "steps = 40\nema = { decay = 0.9, start_step = 40 }",
            "job.toml: training.ema.start_step = 40 is not below the 40 steps of the run: lower it, or train for longer"
                .to_string(),
        ),
    ] {
        yard.file("job.toml", job(DIGITS_CNN, "", training));
        for command in ["plan", "submit", "run"] {
            let said = mistakes(yard.run(&[command, "job.toml"]));
            assert_eq!(said, [expected.as_str()], "{command}");
        }
    }
    assert!(yard.list(&["job", "list"]).is_empty());
}

#[test]
fn residuals_and_dropout_give_the_same_rows_on_every_number_of_ranks_and_threads() {
    let yard = Yard::with_digits(&[1, 1, 2]);
    let layers = r#"{ conv2d = { filters = 6, kernel = 3, padding = 1 } }, "relu",
  { repeat = { times = 2, layers = [
    { residual = [{ conv2d = { filters = 6, kernel = 3, padding = 1 } }, "batch_norm", "relu",
      { conv2d = { filters = 6, kernel = 3, padding = 1 } }, "batch_norm"] }, "relu"] } },
  { residual = { layers = [{ conv2d = { filters = 9, kernel = 3, stride = 2, padding = 1 } }, "batch_norm"],
    projection = { conv2d = { filters = 9, kernel = 1, stride = 2 } } }, name = "down" }, "relu",
  "global_avg_pool", { dropout = 0.25 }, { linear = "classes" }"#;
    let file = yard.file(
        "residual.toml",
        job(layers, "", "epochs = 2\nbatch_size = 96"),
    );
    let expected = yard.run_rows(&file, &[], None);
    assert_trained(&expected, 2 * 19);
    for (ranks, threads) in [(1, 2), (2, 1), (3, 1)] {
        let set = [
            format!("resources.ranks={ranks}"),
            format!("resources.threads={threads}"),
        ];
        let id = yard.submit(&file, &set.each_ref().map(String::as_str));
        yard.succeeded(&id);
        let what = format!("{ranks} ranks of {threads} threads");
        assert_same(&yard.exact_rows(&id), &expected, &what);
    }
}

#[test]
fn the_deep_networks_in_jobs_train_to_the_same_rows_on_one_two_and_three_ranks() {
    let yard = Yard::with_digits(&[1, 1, 1]);
    for name in ["resnet18", "vgg"] {
        let path = repository(&format!("jobs/{name}.toml"));
        let text = std::fs::read_to_string(path).expect("the job file");
        let small = text
            .replace("fashion-mnist/train", "digits/train")
            .replace("\"fashion-mnist/test\"", "0.1");
        let file = yard.file("small.toml", small);
        let rows = |ranks: u32| {
            let ranks = format!("resources.ranks={ranks}");
            let set = [
                &ranks,
                "training.steps=3",
                "training.batch_size=24",
                "training.microbatches=3",
                "training.optimizer.sgd.lr=0.01",
                "training.lr_schedule=constant",
            ];
            let id = yard.submit(&file, &set);
            yard.succeeded(&id);
            yard.exact_rows(&id)
        };
        let expected = rows(1);
        let digests = expected.iter().map(|row| column(row, "parameters_digest"));
        assert_eq!(digests.collect::<BTreeSet<String>>().len(), 3, "{name}");
        for ranks in [2, 3] {
            assert_same(&rows(ranks), &expected, &format!("{name} on {ranks} ranks"));
        }
    }
}

#[test]
fn initial_values_of_what_is_no_matrix_are_refused_at_their_place() {
    let yard = Yard::with_digits(&[]);
    let training = "epochs = 1\n[[training.init]]\nmatch = \"*\"\nvalues = \"orthogonal\"";
    yard.file("job.toml", job(DIGITS_CNN, "", training));
    for command in ["plan", "submit", "run"] {
        let said = mistakes(yard.run(&[command, "job.toml"]));
        let expected = "job.toml:10:1: training.init[0]: orthogonal needs parameters of two extents or more, but 0.bias has one: \
                        leave it out of the pattern, as in \"*.weight\"";
        assert_eq!(said, [expected], "{command}");
    }
    // On weights alone it trains, and to other rows than PyTorch's defaults do.
    let rows = |training: &str| {
        let file = yard.file("job.toml", job(DIGITS_CNN, "", training));
        yard.run_rows(&file, &[], None)
    };
    let orthogonal = rows(&training.replace("\"*\"", "\"*.weight\""));
    assert_trained(&orthogonal, 29);
    assert_ne!(orthogonal, rows("epochs = 1"));
}

#[test]
fn a_job_that_diverges_fails_with_step_and_layer_and_keeps_the_checkpoints_before() {
    let yard = Yard::with_digits(&[1, 1]);
    let training = "steps = 1000\noptimizer = { sgd = { lr = 1e6 } }";
    let layers = r#""flatten", { linear = 32 }, "silu", { linear = "classes" }"#;
    let file = yard.file("diverges.toml", job(layers, "", training));
    let set = ["resources.ranks=2", "checkpoint.every_steps=1"];
    let id = yard.submit(&file, &set);
    let waited = yard.run(&["job", "wait", &id]);
    assert_eq!(waited.code, Some(1), "{waited:?}");
    let said = waited.stderr;
    assert!(said.contains("is not a finite number, first in "), "{said}");
    assert!(said.contains(" of layer "), "{said}");
    let step = said.split_once(" of step ").expect("a step").1;
    let step: u64 = step
        .split(' ')
        .next()
        .unwrap_or_default()
        .parse()
        .expect("a number");
    assert!(step > 1, "{said}");
    let job = yard.json(&["job", "show", &id]);
    assert_eq!(
        (&job["state"], &job["attempts"]),
        (&"failed".into(), &1.into())
    );
    let kept = yard.json(&["checkpoint", "verify", &id]);
    assert_eq!(kept["step"], step - 1, "{said}");
    let alone = yard.run(&["run", &file]);
    assert_eq!(alone.code, Some(1), "{alone:?}");
    assert!(
        alone.stderr.contains(&format!(" of step {step} ")),
        "{alone:?}"
    );
}

#[test]
fn a_schedule_that_is_longer_than_the_run_is_refused_before_it_is_queued() {
    let yard = Yard::with_digits(&[1]);
    for (schedule, key) in [
        (
            "{ cosine = { warmup_steps = 40 } }",
            "training.lr_schedule.cosine.warmup_steps",
        ),
        (
            "{ step = { every_steps = 40, gamma = 0.1 } }",
            "training.lr_schedule.step.every_steps",
        ),
    ] {
        let training = format!("steps = 40\nlr_schedule = {schedule}");
        let file = yard.file("long.toml", job(DIGITS_CNN, "", &training));
        for command in ["submit", "run"] {
            let said = yard.run(&[command, &file]).ended(2);
            assert!(said.contains(key) && said.contains("40"), "{said}");
        }
    }
    assert!(yard.list(&["job", "list"]).is_empty());
}

#[test]
fn losses_and_metrics_are_the_same_on_every_way_and_evaluations_print_them() {
    let yard = Yard::with_digits(&[1, 1, 1]);
    let layers = r#""flatten", { linear = 32 }, "relu", { linear = "classes" }"#;
    let data = "validation = 0.2";
    let entropy = "epochs = 2\nbatch_size = 50\nmicrobatches = 7\n\
         loss = { cross_entropy = { label_smoothing = 0.1, ignore_index = 3, class_weights = \"balanced\" } }\n\
         metrics = [\"top_3\", \"perplexity\", \"f1\", \"recall\", \"precision\"]\nmonitor = \"validation_f1\"\n\
         lr_schedule = { reduce_on_plateau = { patience = 0 } }";
    let huber = "epochs = 4\nloss = { huber = { delta = 0.5 } }\nmetrics = [\"f1\"]";
    for (name, training) in [("entropy", entropy), ("huber", huber)] {
        let file = yard.file(&format!("{name}.toml"), job(layers, data, training));
        let expected = yard.run_rows(&file, &[], None);
        let last = expected.last().expect("rows");
        let value = |key: &str| column(last, key).parse::<f64>().expect("a number");
        assert!(value("validation_f1") > 0.5, "{name}: {last}");
        for ranks in [2, 3] {
            let id = yard.submit(&file, &[&format!("resources.ranks={ranks}")]);
            yard.succeeded(&id);
            assert_same(&yard.exact_rows(&id), &expected, name);
            let evaluated = yard.json(&["model", "evaluate", &id, "--confusion"]);
            for key in ["loss", "accuracy", "f1"] {
                let then = value(&format!("validation_{key}"));
                assert_eq!(evaluated[key].as_f64(), Some(then), "{name} {key}");
            }
            let counts = |row: &serde_json::Value| -> Vec<u64> {
                let counts = row.as_array().expect("a row").iter();
                counts.filter_map(serde_json::Value::as_u64).collect()
            };
            let confusion = evaluated["confusion"].as_array().expect("rows");
            let confusion: Vec<Vec<u64>> = confusion.iter().map(counts).collect();
            let (all, right) = (
                confusion.iter().flatten().sum::<u64>(),
                (0..10).map(|class| confusion[class][class]).sum::<u64>(),
            );
            assert_eq!(right as f64 / all as f64, value("validation_accuracy"));
            let ignored = if name == "entropy" { 37 } else { 0 };
            assert_eq!(evaluated["samples"], all + ignored, "{name}");
        }
        if name == "entropy" {
            let perplexity = value("validation_perplexity");
            assert!((perplexity.ln() - value("validation_loss")).abs() < 1e-12);
            assert!(value("validation_top_3") >= value("validation_accuracy"));
        }
    }
}
