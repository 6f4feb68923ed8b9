//! The canonical text of a job.

use super::SMALL;
use crate::job_file::{parse, render};

#[test]
fn the_canonical_text_of_a_job_says_everything() {
    insta::assert_snapshot!(render(&parse(SMALL).expect("a job")), @r#"
    name = "digits"

    [data]
    train = "digits/train"
    normalize = "standard"

    [model]
    layers = [
      "flatten",
      { linear = { units = "classes", bias = true } },
    ]

    [training]
    epochs = 3
    batch_size = 64
    microbatches = 8
    seed = 42
    drop_last = false
    loss = { cross_entropy = { label_smoothing = 0.0 } }
    metrics = ["accuracy"]
    optimizer = { adam = { lr = 0.001, betas = [0.9, 0.999], eps = 1e-8, weight_decay = 0.0 } }
    lr_schedule = { constant = { warmup_steps = 0 } }
    monitor = "validation_loss"
    validate = { every_epochs = 1 }

    [resources]
    device = "cpu"
    ranks = 1
    threads = 1

    [checkpoint]
    keep_last = 3
    keep_best = 1
    "#);
}
