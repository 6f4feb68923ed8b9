use super::{FULL, SMALL, mistakes_of};
use crate::job_file::{Wrong, keys, parse};

/// The mistakes of the small file with one line in place of another.
fn small(line: &str, instead: &str) -> Vec<String> {
    assert!(SMALL.contains(line), "{line}");
    mistakes_of(&SMALL.replace(line, instead), &[])
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = r#"name = "Fashion"
epochs = 5

[data]
trian = "fashion-mnist/train"
normalize = "standart"

[model]
layers = [
  { conv2d = { filters = 0, kernel = [3, 0], pading = 1 }, name = "0" },
  "rellu",
  { linear = "clases", name = "a" },
  "linear", { relu = 3, name = "a" },
]

[training]
steps = 10
epochs = 1.5
batch_size = true
optimizer = { adam = { lr = nan, betas = [0.9, 1.0] } }

[resource]
ranks = 2
"#;
    assert_eq!(
        mistakes_of(text, &[]),
        [
            r#"job.toml:1:8: name: expected a name of lower-case letters, digits, ".", "_" and "-" that starts with a letter or a digit, at most 128 long, got "Fashion""#,
            r#"job.toml:2:1: unknown key "epochs", did you mean "training.epochs"? (known: name, data, model, training, resources, checkpoint)"#,
            r#"job.toml:4:1: missing key data.train: expected a split as "dataset/split" or "dataset@digest/split""#,
            r#"job.toml:5:1: unknown key "trian" in data, did you mean "train"? (known: train, validation, normalize, sequence_length)"#,
            r#"job.toml:6:13: data.normalize: unknown word "standart", did you mean "standard"? (known: none, unit, standard)"#,
            r#"job.toml:10:26: model.layers[0].conv2d.filters: expected a whole number from 1 to 1048576, got 0"#,
            r#"job.toml:10:42: model.layers[0].conv2d.kernel[1]: expected a whole number from 1 to 1024, got 0"#,
            r#"job.toml:10:46: unknown key "pading" in model.layers[0].conv2d, did you mean "padding"? (known: filters, kernel, stride, padding, dilation, groups, bias)"#,
            r#"job.toml:10:67: model.layers[0].name: expected a name of letters, digits, "_" and "-" that is not a bare number, at most 128 long, got "0""#,
            r#"job.toml:11:3: model.layers[1]: unknown layer "rellu", did you mean "relu"? (known: LAYERS)"#,
            r#"job.toml:12:14: model.layers[2].linear: expected a whole number from 1 to 1048576, "classes" or "vocabulary", got "clases""#,
            r#"job.toml:13:3: model.layers[3]: "linear" needs values, as { linear = 128 } or { linear = "classes" }"#,
            r#"job.toml:13:22: model.layers[4].relu: expected "relu" alone or { relu = {} }, since it takes no values, got 3"#,
            r#"job.toml:13:32: model.layers[4].name: the name "a" is taken by model.layers[2]: layer names are unique"#,
            r#"job.toml:18:1: training.epochs and training.steps exclude each other: keep one of them"#,
            r#"job.toml:18:10: training.epochs: expected a whole number from 1 to 1000000, got 1.5"#,
            r#"job.toml:19:14: training.batch_size: expected a whole number from 1 to 1048576, got true"#,
            r#"job.toml:20:29: training.optimizer.adam.lr: expected a number above 0.0 and at most 1000000.0, got nan"#,
            r#"job.toml:20:48: training.optimizer.adam.betas[1]: expected a number of at least 0.0 and below 1.0, got 1.0"#,
            r#"job.toml:22:2: unknown key "resource", did you mean "resources"? (known: name, data, model, training, resources, checkpoint)"#,
        ]
        .map(|line| line.replace("LAYERS", &keys::LAYERS.join(", ")))
    );
}

#[test]
fn an_empty_file_misses_what_has_no_default() {
    assert_eq!(
        mistakes_of("", &[]),
        [
            r#"job.toml: missing key name: expected a name of lower-case letters, digits, ".", "_" and "-" that starts with a letter or a digit, at most 128 long"#,
            r#"job.toml: missing key data.train: expected a split as "dataset/split" or "dataset@digest/split""#,
            r#"job.toml: missing key model.layers: expected a list of layers, as ["flatten", { linear = "classes" }]"#,
            "job.toml: missing key training.epochs or training.steps: say how long to train",
        ]
    );
}

