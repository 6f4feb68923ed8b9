//! Jobs that cannot be.

use serde_json::Value;

use super::{mistakes, sentence};
use crate::yard::{Yard, text, with_set};

/// A job that is accepted.
const GOOD: &str = r#"name = "small"
[data]
train = "digits/train"
[model]
layers = ["flatten", { linear = "classes" }]
[training]
epochs = 1
"#;

/// What reads job files.
const COMMANDS: [&str; 3] = ["plan", "submit", "run"];

/// The good job with one thing changed.
fn changed(from: &str, to: &str) -> String {
    let text = GOOD.replace(from, to);
    assert_ne!(text, GOOD);
    text
}

/// Asserts that no job was accepted.
fn assert_no_job(yard: &Yard) {
    assert_eq!(yard.list(&["job", "list"]), Vec::<Value>::new());
}

#[test]
fn a_job_file_is_refused_with_all_its_mistakes_and_their_places() {
    let cases: [(String, &[&str]); 5] = [
        (
            "name = \"x\n".into(),
            &["job.toml:1:10: this is not TOML: invalid basic string, expected `\"`"],
        ),
        (
            changed("epochs = 1", "epcohs = 1\nepochs = 1"),
            &[
                "job.toml:7:1: unknown key \"epcohs\" in training, did you mean \"epochs\"? (known: epochs, steps, batch_size, \
               microbatches, seed, init, drop_last, loss, \
                 metrics, optimizer, groups, ema, lr_schedule, clip_norm, clip_value, monitor, early_stopping, validate)",
            ],
        ),
        (
            r#"name = "Bad Name"
[data]
train = "digits/train"
validation = 2
[model]
layers = ["flaten", { linear = 0 }, { conv2d = { filters = 3, kernal = 2 } }]
[training]
epochs = "ten"
[resource]
ranks = 2
"#
            .into(),
            &[
                "job.toml:1:8: name: expected a name of lower-case letters, digits, \".\", \"_\" and \"-\" that starts with a \
                 letter or a digit, at most 128 long, got \"Bad Name\"",
                "job.toml:4:14: data.validation: expected a split as \"dataset/split\", or a fraction of the training rows \
                 above 0 and below 1, got 2",
                "job.toml:6:11: model.layers[0]: unknown layer \"flaten\", did you mean \"flatten\"? (known: linear, conv2d, \
                 max_pool2d, avg_pool2d, global_avg_pool, global_max_pool, batch_norm, layer_norm, group_norm, relu, flatten, \
                 gelu, silu, swish, tanh, sigmoid, leaky_relu, elu, softplus, hardtanh, logsigmoid, softmax, log_softmax, \
                 embedding, rnn, lstm, gru, dropout, residual, repeat)",
                "job.toml:6:32: model.layers[1].linear: expected a whole number from 1 to 1048576, \"classes\" or \"vocabulary\", got 0",
                "job.toml:6:48: missing key model.layers[2].conv2d.kernel: expected a whole number from 1 to 1024, or \
                 two of them as [height, width]",
                "job.toml:6:63: unknown key \"kernal\" in model.layers[2].conv2d, did you mean \"kernel\"? (known: filters, \
                 kernel, stride, padding, dilation, groups, bias)",
                "job.toml:8:10: training.epochs: expected a whole number from 1 to 1000000, got \"ten\"",
                "job.toml:9:2: unknown key \"resource\", did you mean \"resources\"? (known: name, data, model, training, \
                 resources, checkpoint)",
            ],
        ),
        (
            String::new(),
            &[
                "job.toml: missing key name: expected a name of lower-case letters, digits, \".\", \"_\" and \"-\" that starts \
                 with a letter or a digit, at most 128 long",
                "job.toml: missing key data.train: expected a split as \"dataset/split\" or \"dataset@digest/split\"",
                "job.toml: missing key model.layers: expected a list of layers, as [\"flatten\", { linear = \"classes\" }]",
                "job.toml: missing key training.epochs or training.steps: say how long to train",
            ],
        ),
        (
            changed("epochs = 1", "epochs = 1\nsteps = 5"),
            &[
                "job.toml:8:1: training.epochs and training.steps exclude each other: keep one of them",
            ],
        ),
    ];
    let yard = Yard::with_digits(&[]);
    for (content, expected) in &cases {
        yard.file("job.toml", content);
        for command in COMMANDS {
            let said = mistakes(yard.run(&[command, "job.toml"]));
            assert_eq!(said, *expected, "{command}");
        }
    }
    assert_no_job(&yard);
}

