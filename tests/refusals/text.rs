//! Text that cannot be split, and jobs that do not say how to cut it.

use super::{mistakes, sentence};
use crate::yard::Yard;

const JOB: &str = r#"name = "small"
[data]
train = "digits/train"
[model]
layers = ["flatten", { linear = "classes" }]
[training]
epochs = 1
"#;

#[test]
fn text_that_cannot_be_split_is_refused_and_nothing_is_kept() {
    let yard = Yard::new(&[]);
    yard.file("good.txt", "some text\nand more\n");
    yard.file("short.txt", "a");
    yard.file("latin.txt", b"caf\xe9\nok\n\xff\n");
    yard.file("long.txt", format!("ok\n{}\n", "x".repeat(1025)));
    yard.file("gaps.tsv", "ham\tfine\nham\t\nspam\t!\n");
    yard.file("other.tsv", "egg\tfine\n");
    yard.file("wide.csv", "a,b,c\n1,2,3\n");
    yard.file("folder/readme.md", "");
    let cases: [(&[&str], &str); 17] = [
        (
            &["latin.txt"],
            "lines that are not UTF-8: 2 (latin.txt, line 1; latin.txt, line 3); convert the file to UTF-8, or give the right file",
        ),
        (
            &["gaps.tsv", "--text", "1"],
            "rows without a token: 1 (gaps.tsv, line 2); leave them out, or split them otherwise with --tokenizer",
        ),
        (
            &["long.txt", "--tokenizer", "words"],
            "long.txt, line 2: has a word of more than 1024 bytes: split it into characters with --tokenizer characters",
        ),
        (
            &["short.txt"],
            "split train has fewer than 2 tokens, too few to learn what follows what: give a longer text",
        ),
        (
            &["test=good.txt"],
            "no source is for train, of which the vocabulary is made: give one as train=FILE",
        ),
        (
            &["good.txt", "test=good.txt", "--test-fraction", "0.1"],
            "--test-fraction cuts split test off train, but a source for test is given too: leave one of them out",
        ),
        (
            &["good.txt", "--test-fraction", "1.5"],
            "--test-fraction 1.5: give a number above 0 and below 1",
        ),
        (
            &[
                "other.tsv",
                "test=gaps.tsv",
                "--text",
                "1",
                "--tokenizer",
                "characters",
            ],
            "rows without a token: 1 (gaps.tsv, line 2); leave them out, or split them otherwise with --tokenizer",
        ),
        (
            &["train=other.tsv", "test=good.txt", "--kind", "lines"],
            "split test has rows of class \"good\", but train has none: mend the labels, or give train such rows",
        ),
        (
            &["folder", "--kind", "lines"],
            "folder holds no text: expected files whose names end in .txt or .txt.gz, one a class",
        ),
        (
            &["other.tsv", "--text", "1", "--label", "1"],
            "column 1 cannot be both text and label: give --text and --label different columns",
        ),
        (
            &["wide.csv", "--text", "1"],
            "wide.csv has 3 columns, none of them named label, class, target or y: say which is the label with --label",
        ),
        (
            &["wide.csv", "--lowercase"],
            "--lowercase is for text: say with --text which column holds it, or leave it out",
        ),
        (
            &["good.txt", "--shape", "1x2"],
            "--shape does not go with --kind text: leave it out",
        ),
        (
            &["good.txt", "--kind", "lines", "--label", "0"],
            "--label does not go with --kind lines: the class is the name of the file",
        ),
        (
            &["wide.csv", "wide.csv"],
            "2 sources are given, but only text is read from several: import them one by one",
        ),
        (&["absent.txt"], "absent.txt does not exist: check the path"),
    ];
    for (source, expected) in cases {
        let import = [&["data", "import", "x"], source].concat();
        assert_eq!(sentence(yard.run(&import), 2), expected);
    }
    assert!(yard.list(&["data", "list"]).is_empty(), "nothing half done");
}

#[test]
fn text_without_a_length_is_refused() {
    let yard = Yard::new(&[]);
    yard.file("digits.txt", "one two three\n");
    yard.json(&["data", "import", "digits", "digits.txt"]);
    yard.file("job.toml", JOB);
    for command in ["plan", "submit", "run"] {
        let said = mistakes(yard.run(&[command, "job.toml"]));
        let expected = "job.toml: data.sequence_length is missing: digits is one stream of text, trained on in windows of so \
                        many tokens; set it, as in sequence_length = 64";
        assert_eq!(said, [expected], "{command}");
    }
    assert!(yard.list(&["job", "list"]).is_empty(), "no job");
}