#[test]
fn a_text_that_is_no_toml_is_one_mistake_with_its_place() {
    for (text, expected) in [
        (
            "name = \"a\"\nname = \"b\"\n",
            "job.toml:2:1: this is not TOML: duplicate key, at `name`",
        ),
        ("é = 1\nname == 3\n", "job.toml:2:7: "),
        ("name = \"a", "job.toml:1:"),
        ("[training\nepochs = 3", "job.toml:1:10: "),
    ] {
        let mistakes = mistakes_of(text, &[]);
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(mistakes[0].starts_with(expected), "{mistakes:?}");
        let wrong = &parse(text).expect_err("no TOML").mistakes[0].wrong;
        assert!(matches!(wrong, Wrong::Syntax { .. }), "{wrong:?}");
    }
}

#[test]
fn a_value_of_the_wrong_type_is_told_with_what_was_expected() {
    for (line, instead, expected) in [
        (
            "name = \"digits\"",
            "name = 3",
            "1:8: name: expected a name of lower-case letters, digits, \".\", \"_\" and \"-\" that starts with a letter or a digit, at most 128 long, got 3",
        ),
        (
            "\"digits\"\n[model]",
            "[\"digits\"]\n[model]",
            "3:9: data.train: expected a split as \"dataset/split\" or \"dataset@digest/split\", got a list",
        ),
        (
            "epochs = 3",
            "epochs = \"3\"",
            "7:10: training.epochs: expected a whole number from 1 to 1000000, got \"3\"",
        ),
        (
            "epochs = 3",
            "epochs = 1979-05-27",
            "7:10: training.epochs: expected a whole number from 1 to 1000000, got a date or time",
        ),
        (
            "epochs = 3",
            "epochs = 3\ndrop_last = 1",
            "8:13: training.drop_last: expected true or false, got 1",
        ),
        (
            "epochs = 3",
            "epochs = 3\nloss = []",
            "8:8: training.loss: expected \"cross_entropy\", \"mse\", \"l1\", \"huber\", \"bce_with_logits\", or one of them with values, as { cross_entropy = { label_smoothing = 0.1 } }, got an empty list",
        ),
        (
            "epochs = 3",
            "epochs = 3\nvalidate = 2",
            "8:12: training.validate: expected a table, got 2",
        ),
        (
            "epochs = 3",
            "epochs = 3\noptimizer = 0.1",
            "8:13: training.optimizer: expected \"sgd\", \"adam\", \"adamw\", \"rmsprop\", \"adagrad\", or one of them with values, as { sgd = { lr = 0.1 } }, got 0.1",
        ),
        (
            "epochs = 3",
            "epochs = 3\noptimizer = {}",
            "8:13: training.optimizer: expected \"sgd\", \"adam\", \"adamw\", \"rmsprop\", \"adagrad\", or one of them with values, as { sgd = { lr = 0.1 } }, got an empty table",
        ),
        (
            "epochs = 3",
            "epochs = 3\noptimizer.adam.betas = 0.9",
            "8:24: training.optimizer.adam.betas: expected two numbers, each of at least 0.0 and below 1.0, got 0.9",
        ),
        (
            "[training]",
            "[[training]]",
            "6:1: training: expected a table, got a list",
        ),
        (
            "[data]\ntrain = \"digits\"",
            "data = \"digits\"",
            "2:8: data: expected a table, got \"digits\"",
        ),
    ] {
        assert_eq!(
            small(line, instead),
            [format!("job.toml:{expected}")],
            "{instead}"
        );
    }
}