#[test]
fn an_override_that_cannot_be_is_refused_as_it_was_typed() {
    let cases = [
        (
            "training.epohcs=3",
            "unknown key \"training.epohcs\", did you mean \"training.epochs\"?",
        ),
        (
            "training.epochs=x",
            "training.epochs: expected a whole number from 1 to 1000000, got \"x\"",
        ),
        (
            "training.batch_size=1e9",
            "training.batch_size: expected a whole number from 1 to 1048576, got 1e9",
        ),
        ("epochs", "expected key=value, as training.epochs=3"),
        (
            "training.microbatches=40",
            "training.microbatches: of 40 microbatches 8 would always be empty with training.batch_size = 64: write 32",
        ),
        (
            "resources.ranks=20",
            "resources.ranks = 20 is more than training.microbatches = 8: raise training.microbatches to 22, or lower \
             resources.ranks to 8",
        ),
    ];
    let yard = Yard::with_digits(&[]);
    yard.file("job.toml", GOOD);
    for (set, expected) in cases {
        for command in COMMANDS {
            let said = mistakes(yard.run(&with_set(&[command, "job.toml"], &[set])));
            assert_eq!(said, [format!("--set {set}: {expected}")], "{command}");
        }
    }
    assert_no_job(&yard);
}

#[test]
fn a_job_file_that_cannot_be_read_is_refused() {
    let yard = Yard::new(&[]);
    yard.file("folder/file", "");
    yard.file("latin.toml", b"name = \"\xff\"");
    yard.file("large.toml", " ".repeat((1 << 20) + 1));
    let cases = [
        (
            "absent.toml",
            "cannot read job file absent.toml: No such file or directory (os error 2)",
        ),
        (
            "folder",
            "cannot read job file folder: it is a folder: give the job file itself",
        ),
        (
            "latin.toml",
            "job file latin.toml is not UTF-8 from byte 8 on",
        ),
        (
            "large.toml",
            "cannot read job file large.toml: it is larger than 1 MiB, which no job file is",
        ),
    ];
    for (file, expected) in cases {
        for command in COMMANDS {
            assert_eq!(sentence(yard.run(&[command, file]), 2), expected);
        }
    }
}

