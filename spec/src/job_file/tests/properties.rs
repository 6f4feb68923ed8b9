use proptest::prelude::*;

use super::jobs::job;
use super::{FULL, SMALL};
use crate::job::Job;
use crate::job_file::{layer_positions, parse, parse_with, render};

/// Parsing answers, and what it says about a text lies in that text and on one line each.
fn answers(text: &str, set: &[String]) {
    let positions = layer_positions(text);
    let lines: Vec<&str> = text.split('\n').collect();
    let inside =
        |line: usize, column: usize| column >= 1 && column <= lines[line - 1].chars().count() + 1;
    assert!(
        positions.iter().all(|&(line, column)| inside(line, column)),
        "{positions:?}"
    );
    match parse_with(text, set) {
        Ok(job) => assert_eq!(parse(&render(&job)), Ok(job)),
        Err(mistakes) => {
            assert!(!mistakes.mistakes.is_empty());
            let count = mistakes.mistakes.len() + usize::from(mistakes.more > 0);
            assert_eq!(
                mistakes.display_for("job.toml").lines().count(),
                count,
                "{mistakes}"
            );
            for mistake in &mistakes.mistakes {
                assert_eq!(
                    mistake.line.is_some(),
                    mistake.column.is_some(),
                    "{mistake:?}"
                );
                if let (Some(line), Some(column)) = (mistake.line, mistake.column) {
                    assert!(inside(line, column), "{mistake:?}");
                }
            }
        }
    }
}

const PIECES: &[&str] = &[
    "\n",
    "\"",
    "\"\"\"",
    "'",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "#",
    "\\u0000",
    "\r",
    "\t",
    "é",
    "\u{feff}",
    "0",
    "-1",
    "1e400",
    "-nan",
    "inf",
    "0x",
    "99999999999999999999999999999999999999999",
    "1979-05-27",
    "true",
    "{}",
    "[]",
    "[1, 2]",
    "{ a = 1 }",
    "[training]\n",
    "[[model.layers]]\n",
    "training.epochs = 1\n",
    "name = 1\n",
    "sgd",
    "adam",
    "lr",
    "linear",
    "conv2d",
    "relu",
    "kernel",
    "name",
    "a.b.c.d = 1\n",
];

#[derive(Debug, Clone)]
enum Mutation {
    Insert(&'static str),
    Remove(usize),
    Repeat(usize),
}

fn mutations() -> impl Strategy<Value = Vec<(prop::sample::Index, Mutation)>> {
    let mutation = prop_oneof![
        3 => prop::sample::select(PIECES).prop_map(Mutation::Insert),
        2 => (1usize..20).prop_map(Mutation::Remove),
        1 => (1usize..40).prop_map(Mutation::Repeat),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), mutation), 1..6)
}

fn mutated(text: &str, mutations: &[(prop::sample::Index, Mutation)]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (index, mutation) in mutations {
        let at = index.index(chars.len() + 1);
        let end = |length: usize| (at + length).min(chars.len());
        match mutation {
            Mutation::Insert(piece) => drop(chars.splice(at..at, piece.chars())),
            Mutation::Remove(length) => drop(chars.drain(at..end(*length))),
            Mutation::Repeat(length) => {
                let piece = chars[at..end(*length)].to_vec();
                drop(chars.splice(at..at, piece));
            }
        }
    }
    chars.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_text_is_answered(text: String, set in prop::collection::vec(any::<String>(), 0..3)) {
        answers(&text, &set);
    }

    #[test]
    fn any_mutation_of_a_job_file_is_answered(small: bool, mutations in mutations()) {
        answers(&mutated(if small { SMALL } else { FULL }, &mutations), &[]);
    }

    #[test]
    fn any_override_of_a_known_key_is_answered(
        set in prop::collection::vec(
            (prop::sample::select(super::super::keys::dotted()), prop::sample::select(PIECES), any::<String>()),
            1..4,
        ),
    ) {
        let set: Vec<String> = set.iter().map(|(key, piece, text)| format!("{key}={piece}{text}")).collect();
        answers(FULL, &set);
    }

    #[test]
    fn a_job_survives_its_canonical_text(job in job()) {
        prop_assert_eq!(parse(&render(&job)), Ok(job));
    }

    #[test]
    fn a_job_survives_json(job in job()) {
        let json = serde_json::to_string(&job).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<Job>(&json).expect("a job"), job);
    }
}

#[test]
fn deep_nesting_is_answered_on_a_small_stack() {
    let dotted = "a.".repeat(70) + "a";
    let tables = format!("{{ {dotted} = ").repeat(70) + "1" + &" }".repeat(70);
    let lists = format!("[{{ {dotted} = ").repeat(39) + "1" + &" }]".repeat(39);
    let texts = [
        format!("x = {tables}"),
        format!("x = {lists}"),
        format!("[{dotted}]\n{dotted} = {tables}"),
        format!("x = {tables}\nx = {tables}"),
        format!("x = {}", "[".repeat(100_000)),
        format!("x = {}", "{a=".repeat(100_000)),
        format!("{} = 1", "a.".repeat(100_000) + "a"),
        format!("[{}]", "a.".repeat(100_000) + "a"),
        format!("{SMALL}optimizer = {tables}"),
        format!("{SMALL}[checkpoint]\nkeep_last = {lists}"),
    ];
    let unknown = parse(&texts[2]).expect_err("mistakes").mistakes;
    assert!(
        unknown
            .iter()
            .any(|mistake| mistake.message.starts_with("unknown key \"a\"")),
        "{unknown:?}"
    );
    let small = std::thread::Builder::new().stack_size(1 << 20);
    let thread = small.spawn(move || {
        for text in texts {
            answers(&text, &[]);
            answers(SMALL, &[format!("training.seed={text}")]);
            let value = text.split_once('=').map_or("", |(_, value)| value);
            answers(SMALL, &[format!("model.layers={value}")]);
        }
    });
    thread.expect("a thread").join().expect("no panic");
}

#[test]
fn every_prefix_of_a_job_file_is_answered() {
    for (end, _) in FULL.char_indices() {
        answers(&FULL[..end], &[]);
    }
}
