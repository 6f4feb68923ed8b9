use super::{FULL, SMALL, mistakes_of};
use crate::job::{Job, Length, Optimizer};
use crate::job_file::{keys, parse, parse_with};
use crate::schedule::ScheduleKind;

fn with(text: &str, set: &[&str]) -> Job {
    let set: Vec<String> = set.iter().map(|set| set.to_string()).collect();
    parse_with(text, &set).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

#[test]
fn an_override_takes_the_place_of_what_the_file_says() {
    let job = with(
        FULL,
        &[
            "training.batch_size=40",
            "name = other",
            "data.train=\"digits\"",
            "resources.ranks=2",
        ],
    );
    let mut expected = parse(FULL).expect("a job");
    expected.training.batch_size = 40;
    expected.name = "other".to_string();
    expected.data.train.dataset = "digits".to_string();
    expected.resources.ranks = 2;
    assert_eq!(job, expected);
}

#[test]
fn an_override_says_what_the_file_does_not() {
    let job = with(
        SMALL,
        &[
            "checkpoint.every_steps=7",
            "training.validate.every_epochs=2",
        ],
    );
    assert_eq!(job.checkpoint.every_steps, Some(7));
    assert_eq!(job.training.validate.every_epochs, 2);
}

#[test]
fn the_later_override_wins() {
    assert_eq!(
        with(SMALL, &["training.seed=1", "training.seed=2"])
            .training
            .seed,
        2
    );
}

#[test]
fn steps_take_the_place_of_epochs() {
    assert_eq!(
        with(SMALL, &["training.steps=9"]).training.length,
        Length::Steps(9)
    );
    assert_eq!(
        with(FULL, &["training.epochs=9"]).training.length,
        Length::Epochs(9)
    );
}

#[test]
fn an_optimizer_takes_the_place_of_another_and_adds_to_itself() {
    let adam = |lr| Optimizer::Adam {
        lr,
        betas: [0.9, 0.999],
        eps: 1e-8,
        weight_decay: 0.0,
    };
    let set = ["training.optimizer.adam.lr=0.5"];
    assert_eq!(with(FULL, &set).training.optimizer, adam(0.5));
    assert_eq!(with(SMALL, &set).training.optimizer, adam(0.5));
    for word in ["sgd", "adam"] {
        assert_eq!(
            with(&format!("{SMALL}optimizer = \"{word}\"\n"), &set)
                .training
                .optimizer,
            adam(0.5)
        );
    }
    assert_eq!(
        with(FULL, &["training.optimizer.sgd.lr=0.5"])
            .training
            .optimizer,
        Optimizer::Sgd {
            lr: 0.5,
            momentum: 0.9,
            nesterov: false,
            weight_decay: 1e-4
        }
    );
    assert_eq!(
        with(
            FULL,
            &[
                "training.optimizer=sgd",
                "training.optimizer.sgd.momentum=0.5"
            ]
        )
        .training
        .optimizer,
        Optimizer::Sgd {
            lr: 0.01,
            momentum: 0.5,
            nesterov: false,
            weight_decay: 0.0
        }
    );
}

#[test]
fn a_schedule_takes_the_place_of_another_and_adds_to_itself() {
    let kind = |set: &str| with(FULL, &[set]).training.lr_schedule.kind;
    assert_eq!(
        kind("training.lr_schedule.cosine.min_lr=0.5"),
        ScheduleKind::Cosine { min_lr: 0.5 }
    );
    assert_eq!(
        kind("training.lr_schedule.exponential.gamma=0.5"),
        ScheduleKind::Exponential { gamma: 0.5 }
    );
}

#[test]
fn the_layers_can_be_given_anew() {
    let job = with(
        FULL,
        &["model.layers=[\"flatten\", { linear = \"classes\" }]"],
    );
    assert_eq!(job.model, parse(SMALL).expect("a job").model);
}

#[test]
fn a_mistake_of_an_override_names_its_text() {
    assert_eq!(
        mistakes_of(
            SMALL,
            &[
                "epochs=5",
                "training.epoch=5",
                "training=5",
                "training.epochs",
                "training.seed=-1",
                "training.batch_size=many",
                "model.layers=[\"flaten\"]",
                "model.layers.0=\"relu\"",
            ]
        ),
        [
            r#"--set epochs=5: unknown key "epochs", did you mean "training.epochs"?"#,
            r#"--set training.epoch=5: unknown key "training.epoch", did you mean "training.epochs"?"#,
            r#"--set training=5: unknown key "training" (known: training.epochs, training.steps, training.batch_size, training.microbatches, training.seed, training.init, training.drop_last, training.loss, training.metrics, training.optimizer, training.groups, training.ema, training.lr_schedule, training.clip_norm, training.clip_value, training.monitor, training.early_stopping, training.validate)"#,
            r#"--set training.epochs: expected key=value, as training.epochs=3"#,
            r#"--set training.seed=-1: training.seed: expected a whole number from 0 to 9223372036854775807, got -1"#,
            r#"--set training.batch_size=many: training.batch_size: expected a whole number from 1 to 1048576, got "many""#,
            r#"--set model.layers=["flaten"]: model.layers[0]: unknown layer "flaten", did you mean "flatten"? (known: LAYERS)"#,
            r#"--set model.layers.0="relu": unknown key "model.layers.0", did you mean "model.layers"?"#,
        ]
        .map(|line| line.replace("LAYERS", &keys::LAYERS.join(", ")))
    );
}

#[test]
fn an_override_is_blamed_for_what_it_makes_impossible() {
    assert_eq!(
        mistakes_of(FULL, &["training.microbatches=2"]),
        [
            "--set training.microbatches=2: resources.ranks = 3 is more than training.microbatches = 2: raise training.microbatches to 3, or lower resources.ranks to 2"
        ]
    );
    assert_eq!(
        mistakes_of(FULL, &["training.batch_size=12"]),
        [
            "--set training.batch_size=12: training.microbatches: of 10 microbatches 4 would always be empty with training.batch_size = 12: write 12"
        ]
    );
    assert_eq!(
        mistakes_of(SMALL, &["training.steps=1", "training.epochs=1"]),
        [
            "--set training.epochs=1: training.epochs and training.steps exclude each other: keep one of them"
        ]
    );
}

#[test]
fn a_mistake_of_the_file_under_an_override_is_not_hidden() {
    let text = SMALL
        .replace("[training]\nepochs = 3\n", "")
        .replace("name", "training = 5\nname");
    assert_eq!(
        mistakes_of(&text, &["training.epochs=3"]),
        ["job.toml:1:12: training: expected a table, got 5"]
    );
}
