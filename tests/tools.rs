//! What `doctor`, `plan` and `model profile` tell of a machine, a job and a model.

use serde_json::Value;

use crate::process::{answer, trainyard, until};
use crate::refusals::{mistakes, sentence};
use crate::yard::{Yard, repository};

#[test]
fn doctor_tells_what_there_is_with_and_without_a_coordinator() {
    let yard = Yard::new(&[1]);
    let told = yard.json(&["doctor"]);
    let worker = yard.json(&["worker", "list"]);
    assert_eq!(told["device_class"], worker["device_class"]);
    assert_eq!(told["coordinator"]["answers"], true);
    assert_eq!(told["coordinator"]["port_free"], Value::Null);
    assert_eq!(told["offer"]["memory_bytes"], worker["memory_bytes"]);
    assert!(told["cores"].as_u64() >= Some(1));
    assert!(told["disk"]["free_bytes"].as_u64() > Some(0));

    // The port of a coordinator that has ended is free again; nothing is missing that would be a failure.
    let (folder, url) = (tempfile::tempdir().expect("a folder"), yard.url());
    drop(yard);
    let mut command = trainyard(folder.path());
    let lines = answer(command.args(["doctor", "--json", "--coordinator", &url])).done();
    let told: Value = serde_json::from_str(&lines[0]).expect("JSON");
    assert_eq!(told["coordinator"]["answers"], false);
    assert_eq!(told["coordinator"]["port_free"], true);
    let reason = told["coordinator"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("no coordinator answers"), "{reason}");
    assert!(
        !folder.path().join("trainyard-data").exists(),
        "it only looks"
    );
}

#[test]
fn a_plan_adds_up_in_its_table_and_in_its_json() {
    let yard = Yard::with_digits(&[]);
    let job = repository("jobs/digits-cnn.toml");
    let plan = yard.json(&["plan", &job]);
    let layers = plan["layers"].as_array().expect("a list");
    let sum = |key: &str| {
        layers
            .iter()
            .map(|layer| layer[key].as_u64().expect(key))
            .sum::<u64>()
    };
    assert_eq!(
        Some(sum("parameter_count")),
        plan["parameter_count"].as_u64()
    );
    assert_eq!(Some(sum("flops_forward")), plan["flops_forward"].as_u64());
    assert_eq!(Some(sum("flops_backward")), plan["flops_backward"].as_u64());
    let kinds = plan["memory"]["kinds"].as_object().expect("an object");
    let total: u64 = kinds
        .values()
        .map(|bytes| bytes.as_u64().expect("bytes"))
        .sum();
    assert_eq!(Some(total), plan["memory"]["total"].as_u64());

    let table = yard.run(&["plan", &job]).done();
    assert!(table[0].starts_with("LAYER"), "{table:?}");
    for (line, layer) in table[2..].iter().zip(layers) {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(Value::from(words[0]), layer["path"]);
        assert_eq!(Value::from(words[1]), layer["word"]);
        let parameters: u64 = words[3].replace(',', "").parse().expect("a count");
        assert_eq!(Value::from(parameters), layer["parameter_count"]);
    }
}

#[test]
fn a_profile_is_that_of_a_checkpoint_or_of_a_job_file() {
    let yard = Yard::with_digits(&[1]);
    let job = repository("jobs/digits-cnn.toml");
    let sizes = ["--batch-sizes", "4,1", "--threads", "1"];
    let profile = yard.json(&[&["model", "profile", &job, "--train"][..], &sizes].concat());
    let column = |list: &str, key: &str| -> Vec<Value> {
        let rows = profile[list].as_array().expect("a list");
        rows.iter().map(|row| row[key].clone()).collect()
    };
    assert_eq!(column("inference", "batch_size"), [1, 4]);
    assert_eq!(profile["training"]["microbatch"], 8);
    assert_eq!(profile["checkpoint"], Value::Null);
    assert!(
        column("stages", "backward_ms")
            .iter()
            .all(|ms| ms.as_f64() > Some(0.0))
    );
    let plan = yard.json(&["plan", &job]);
    assert_eq!(profile["parameter_count"], plan["parameter_count"]);

    let set = ["training.epochs=1", "resources.ranks=1"];
    let id = yard.submit(&job, &set);
    yard.succeeded(&id);
    let profile = yard.json(&[&["model", "profile", &id][..], &sizes].concat());
    let checkpoint = yard.json(&["checkpoint", "show", &id]);
    assert_eq!(profile["checkpoint"], checkpoint["digest"]);
    assert_eq!(
        (&profile["training"], &profile["step"]),
        (&Value::Null, &checkpoint["step"])
    );

    for (arguments, expected) in [
        (
            ["model", "profile", &id, "--batch-sizes", "0"],
            "--batch-sizes 0: expected whole numbers from 1 to 1048576, separated by commas",
        ),
        (
            ["model", "profile", &id, "--set", "training.epochs=2"],
            "--set, --input, --vocabulary, --classes and --data-dir are for job files: a checkpoint has its own job and shapes",
        ),
    ] {
        assert_eq!(sentence(yard.run(&arguments), 2), expected);
    }
}

