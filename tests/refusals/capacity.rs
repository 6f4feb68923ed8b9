//! Jobs that do not fit into the memory that there is.

use super::mistakes;
use crate::yard::{Yard, with_set};

/// A job with 256 KiB of activations for each sample of a microbatch.
const WIDE: &str = r#"name = "small"
[data]
train = "digits/train"
[model]
layers = ["flatten", { linear = 65536, name = "wide" }, "tanh", { linear = "classes" }]
[training]
epochs = 1
"#;

/// The batch size that a refusal says would fit.
fn largest(said: &[String]) -> u32 {
    let [said] = said else { panic!("{said:?}") };
    let number = said.rsplit_once("the largest training.batch_size that fits is ");
    number
        .and_then(|(_, number)| number.parse().ok())
        .unwrap_or_else(|| panic!("{said}"))
}

#[test]
fn a_job_that_does_not_fit_is_refused_with_the_largest_batch_that_does() {
    let yard = Yard::with_digits(&[1]);
    yard.file("job.toml", WIDE);
    let huge = ["training.batch_size=1048576"];
    for (command, who) in [
        ("plan", "the workers have room for"),
        ("submit", "the workers have room for"),
        ("run", "this machine has room for"),
    ] {
        let said = mistakes(yard.run(&with_set(&[command, "job.toml"], &huge)));
        assert!(said[0].contains("storing most"), "{said:?}");
        assert!(
            said[0].contains(who) && said[0].contains("layer wide"),
            "{said:?}"
        );
        assert!(largest(&said) > 0);
    }
    assert!(yard.list(&["job", "list"]).is_empty());

    // What fits is told exactly: one more sample a microbatch is too much.
    let plan = |set: &[&str], memory: &str| {
        yard.run(&with_set(&["plan", "job.toml", "--memory", memory], set))
    };
    let small = ["training.batch_size=4096"];
    let most = largest(&mistakes(plan(&small, "256MiB")));
    let set = |batch: u32| format!("training.batch_size={batch}");
    plan(&[&set(most)], "256MiB").done();
    assert_eq!(largest(&mistakes(plan(&[&set(most + 8)], "256MiB"))), most);

    let said = mistakes(plan(&small, "1MiB"));
    assert!(
        said[0].starts_with("job.toml:5:22: the job does not fit: a rank needs "),
        "{said:?}"
    );
    assert!(
        said[0].ends_with(
            "--memory allows 1.0 MiB; no training.batch_size fits: use fewer or smaller layers"
        ),
        "{said:?}"
    );
}
