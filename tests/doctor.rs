//! What `doctor` and `plan` tell of a machine and of a job.

use serde_json::Value;

use crate::process::{answer, trainyard};
use crate::yard::Yard;

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
    let job = crate::yard::repository("jobs/digits-cnn.toml");
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