#[test]
fn a_model_that_does_not_fit_its_data_is_refused_at_the_layer() {
    let cases = [
        (
            r#"[{ conv2d = { filters = 2, kernel = 9 } }, "flatten", { linear = "classes" }]"#,
            "5:11: layer 0 (conv2d) has a window of height = 9 on an input of 1x8x8, which is 8 with its padding: at most 8 fits",
        ),
        (
            r#"[{ conv2d = { filters = 2, kernel = 3, dilation = 4 } }, "flatten", { linear = "classes" }]"#,
            "5:11: layer 0 (conv2d) has a window of height = 9 on an input of 1x8x8, which is 8 with its padding: at most 8 fits",
        ),
        (
            r#"[{ conv2d = { filters = 4, kernel = 3, groups = 2 } }, "flatten", { linear = "classes" }]"#,
            "5:11: layer 0 (conv2d) has groups = 2, but the 1 channels of its input 1x8x8 do not fall into so many equal groups: \
             use a divisor of 1",
        ),
        (
            r#"[{ conv2d = { filters = 4, kernel = 3 } }, { conv2d = { filters = 6, kernel = 3, groups = 4 } }, "flatten", { linear = "classes" }]"#,
            "5:53: layer 1 (conv2d) on 4x6x6 has groups = 4, but its 6 filters do not fall into so many equal groups: use a \
             multiple of 4, as filters = 8",
        ),
        (
            r#"["flatten", { conv2d = { filters = 2, kernel = 3 } }, { linear = "classes" }]"#,
            "5:22: layer 1 (conv2d) needs samples of C x H x W, but gets 64: put it before \"flatten\", or import the data with \
             its shape, as in --shape 1x28x28",
        ),
        (
            r#"[{ linear = "classes" }]"#,
            "5:11: layer 0 (linear) needs flat samples, but gets 1x8x8: put \"flatten\" before it",
        ),
        (
            r#"["flatten", { linear = 12 }, "relu"]"#,
            "5:39: layer 2 (relu) is the last and gives 12, but cross_entropy needs 10 logits per sample: end the list with \
             { linear = \"classes\" }",
        ),
        (
            r#"["relu", { repeat = { times = 2, layers = [{ residual = [{ conv2d = { filters = 2, kernel = 3, stride = 2, padding = 1 } }] }] } }]"#,
            "5:53: layer 1.0.0 (residual) adds 2x4x4, which its layers give, to its input of 1x8x8, but only equal shapes can be \
             added: write projection = { conv2d = { filters = 2, kernel = 1, stride = 2 } }",
        ),
        (
            r#"[{ residual = ["flatten"] }, { linear = "classes" }]"#,
            "5:11: layer 0 (residual) has no layer that computes anything: put one into its layers, as { linear = 64 }",
        ),
        (
            r#"["flatten", { residual = [{ linear = 9, name = "projection" }] }]"#,
            "5:57: model.layers[1].residual[0].name: \"projection\" is what the residual's projection is called: choose another name",
        ),
        (
            r#"[{ repeat = { times = 6000, layers = ["relu", "tanh"] } }]"#,
            "5:10: model.layers comes to 12000 layers with its repeats: at most 10000, lower times",
        ),
        (
            r#"[{ residual = [{ residual = [{ residual = [{ residual = [{ residual = [{ residual = [{ residual = [{ residual = [{ residual = ["relu"] }] }] }] }] }] }] }] }] }]"#,
            "5:136: model.layers[0].residual[0].residual[0].residual[0].residual[0].residual[0].residual[0].residual[0].residual[0].residual: \
             layers lie at most 8 lists deep inside model.layers: write it flatter",
        ),
        (
            r#"[{ embedding = 4 }, { linear = "classes" }]"#,
            "5:11: layer 0 (embedding) needs tokens, but gets 1x8x8: make it the first layer, on a dataset of text",
        ),
        (
            r#"["flatten", { lstm = 4 }, { linear = "classes" }]"#,
            "5:22: layer 1 (lstm) needs a sequence of values, but gets 64: put { embedding = 64 } before it, on a dataset of text",
        ),
        (
            r#"["flatten", { linear = "vocabulary" }]"#,
            "5:22: layer 1 (linear) is as large as the vocabulary, but the data has no tokens: write a number, or train on a \
             dataset of text",
        ),
        (
            r#"["flatten", { linear = { units = "classes", tied = "embed" } }]"#,
            "5:22: layer 1 (linear) is tied to \"embed\", but no embedding before it is called so: put one first",
        ),
        (
            r#"["flatten", { linear = 9 }]"#,
            "5:22: layer 1 (linear) is the last and gives 9, but cross_entropy needs 10 logits per sample: end the list with \
             { linear = \"classes\" }",
        ),
        (
            r#"["relu", "flatten"]"#,
            "5:19: layer 1 (flatten) is the last and gives 64, but cross_entropy needs 10 logits per sample: end the list with \
             { linear = \"classes\" }",
        ),
    ];
    let yard = Yard::with_digits(&[]);
    for (layers, expected) in cases {
        let good = r#"["flatten", { linear = "classes" }]"#;
        yard.file("job.toml", changed(good, layers));
        for command in COMMANDS {
            let said = mistakes(yard.run(&[command, "job.toml"]));
            assert_eq!(said, [format!("job.toml:{expected}")], "{command}");
        }
        let flags = ["--input", "1x8x8", "--classes", "10"];
        let said = mistakes(yard.run(&[&["plan", "job.toml"][..], &flags].concat()));
        assert_eq!(said, [format!("job.toml:{expected}")], "{flags:?}");
    }
    assert_no_job(&yard);
}

