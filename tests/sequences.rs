//! Text, from the file to the rows: language models and classifiers with recurrent layers.

use crate::main_road::{assert_same, assert_trained, column};
use crate::yard::{Yard, repository};

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

fn number(row: &str, key: &str) -> f64 {
    column(row, key).parse().expect("a number")
}

#[test]
fn a_language_model_learns_the_next_character_to_the_same_rows_on_every_way() {
    let yard = Yard::new(&[1, 1, 2]);
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
    let shown = yard.json(&import);
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
