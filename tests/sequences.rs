//! Text, from the file to the rows: language models and classifiers with recurrent layers.

use std::fs;

use safetensors::serialize;
use safetensors::tensor::TensorView;
use serde_json::Value;

use crate::exchange::tensors;
use crate::main_road::{assert_same, assert_trained, column};
use crate::refusals::sentence;
use crate::yard::{Yard, repository, text};

/// A language model over the licence's characters, and what it sees.
const LANGUAGE: &str = r#"name = "language"
[data]
train = "licence/train"
validation = "licence/test"
sequence_length = 16
[model]
layers = [
  { embedding = 12, name = "characters" },
  { lstm = { hidden = 12, layers = 2, dropout = 0.2 } }, "layer_norm", { dropout = 0.1 },
  { linear = { units = "vocabulary", tied = "characters" } },
]
[training]
epochs = 1
batch_size = 24
microbatches = 6
optimizer = { adam = { lr = 1e-2 } }
clip_norm = 1.0
metrics = ["accuracy", "perplexity"]
"#;

/// Sentences of unequal lengths by what they are about.
const LABELLED: &str = r#"name = "labelled"
[data]
train = "notes/train"
validation = 0.25
[model]
layers = [
  { embedding = 8 },
  { gru = { hidden = 6, bidirectional = true, output = "last" } },
  { linear = "classes" },
]
[training]
epochs = 12
batch_size = 10
microbatches = 3
optimizer = { adamw = { lr = 2e-2 } }
metrics = ["accuracy", "f1"]
"#;

/// The rows of a job are the same by `run` and on one, two and three ranks; the rows.
fn same_in_every_way(yard: &Yard, file: &str) -> Vec<String> {
    let expected = yard.run_rows(file, &[], None);
    for (ranks, threads) in [(1, 1), (2, 1), (3, 1), (1, 2)] {
        let set = [
            format!("resources.ranks={ranks}"),
            format!("resources.threads={threads}"),
            "checkpoint.every_steps=5".to_string(),
        ];
        let id = yard.submit(file, &set.each_ref().map(String::as_str));
        yard.succeeded(&id);
        let what = format!("{ranks} ranks of {threads} threads");
        assert_same(&yard.exact_rows(&id), &expected, &what);
        let evaluated = yard.json(&["model", "evaluate", &id]);
        let last = expected.last().expect("a row");
        assert_eq!(
            evaluated["loss"].to_string(),
            column(last, "validation_loss"),
            "{what}"
        );
    }
    expected
}

/// The licence as a stream of characters, the end of it for validation; what is shown of it.
fn import_licence(yard: &Yard) -> Value {
    let licence = repository("LICENSE");
    let import = [
        "data",
        "import",
        "licence",
        &licence,
        "--kind",
        "text",
        "--tokenizer",
        "characters",
        "--test-fraction",
        "0.2",
    ];
    yard.json(&import)
}

fn number(row: &str, key: &str) -> f64 {
    column(row, key).parse().expect("a number")
}

#[test]
fn a_language_model_learns_the_next_character_to_the_same_rows_on_every_way() {
    let yard = Yard::new(&[1, 1, 2]);
    let shown = import_licence(&yard);
    let vocabulary = shown["tokens"]["vocabulary"]
        .as_f64()
        .expect("a vocabulary");
    let rows = same_in_every_way(&yard, &yard.file("job.toml", LANGUAGE));
    let (first, last) = (&rows[0], rows.last().expect("a row"));
    // Better than if all characters were as likely.
    let loss = number(last, "validation_loss");
    assert!(
        loss < 0.9 * vocabulary.ln(),
        "{loss} of {vocabulary}: {first} {last}"
    );
    let perplexity = number(last, "validation_perplexity");
    let expected = loss.exp();
    assert!((perplexity / expected - 1.0).abs() < 1e-9);
    // Windows of 16 tokens, the last one shorter: every token but the first is a target once.
    let tokens = number(last, "tokens");
    assert_eq!(
        tokens,
        shown["splits"][1]["tokens"]["count"]
            .as_f64()
            .expect("tokens")
            - 1.0
    );
}

#[test]
fn a_classifier_of_sentences_of_unequal_lengths_learns_to_the_same_rows_on_every_way() {
    let yard = Yard::new(&[1, 1, 2]);
    let mut notes = String::from("about,text\n");
    for number in 0..48 {
        let (about, word) = [("rain", "wet"), ("sun", "warm"), ("snow", "white")][number % 3];
        let before = "so ".repeat(number % 5);
        let after = " it is".repeat(number % 4);
        notes.push_str(&format!("{about},{before}{word}{after}\n"));
    }
    let file = yard.file("notes.csv", notes);
    yard.json(&[
        "data", "import", "notes", &file, "--text", "text", "--label", "about",
    ]);
    let rows = same_in_every_way(&yard, &yard.file("job.toml", LABELLED));
    assert_trained(&rows, rows.len());
    let last = rows.last().expect("a row");
    assert_eq!(number(last, "validation_accuracy"), 1.0, "{last}");
    assert_eq!(number(last, "validation_f1"), 1.0, "{last}");
}

#[test]
fn a_model_of_text_goes_out_and_comes_back_but_not_with_tied_names_that_differ() {
    let yard = Yard::new(&[1]);
    import_licence(&yard);
    let file = yard.file("job.toml", LANGUAGE);
    let id = yard.submit(&file, &[]);
    yard.succeeded(&id);
    let export = |checkpoint: &str, output: &str| {
        yard.json(&["checkpoint", "export", checkpoint, "-o", output]);
        tensors(&fs::read(yard.folder().join(output)).expect("it is written"))
    };
    let mut state = export(&id, "state.safetensors");
    assert_eq!(state["characters.weight"], state["4.weight"]);
    let import = ["checkpoint", "import", "state.safetensors", "--job", &file];
    let back = text(&yard.json(&import)["digest"]);
    assert_eq!(export(&back, "again.safetensors"), state);
    let evaluate = |checkpoint: &str| yard.json(&["model", "evaluate", checkpoint]);
    let evaluated = evaluate(&id);
    assert!(evaluated["loss"].as_f64().is_some_and(f64::is_finite));
    assert_eq!(evaluate(&back), evaluated);

    state.get_mut("4.weight").expect("a tensor").2[0] ^= 1;
    let views = state.iter().map(|(name, (dtype, shape, data))| {
        let view = TensorView::new(*dtype, shape.clone(), data);
        (name, view.expect("a tensor"))
    });
    let bytes = serialize(views, None).expect("a file");
    yard.file("state.safetensors", bytes);
    let said = sentence(yard.run(&import), 2);
    assert_eq!(
        said,
        "cannot import state.safetensors: it does not hold the job's model: tensor 4.weight has other values than \
         characters.weight, to which the job ties it (take `tied` out of the job file to have both); compare the layers and \
         their names in the job file with the names in the file"
    );
    assert_eq!(yard.list(&["checkpoint", "list"]).len(), 2);
}