#[test]
fn a_loss_or_metric_that_cannot_be_is_refused() {
    let cases = [
        (
            "metrics = [\"f1\", \"f1\"]",
            ":8:18: training.metrics[1]: \"f1\" is there already: name each metric once",
        ),
        (
            "loss = \"l1\"\nmetrics = [\"perplexity\"]",
            ":9:12: training.metrics[0]: perplexity is that of a cross entropy, and training.loss is \"l1\": leave it out",
        ),
        (
            "monitor = \"validation_f1\"",
            ":8:11: training.monitor: \"validation_f1\" needs \"f1\" in training.metrics: add it there",
        ),
        (
            "loss = { cross_entropy = { class_weights = [1, 2, 3] } }",
            ": training.loss.cross_entropy.class_weights has 3 numbers, but the data has 10 classes: write one for each",
        ),
        (
            "loss = { bce_with_logits = { pos_weight = [1, 2] } }",
            ": training.loss.bce_with_logits.pos_weight has 2 numbers, but the data has 10 classes: write one for each",
        ),
        (
            "loss = { cross_entropy = { ignore_index = 10 } }",
            ": training.loss.cross_entropy.ignore_index = 10, but the data has 10 classes, 0 to 9: name one of them",
        ),
        (
            "metrics = [\"top_10\"]",
            ": training.metrics: top_10 is always 1 with 10 classes: leave it out",
        ),
    ];
    let yard = Yard::with_digits(&[]);
    for (lines, expected) in cases {
        yard.file(
            "job.toml",
            changed("epochs = 1", &format!("epochs = 1\n{lines}")),
        );
        for command in COMMANDS {
            let said = mistakes(yard.run(&[command, "job.toml"]));
            assert_eq!(said, [format!("job.toml{expected}")], "{command}");
        }
    }
    let other = changed("\"classes\"", "7").replace("epochs = 1", "epochs = 1\nloss = \"mse\"");
    yard.file("job.toml", other);
    let expected = "job.toml:5:22: layer 1 (linear) is the last and gives 7, but mse needs 10 values per sample, one for each \
                    class: end the list with { linear = \"classes\" }";
    assert_eq!(mistakes(yard.run(&["plan", "job.toml"])), [expected]);
    assert_no_job(&yard);
}

#[test]
fn a_convolution_of_data_without_a_shape_is_refused_at_the_layer() {
    let yard = Yard::new(&[]);
    yard.file("flat.csv", "a,b,c,d,label\n1,2,3,4,0\n5,6,7,8,1\n");
    yard.json(&["data", "import", "digits", "flat.csv"]);
    let layers = r#"[{ conv2d = { filters = 2, kernel = 3 } }, "flatten", { linear = "classes" }]"#;
    let good = r#"["flatten", { linear = "classes" }]"#;
    yard.file("job.toml", changed(good, layers));
    for command in COMMANDS {
        let said = mistakes(yard.run(&[command, "job.toml"]));
        let expected = "job.toml:5:11: layer 0 (conv2d) needs samples of C x H x W, but gets 4: put it before \"flatten\", or \
                        import the data with its shape, as in --shape 1x28x28";
        assert_eq!(said, [expected], "{command}");
    }
}

#[test]
fn a_job_whose_data_is_not_there_or_does_not_go_together_is_refused() {
    let cases = [
        (
            changed("digits/train", "digit/train"),
            "no dataset \"digit\": there are digits, other",
        ),
        (
            changed("digits/train", "digits/tran"),
            "dataset \"digits\" has no split \"tran\": it has train",
        ),
        (
            changed("[model]", "validation = \"other/train\"\n[model]"),
            "digits/train and other/train differ in shape: one model cannot read both",
        ),
        (
            changed("[model]", "sequence_length = 32\n[model]"),
            "data.sequence_length: digits is no text, its samples are of 1x8x8: leave it out",
        ),
        (
            changed(
                "epochs = 1",
                "epochs = 1\nbatch_size = 5000\ndrop_last = true",
            ),
            "1797 training rows make no full batch of 5000: lower training.batch_size or set training.drop_last = false",
        ),
    ];
    let yard = Yard::with_digits(&[]);
    yard.file("other.csv", "a,b,label\n1,2,0\n3,4,1\n");
    yard.json(&["data", "import", "other", "other.csv"]);
    for (content, expected) in &cases {
        yard.file("job.toml", content);
        for command in COMMANDS {
            let said = mistakes(yard.run(&[command, "job.toml"]));
            assert_eq!(said, [format!("job.toml: {expected}")], "{command}");
        }
    }
    assert_no_job(&yard);
}

#[test]
fn a_job_that_no_worker_is_large_enough_for_waits_and_says_so() {
    let yard = Yard::with_digits(&[1]);
    yard.file("job.toml", GOOD);
    let id = yard.submit("job.toml", &["resources.threads=64"]);
    let job = yard.until_job(&id, "waits", |job| job["reason"] != "");
    assert_eq!(job["state"], "queued");
    let reason = text(&job["reason"]);
    let expected = "no worker is large enough: a rank needs 64 threads and ";
    assert!(reason.starts_with(expected), "{reason}");
    assert!(
        reason.contains("the largest offers have 1 threads and "),
        "{reason}"
    );
    yard.json(&["job", "cancel", &id]);
    let said = sentence(yard.run(&["job", "watch", &id, "--json"]), 1);
    assert_eq!(said, format!("{id} cancelled"));
}