#[test]
fn an_impossible_value_is_refused() {
    let whole = "a whole number from";
    for (lines, expected) in [
        ("batch_size = 0", format!("14: training.batch_size: expected {whole} 1 to 1048576, got 0")),
        ("batch_size = 1048577", format!("14: training.batch_size: expected {whole} 1 to 1048576, got 1048577")),
        ("microbatches = 4097", format!("16: training.microbatches: expected {whole} 1 to 4096, got 4097")),
        ("seed = -1", format!("8: training.seed: expected {whole} 0 to 9223372036854775807, got -1")),
        ("seed = 9223372036854775808", format!("8: training.seed: expected {whole} 0 to 9223372036854775807, got 9223372036854775808")),
        ("seed = 0xFFFFFFFFFFFFFFFF", format!("8: training.seed: expected {whole} 0 to 9223372036854775807, got 0xFFFFFFFFFFFFFFFF")),
        ("validate.every_epochs = 0", format!("25: training.validate.every_epochs: expected {whole} 1 to 1000000, got 0")),
        ("optimizer.sgd.lr = 0", "20: training.optimizer.sgd.lr: expected a number above 0.0 and at most 1000000.0, got 0".to_string()),
        ("optimizer.sgd.lr = -0.1", "20: training.optimizer.sgd.lr: expected a number above 0.0 and at most 1000000.0, got -0.1".to_string()),
        ("optimizer.sgd.lr = inf", "20: training.optimizer.sgd.lr: expected a number above 0.0 and at most 1000000.0, got inf".to_string()),
        ("optimizer.sgd.lr = 1e999", "20: training.optimizer.sgd.lr: expected a number above 0.0 and at most 1000000.0, got 1e999".to_string()),
        ("optimizer.sgd.momentum = 1.0", "26: training.optimizer.sgd.momentum: expected a number of at least 0.0 and below 1.0, got 1.0".to_string()),
        ("optimizer.adam.eps = 0.0", "22: training.optimizer.adam.eps: expected a number of at least 1e-30 and at most 1.0, got 0.0".to_string()),
        ("optimizer.adam.weight_decay = -1", "31: training.optimizer.adam.weight_decay: expected a number of at least 0.0 and at most 1000000.0, got -1".to_string()),
        ("[checkpoint]\nkeep_last = 0", format!("13: checkpoint.keep_last: expected {whole} 1 to 1000000, got 0")),
        ("[checkpoint]\nkeep_best = -1", format!("13: checkpoint.keep_best: expected {whole} 0 to 1000000, got -1")),
        ("[checkpoint]\nevery_steps = 0", format!("15: checkpoint.every_steps: expected {whole} 1 to 1000000000000, got 0")),
        ("[resources]\nthreads = 1025", format!("11: resources.threads: expected {whole} 1 to 1024, got 1025")),
        ("[resources]\nranks = 0", format!("9: resources.ranks: expected {whole} 1 to 4096, got 0")),
    ] {
        let line = 7 + lines.lines().count();
        assert_eq!(mistakes_of(&format!("{SMALL}{lines}\n"), &[]), [format!("job.toml:{line}:{expected}")], "{lines}");
    }
}

