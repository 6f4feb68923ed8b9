//! Names of what is not there, and names that cannot be.

use super::sentence;
use crate::yard::Yard;

#[test]
fn a_name_of_nothing_is_refused() {
    let job = "no job \"nothing\": `trainyard job list` shows the ids and names there are";
    let checkpoint = |name: &str| {
        format!(
            "no checkpoint \"{name}\": give a job, job@step, job@best or at least 8 hex digits, `trainyard checkpoint list` shows them"
        )
    };
    let digest = "ab".repeat(32);
    let version = format!("digits@{digest}");
    let show_version = ["data", "show", &version];
    let cases: Vec<(&[&str], String)> = vec![
        (&["job", "show", "nothing"], job.into()),
        (&["job", "watch", "nothing"], job.into()),
        (&["job", "wait", "nothing"], job.into()),
        (&["job", "metrics", "nothing"], job.into()),
        (&["job", "cancel", "nothing"], job.into()),
        (
            &["job", "show", "job-7"],
            job.replace("\"nothing\"", "\"job-7\""),
        ),
        (&["checkpoint", "list", "nothing"], job.into()),
        (&["checkpoint", "show", "nothing"], checkpoint("nothing")),
        (&["checkpoint", "verify", "nothing@3"], job.into()),
        (
            &["checkpoint", "verify", "abcdef01"],
            checkpoint("abcdef01"),
        ),
        // Fewer than 8 digits could be any.
        (&["checkpoint", "show", "abcdef0"], checkpoint("abcdef0")),
        (&["model", "evaluate", "nothing"], checkpoint("nothing")),
        (
            &["data", "show", "nothing"],
            "no dataset \"nothing\": there are digits".into(),
        ),
        (
            &show_version,
            format!("no dataset \"digits\" with digest {digest}: there are digits"),
        ),
        (
            &["data", "show", "digits@xyz"],
            "\"xyz\" is not a digest: expected 64 hex digits".into(),
        ),
    ];
    let yard = Yard::with_digits(&[]);
    for (command, expected) in cases {
        let said = sentence(yard.run(command), 2);
        assert_eq!(said, expected, "{command:?}");
    }
}

#[test]
fn a_dataset_is_not_given_a_name_that_job_files_cannot_hold() {
    let yard = Yard::new(&[]);
    yard.file("rows.csv", "a,b,label\n1,2,0\n");
    for name in ["Digits", "-digits", "a/b", "a@b", ""] {
        let said = sentence(yard.run(&["data", "import", "--", name, "rows.csv"]), 2);
        let expected = format!(
            "\"{name}\" is not a dataset's name: use a-z, 0-9, dot, underscore and hyphen, beginning with a letter or digit"
        );
        assert_eq!(said, expected);
    }
    assert!(yard.list(&["data", "list"]).is_empty());
}

#[test]
fn a_confusion_matrix_of_too_many_classes_is_refused() {
    let yard = Yard::new(&[1]);
    let rows: String = (0..1001)
        .map(|class| format!("{class},{class}\n"))
        .collect();
    yard.file("many.csv", format!("a,label\n{rows}"));
    yard.json(&["data", "import", "many", "many.csv"]);
    let job = "name = \"many\"\n[data]\ntrain = \"many\"\n[model]\nlayers = [{ linear = \"classes\" }]\n[training]\nsteps = 1\n";
    let file = yard.file("many.toml", job);
    let id = yard.submit(&file, &[]);
    yard.succeeded(&id);
    let evaluate = [
        "model",
        "evaluate",
        &id,
        "--data",
        "many/train",
        "--confusion",
    ];
    let said = sentence(yard.run(&evaluate), 2);
    let expected = "rows cannot be counted by class and answer with 1001 classes: at most 1000";
    assert_eq!(said, expected);
}

#[test]
fn what_a_job_does_not_have_yet_is_refused_by_name() {
    let yard = Yard::with_digits(&[1]);
    let layers = "[model]\nlayers = [\"flatten\", { linear = \"classes\" }]\n";
    let job = format!(
        "name = \"plain\"\n[data]\ntrain = \"digits/train\"\n{layers}[training]\nsteps = 3\n"
    );
    let file = yard.file("plain.toml", job);
    let waiting = yard.submit(&file, &["resources.threads=64"]);
    let said = sentence(yard.run(&["checkpoint", "show", &waiting]), 2);
    assert_eq!(said, format!("{waiting} has no complete checkpoint yet"));
    yard.json(&["job", "cancel", &waiting]);

    let done = yard.submit(&file, &[]);
    yard.succeeded(&done);
    let said = sentence(yard.run(&["model", "evaluate", &done]), 2);
    let expected =
        "the job has no validation rows: say what to evaluate on with --data DATASET/SPLIT";
    assert_eq!(said, expected);
    let best = format!("{done}@best");
    let said = sentence(yard.run(&["checkpoint", "verify", &best]), 2);
    let expected = format!(
        "{done} has no checkpoint with a validation_loss, so none is its best: give {done} (its newest) or {done}@step; data.validation makes a job validate"
    );
    assert_eq!(said, expected);
    let unknown_step = format!("{done}@2");
    let said = sentence(yard.run(&["checkpoint", "show", &unknown_step]), 2);
    assert!(
        said.starts_with(&format!("no checkpoint \"{unknown_step}\"")),
        "{said}"
    );
    for (data, expected) in [
        (
            "digits/tran",
            "dataset digits has no split \"tran\": it has train",
        ),
        ("digit/train", "no dataset \"digit\": there are digits"),
    ] {
        let said = sentence(yard.run(&["model", "evaluate", &done, "--data", data]), 2);
        assert_eq!(said, expected);
    }
}