#[test]
fn a_plan_of_a_text_needs_only_its_vocabulary() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |arguments: &[&str]| {
        let mut command = trainyard(folder.path());
        answer(
            command
                .args(["--coordinator", "http://127.0.0.1:1"])
                .args(arguments),
        )
    };
    let [stream, classifier, images] =
        ["char-lstm", "sms-gru", "digits-cnn"].map(|name| repository(&format!("jobs/{name}.toml")));

    // Every token has a target: as many outputs as tokens.
    let lines = run(&["plan", &stream, "--vocabulary", "65", "--json"]).done();
    let plan: Value = serde_json::from_str(&lines[0]).expect("JSON");
    let lstm = 4 * 256 * (64 + 256) + 2 * 4 * 256;
    assert_eq!(plan["parameter_count"], 65 * 64 + lstm + 65 * 256 + 65);
    assert_eq!(plan["classes"], 65);

    // Every sequence has a class.
    let lines = run(&[
        "model",
        "profile",
        &classifier,
        "--vocabulary",
        "1000",
        "--classes",
        "2",
        "--batch-sizes",
        "3",
        "--json",
    ])
    .done();
    let profile: Value = serde_json::from_str(&lines[0]).expect("JSON");
    let gru = 2 * (3 * 48 * (32 + 48) + 2 * 3 * 48);
    assert_eq!(profile["parameter_count"], 1000 * 32 + gru + 2 * 96 + 2);

    let missing = run(&["plan", &images, "--vocabulary", "65"]);
    let told = mistakes(missing).join("\n");
    assert!(told.ends_with("data.sequence_length is missing: --vocabulary says how many tokens there are, not how long a text is; add --set data.sequence_length=64"), "{told}");
    let superfluous = run(&["plan", &stream, "--input", "1x8x8", "--classes", "10"]);
    let told = mistakes(superfluous).join("\n");
    assert!(told.ends_with("data.sequence_length: --input 1x8x8 is no text; leave one of them out, or give --vocabulary"), "{told}");
}

#[test]
fn idle_workers_measure_their_rates_and_plans_predict_by_them() {
    let mut yard = Yard::with_digits(&[1]);
    let job = repository("jobs/digits-cnn.toml");
    let set = ["--set", "resources.ranks=1"];
    let predicted = |yard: &Yard| {
        until("prediction", || {
            let plan = yard.json(&[&["plan", &job][..], &set].concat());
            let prediction = plan["prediction"].clone();
            prediction.is_object().then_some(prediction)
        })
    };
    let told = predicted(&yard);
    assert_eq!(told["rates_of"], "w1");
    let number = |key: &str| told[key].as_f64().expect(key);
    let parts = [
        "forward_ms",
        "backward_ms",
        "reduce_ms",
        "update_ms",
        "other_ms",
    ];
    let sum: f64 = parts.into_iter().map(number).sum();
    assert!(number("forward_ms") > 0.0 && (sum - number("step_ms")).abs() < 1e-9);
    assert_eq!(told["stages"].as_array().map(Vec::len), Some(3));
    let table = yard.run(&[&["plan", &job][..], &set].concat()).done();
    assert!(
        table
            .iter()
            .any(|line| line.ends_with("by the rates of w1")),
        "{table:?}"
    );

    // More ranks than there are slots have no worker to go by; a new coordinator is told the rates again.
    let table = yard.run(&["plan", &job]).done();
    assert!(
        table
            .iter()
            .any(|line| line.ends_with("- (no workers that could hold the gang are there)")),
        "{table:?}"
    );
    yard.stop_coordinator();
    yard.start_coordinator();
    assert_eq!(predicted(&yard), told);

    // Without a coordinator this machine goes by itself.
    let shape = [
        "--input",
        "1x8x8",
        "--classes",
        "10",
        "--coordinator",
        "http://127.0.0.1:1",
    ];
    let plan = yard.json(&[&["plan", &job][..], &shape].concat());
    assert_eq!(plan["prediction"]["rates_of"], "this machine");
}