#[test]
fn an_unknown_word_is_told_with_the_nearest_one() {
    for (lines, expected) in [
        (
            "loss = \"crossentropy\"",
            "8: training.loss: unknown word \"crossentropy\", did you mean \"cross_entropy\"? (known: cross_entropy, mse, l1, huber, bce_with_logits)",
        ),
        (
            "optimizer = \"adamm\"",
            "13: training.optimizer: unknown word \"adamm\", did you mean \"adam\"? (known: sgd, adam, adamw, rmsprop, adagrad)",
        ),
        (
            "optimizer = \"lbfgs\"",
            "13: training.optimizer: unknown word \"lbfgs\", expected \"sgd\", \"adam\", \"adamw\", \"rmsprop\" or \"adagrad\"",
        ),
        (
            "optimizer = { sgd = {}, adam = {} }",
            "25: training.optimizer.sgd and training.optimizer.adam exclude each other: keep one of them",
        ),
        (
            "optimizer.sgd = { nesterov = true }",
            "30: training.optimizer.sgd.nesterov needs momentum above 0: write momentum = 0.9",
        ),
        (
            "clip_norm = 1.0\nclip_value = 0.5",
            "1: training.clip_norm and training.clip_value exclude each other: keep one of them",
        ),
        (
            "clip_norm = 0",
            "13: training.clip_norm: expected a number above 0.0 and at most 1000000.0, got 0",
        ),
        (
            "lr_schedule = \"cosin\"",
            "15: training.lr_schedule: unknown word \"cosin\", did you mean \"cosine\"? (known: constant, linear, step, exponential, cosine, one_cycle, reduce_on_plateau)",
        ),
        (
            "lr_schedule = \"step\"",
            "15: missing key training.lr_schedule.step.every_steps or training.lr_schedule.step.every_epochs: write one of them",
        ),
        (
            "lr_schedule = { exponential = {} }",
            "31: missing key training.lr_schedule.exponential.gamma: expected a number above 0.0 and at most 1.0",
        ),
        (
            "lr_schedule = { cosine = { min_lr = 0.5 } }",
            "37: training.lr_schedule.cosine.min_lr = 0.5 is above the optimizer's lr = 0.001: lower it, or raise lr",
        ),
        (
            "lr_schedule = { one_cycle = { warmup_steps = 5 } }",
            "31: unknown key \"warmup_steps\" in training.lr_schedule.one_cycle (known: max_lr, warmup_fraction, div_factor, final_div_factor)",
        ),
        (
            "lr_schedule = \"reduce_on_plateau\"",
            "15: training.lr_schedule follows the validation rows, and there are none: name them in data.validation, as 0.1 or \"dataset/split\"",
        ),
        (
            "early_stopping = {}",
            "18: training.early_stopping follows the validation rows, and there are none: name them in data.validation, as 0.1 or \"dataset/split\"",
        ),
        (
            "[resources]\ndevice = \"cuda\"",
            "10: resources.device: unknown word \"cuda\", expected \"cpu\"",
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

#[test]
fn splits_and_fractions_are_checked() {
    let train = "a split as \"dataset/split\" or \"dataset@digest/split\"";
    for text in ["a/b/c", "Digits/train", "digits@12ab/train", ""] {
        let expected = format!("job.toml:3:9: data.train: expected {train}, got \"{text}\"");
        assert_eq!(
            small("train = \"digits\"", &format!("train = \"{text}\"")),
            [expected]
        );
    }
    let validation =
        "a split as \"dataset/split\", or a fraction of the training rows above 0 and below 1";
    for value in ["0", "1", "0.0", "1.0", "-0.5", "nan", "\"digits\"", "true"] {
        let expected =
            format!("job.toml:4:14: data.validation: expected {validation}, got {value}");
        assert_eq!(
            small("[model]", &format!("validation = {value}\n[model]")),
            [expected]
        );
    }
}

#[test]
fn microbatches_that_would_always_be_empty_are_refused_with_the_nearest_number_that_would_not() {
    for (batch_size, microbatches, empty, nearest) in [
        (64, 10, 0, 0),
        (12, 10, 4, 12),
        (1, 4, 3, 1),
        (100, 30, 5, 34),
    ] {
        let lines = format!("batch_size = {batch_size}\nmicrobatches = {microbatches}\n");
        let text = format!("{SMALL}{lines}");
        match empty {
            0 => assert!(parse(&text).is_ok()),
            _ => assert_eq!(
                mistakes_of(&text, &[]),
                [format!(
                    "job.toml:9:16: training.microbatches: of {microbatches} microbatches {empty} would always be empty with training.batch_size = {batch_size}: write {nearest}"
                )]
            ),
        }
    }
}

#[test]
fn more_ranks_than_microbatches_are_refused_with_the_key_to_raise() {
    let ranks = |batch_size: u32, ranks: u32| {
        mistakes_of(
            &format!("{SMALL}batch_size = {batch_size}\n[resources]\nranks = {ranks}\n"),
            &[],
        )
    };
    assert_eq!(
        ranks(64, 9),
        [
            "job.toml:10:9: resources.ranks = 9 is more than training.microbatches = 8: raise training.microbatches to 10, or lower resources.ranks to 8"
        ]
    );
    assert_eq!(
        ranks(4, 5),
        [
            "job.toml:10:9: resources.ranks = 5 is more than training.microbatches = 1: raise training.batch_size from 4 and training.microbatches, both to 5 or more, or lower resources.ranks to 1"
        ]
    );
}

#[test]
fn a_long_text_is_refused_unread_and_long_words_are_cut() {
    let long = FULL.to_string() + &"#".repeat(1 << 20);
    assert_eq!(
        mistakes_of(&long, &[]),
        [format!(
            "job.toml: {} bytes are too long for a job file: at most 1048576",
            long.len()
        )]
    );
    let word = "x".repeat(100_000);
    let mistakes = small(
        "epochs = 3",
        &format!("epochs = 3\n{word} = \"{word}\"\nloss = \"{word}\""),
    );
    assert_eq!(mistakes.len(), 2);
    assert!(
        mistakes.iter().all(|mistake| mistake.len() < 400),
        "{mistakes:?}"
    );
}

#[test]
fn thousands_of_mistakes_are_counted_and_the_first_are_told() {
    let text: String = (0..3000)
        .map(|number| format!("key{number} = 1\n"))
        .collect();
    let mistakes = parse(&text).expect_err("mistakes");
    assert_eq!(mistakes.mistakes.len(), 200);
    assert_eq!(mistakes.more, 3004 - 200);
    assert_eq!(
        mistakes.to_string().lines().last(),
        Some("and 2804 more mistakes")
    );
}

#[test]
fn a_mistake_prints_its_place() {
    let mistakes = parse(&SMALL.replace("epochs", "epoch")).expect_err("mistakes");
    let texts: Vec<String> = mistakes.to_string().lines().map(str::to_string).collect();
    assert_eq!(
        texts,
        [
            "line 6, column 1: missing key training.epochs or training.steps: say how long to train",
            "line 7, column 1: unknown key \"epoch\" in training, did you mean \"epochs\"? (known: epochs, steps, batch_size, microbatches, seed, init, drop_last, loss, metrics, optimizer, groups, ema, lr_schedule, clip_norm, clip_value, monitor, early_stopping, validate)",
        ]
    );
}
