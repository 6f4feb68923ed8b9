use super::{SMALL, mistakes_of};
use crate::job_file::{parse, render};
use crate::loss::{ClassWeights, CrossEntropy, Loss, PosWeight};

#[test]
fn losses_are_read_with_their_values_and_written_back() {
    let loss_of = |text: &str| {
        let job = parse(&format!("{SMALL}loss = {text}\n"));
        let job = job.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_eq!(parse(&render(&job)).as_ref(), Ok(&job), "{text}");
        job.training.loss
    };
    for (text, loss) in [
        ("\"mse\"", Loss::Mse),
        ("{ l1 = {} }", Loss::L1),
        ("\"huber\"", Loss::Huber { delta: 1.0 }),
        ("{ huber = { delta = 2 } }", Loss::Huber { delta: 2.0 }),
        (
            "\"bce_with_logits\"",
            Loss::BceWithLogits { pos_weight: None },
        ),
        (
            "{ bce_with_logits = { pos_weight = 3 } }",
            Loss::BceWithLogits {
                pos_weight: Some(PosWeight::All(3.0)),
            },
        ),
        (
            "{ bce_with_logits = { pos_weight = [1, 0.5] } }",
            Loss::BceWithLogits {
                pos_weight: Some(PosWeight::Each(vec![1.0, 0.5])),
            },
        ),
        ("{ cross_entropy = {} }", Loss::CROSS_ENTROPY),
        (
            "{ cross_entropy = { class_weights = [0, 2] } }",
            Loss::CrossEntropy(CrossEntropy {
                class_weights: Some(ClassWeights::Given(vec![0.0, 2.0])),
                ..CrossEntropy::default()
            }),
        ),
    ] {
        assert_eq!(loss_of(text), loss, "{text}");
    }
}

#[test]
fn losses_and_metrics_that_cannot_be_are_told_with_their_places() {
    for (lines, expected) in [
        (
            "loss = { cross_entropy = { label_smoothing = 1 } }",
            "46: training.loss.cross_entropy.label_smoothing: expected a number of at least 0.0 and below 1.0, got 1",
        ),
        (
            "loss = { cross_entropy = { ignore_index = -100 } }",
            "43: training.loss.cross_entropy.ignore_index: expected a whole number from 0 to 4294967295, got -100",
        ),
        (
            "loss = { cross_entropy = { class_weights = \"balance\" } }",
            "44: training.loss.cross_entropy.class_weights: expected a list of numbers of at least 0.0 and at most 1000000.0, one a class, not all 0, or \"balanced\", got \"balance\"",
        ),
        (
            "loss = { cross_entropy = { class_weights = [0, 0.0] } }",
            "44: training.loss.cross_entropy.class_weights: expected a list of numbers of at least 0.0 and at most 1000000.0, one a class, not all 0, or \"balanced\", got a list",
        ),
        (
            "loss = { cross_entropy = { class_weights = [1, -1] } }",
            "48: training.loss.cross_entropy.class_weights[1]: expected a number of at least 0.0 and at most 1000000.0, got -1",
        ),
        (
            "loss = { huber = { delta = 0 } }",
            "28: training.loss.huber.delta: expected a number above 0.0 and at most 1000000.0, got 0",
        ),
        (
            "loss = { mse = { delta = 1 } }",
            "18: unknown key \"delta\" in training.loss.mse, did you mean \"training.loss.huber.delta\"? (no key is known here)",
        ),
        (
            "loss = { bce_with_logits = { pos_weight = true } }",
            "43: training.loss.bce_with_logits.pos_weight: expected a number above 0.0 and at most 1000000.0, or a list of them, one an output, got true",
        ),
        (
            "metrics = \"f1\"",
            "11: training.metrics: expected a list of metrics, as [\"accuracy\", \"top_5\"], got \"f1\"",
        ),
        (
            "metrics = [\"top_1\"]",
            "12: training.metrics[0]: unknown word \"top_1\", did you mean \"top_5\"? (known: accuracy, top_5, precision, recall, f1, perplexity)",
        ),
        (
            "metrics = [\"f1\", \"f1\"]",
            "18: training.metrics[1]: \"f1\" is there already: name each metric once",
        ),
        (
            "loss = \"mse\"\nmetrics = [\"perplexity\"]",
            "12: training.metrics[0]: perplexity is that of a cross entropy, and training.loss is \"mse\": leave it out",
        ),
        (
            "monitor = \"validation_top_3\"",
            "11: training.monitor: \"validation_top_3\" needs \"top_3\" in training.metrics: add it there",
        ),
        (
            "monitor = \"accuracy\"",
            "11: training.monitor: unknown word \"accuracy\", expected \"validation_loss\", \"validation_accuracy\", \"validation_top_5\", \"validation_precision\", \"validation_recall\", \"validation_f1\" or \"validation_perplexity\"",
        ),
    ] {
        let line = 7 + lines.lines().count();
        assert_eq!(
            mistakes_of(&format!("{SMALL}{lines}\n"), &[]),
            [format!("job.toml:{line}:{expected}")],
            "{lines}"
        );
    }
}
