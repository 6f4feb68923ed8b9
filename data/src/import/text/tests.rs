use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use spec::dataset::held_out;
use spec::tokenizer::{MAX_TOKEN_BYTES, Tokenizer};
use tempfile::TempDir;

use super::*;
use crate::chunk::{Chunk, decode_labels, decode_lengths, token_words};
use crate::encoder::Encoder;
use crate::memory::Memory;
use crate::splitter::Splitter;

/// Files in a folder of their own.
struct Files(TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        Files(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn sources(&self, sources: &[(&str, &str)]) -> Vec<Source> {
        let source = |(split, name): &(&str, &str)| Source {
            split: split.to_string(),
            path: self.path(name),
        };
        sources.iter().map(source).collect()
    }

    /// A refusal, with the folder left out.
    fn told(&self, error: &Error) -> String {
        error
            .to_string()
            .replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn tokens(memory: &Memory, split: &Split) -> Vec<u32> {
    let chunk = |digest| Chunk::decode(memory.bytes(digest)).unwrap();
    split
        .chunks
        .iter()
        .flat_map(|reference| {
            let chunk = chunk(&reference.digest);
            assert_eq!((chunk.rows(), chunk.values()), (reference.rows, 1));
            token_words(chunk.element(), chunk.content()).collect::<Vec<_>>()
        })
        .collect()
}

fn tokenizer(memory: &Memory, manifest: &DatasetManifest) -> Tokenizer {
    let tokens = manifest.tokens.unwrap();
    let read = Tokenizer::decode(&memory.bytes(&tokens.tokenizer)).unwrap();
    assert_eq!(read.vocabulary.len(), tokens.vocabulary as usize);
    read
}

/// The text of each row of a split, with its class.
fn rows(memory: &Memory, manifest: &DatasetManifest, split: &str) -> Vec<(String, String)> {
    let split = manifest.split(split).unwrap();
    let encoder = Encoder::new(tokenizer(memory, manifest));
    let counts = split.tokens.unwrap();
    let known = counts.lengths.unwrap();
    let lengths = decode_lengths(
        &memory.bytes(&known.chunk),
        split.rows,
        counts.count,
        &known,
    )
    .unwrap();
    let labels = memory.bytes(&split.labels.unwrap());
    let labels = decode_labels(&labels, split.rows, manifest.classes.len()).unwrap();
    let mut tokens = tokens(memory, split).into_iter();
    let rows = lengths.iter().zip(labels).map(|(&length, label)| {
        let row: Vec<u32> = tokens.by_ref().take(length as usize).collect();
        (
            manifest.classes[label as usize].clone(),
            encoder.decode(&row),
        )
    });
    rows.collect()
}

fn stream(
    files: &Files,
    sources: &[(&str, &str)],
    options: &TextOptions,
) -> Result<(DatasetManifest, Memory), Error> {
    let mut memory = Memory::default();
    let manifest = import_text(&files.sources(sources), options, &mut memory, &mut |_| {})?;
    Ok((manifest, memory))
}

fn text_of(memory: &Memory, manifest: &DatasetManifest, split: &str) -> String {
    let split = manifest.split(split).unwrap();
    Encoder::new(tokenizer(memory, manifest)).decode(&tokens(memory, split))
}

fn words() -> TextOptions {
    TextOptions {
        unit: Some(Unit::Words),
        ..TextOptions::default()
    }
}

#[test]
fn a_text_of_characters_is_a_stream_that_reads_as_it_did() {
    let files = Files::new(&[("a.txt", "\u{feff}To be\r\nor nöt"), ("b.txt", " to be\n")]);
    let (manifest, memory) = stream(
        &files,
        &[("train", "a.txt"), ("train", "b.txt")],
        &TextOptions::default(),
    )
    .unwrap();
    assert_eq!(
        text_of(&memory, &manifest, "train"),
        "To be\nor nöt to be\n"
    );
    let split = &manifest.splits[0];
    assert_eq!(
        (split.rows, split.tokens.unwrap().count, split.labels),
        (19, 19, None)
    );
    assert_eq!(
        (manifest.kind.as_str(), manifest.element, manifest.maximum),
        ("text", Element::U16, 10.0)
    );
    let tokenizer = tokenizer(&memory, &manifest);
    assert_eq!(
        (tokenizer.unknown, tokenizer.vocabulary[0].as_str()),
        (None, " ")
    );
}

#[test]
fn lines_of_words_end_in_a_token_of_their_own() {
    let files = Files::new(&[("a.txt", "The cat, the dog.\n\nThe end")]);
    let options = TextOptions {
        lowercase: true,
        vocabulary: Some(4),
        ..words()
    };
    let (manifest, memory) = stream(&files, &[("train", "a.txt")], &options).unwrap();
    let tokenizer = tokenizer(&memory, &manifest);
    assert_eq!(tokenizer.vocabulary, ["<unk>", "<eos>", "the", ","]);
    let numbers = tokens(&memory, &manifest.splits[0]);
    assert_eq!(numbers, [2, 0, 3, 2, 0, 0, 1, 1, 2, 0, 1]);
}

#[test]
fn a_test_file_is_numbered_by_the_vocabulary_of_the_training_text() {
    let files = Files::new(&[("a.txt", "abab\n"), ("b.txt", "abc\n")]);
    let sources = [("test", "b.txt"), ("train", "a.txt")];
    let (manifest, memory) = stream(&files, &sources, &TextOptions::default()).unwrap();
    let names: Vec<&str> = manifest
        .splits
        .iter()
        .map(|split| split.name.as_str())
        .collect();
    assert_eq!(names, ["test", "train"]);
    assert_eq!(text_of(&memory, &manifest, "test"), "ab<unk>\n");
    assert_eq!(text_of(&memory, &manifest, "train"), "abab\n");
}

#[test]
fn a_fraction_is_the_end_of_a_stream_and_has_no_part_in_the_vocabulary() {
    let files = Files::new(&[("a.txt", "aabbaabbxyz")]);
    let options = TextOptions {
        test_fraction: Some(0.25),
        ..TextOptions::default()
    };
    let (manifest, memory) = stream(&files, &[("train", "a.txt")], &options).unwrap();
    assert_eq!(text_of(&memory, &manifest, "train"), "aabbaabb");
    assert_eq!(text_of(&memory, &manifest, "test"), "<unk><unk><unk>");
}

#[test]
fn a_column_of_text_becomes_rows_with_a_class() {
    let files = Files::new(&[("a.tsv", "ham\tSee \"you\nspam\tFREE now!!\n\nham\tok\r\n")]);
    let columns = ColumnNames {
        text: "1".to_string(),
        label: None,
    };
    let mut memory = Memory::default();
    let sources = files.sources(&[("train", "a.tsv")]);
    let options = TextOptions {
        lowercase: true,
        ..TextOptions::default()
    };
    let manifest = import_csv_text(
        &sources,
        &columns,
        Dialect::Tab,
        &options,
        &mut memory,
        &mut |_| {},
    )
    .unwrap();
    let expected = [
        ("ham", "see \" you"),
        ("spam", "free now ! !"),
        ("ham", "ok"),
    ];
    assert_eq!(
        rows(&memory, &manifest, "train"),
        expected.map(|(class, text)| (class.to_string(), text.to_string()))
    );
    let lengths = manifest.splits[0].tokens.unwrap().lengths.unwrap();
    assert_eq!(
        (
            lengths.shortest,
            lengths.median,
            lengths.p95,
            lengths.longest
        ),
        (1, 3, 4, 4)
    );
    assert_eq!(manifest.splits[0].class_counts, [2, 1]);
}

#[test]
fn files_of_lines_are_classes_and_each_gives_its_end_for_testing() {
    let files = Files::new(&[
        ("names/Irish.txt", "Abban\nAdam\n  \nAhearn\nAodh\n"),
        ("names/Greek.txt", "Adamou\nAgelakos\n"),
        ("names/about.md", "not a class"),
    ]);
    let options = TextOptions {
        test_fraction: Some(0.25),
        ..TextOptions::default()
    };
    let mut memory = Memory::default();
    let sources = files.sources(&[("train", "names")]);
    let manifest = import_lines(&sources, &options, &mut memory, &mut |_| {}).unwrap();
    assert_eq!(
        (manifest.kind.as_str(), manifest.classes.join(" ")),
        ("lines", "Greek Irish".to_string())
    );
    let of = |split| -> Vec<String> {
        rows(&memory, &manifest, split)
            .into_iter()
            .map(|(class, text)| format!("{class} {text}"))
            .collect()
    };
    assert_eq!(
        of("train"),
        ["Greek Adamou", "Irish Abban", "Irish Adam", "Irish Ahearn"]
    );
    let test = of("test");
    assert_eq!(test.len(), 2);
    assert!(
        test[0].starts_with("Greek A") && test[1].starts_with("Irish A"),
        "{test:?}"
    );
}

#[test]
fn what_cannot_be_split_is_refused_with_its_places() {
    let long = "x".repeat(MAX_TOKEN_BYTES + 1);
    let files = Files::new(&[
        ("good.txt", "some text\n"),
        ("short.txt", "a"),
        ("long.txt", &format!("ok\n{long}\n")),
        ("rows.csv", "text,label\nfine,a\n!,b\n?,a\n"),
        ("gap.csv", "text,label\nfine,a\n\"\",b\n  ,a\n"),
        ("other.csv", "text,label\nfine,c\n"),
        ("empty/readme.md", ""),
    ]);
    fs::write(files.path("bad.txt"), b"one\n\xff\ntwo\n\xfe\xff\n").unwrap();
    let told = |sources: &[(&str, &str)], options: &TextOptions| {
        files.told(&stream(&files, sources, options).err().unwrap())
    };
    let plain = TextOptions::default();
    assert_eq!(
        told(&[("train", "bad.txt")], &plain),
        "lines that are not UTF-8: 2 (bad.txt, line 2; bad.txt, line 4); convert the file to UTF-8, or give the right file"
    );
    assert_eq!(
        told(&[("train", "short.txt")], &plain),
        "split train has fewer than 2 tokens, too few to learn what follows what: give a longer text"
    );
    assert_eq!(
        told(&[("train", "long.txt")], &words()),
        "long.txt, line 2: has a word of more than 1024 bytes: split it into characters with --tokenizer characters"
    );
    assert_eq!(
        told(&[("test", "good.txt")], &plain),
        "no source is for train, of which the vocabulary is made: give one as train=FILE"
    );
    let fraction = |fraction| TextOptions {
        test_fraction: Some(fraction),
        ..TextOptions::default()
    };
    assert_eq!(
        told(
            &[("train", "good.txt"), ("test", "good.txt")],
            &fraction(0.5)
        ),
        "--test-fraction cuts split test off train, but a source for test is given too: leave one of them out"
    );
    assert_eq!(
        told(&[("train", "good.txt")], &fraction(1.0)),
        "--test-fraction 1: give a number above 0 and below 1"
    );
    let columns = ColumnNames {
        text: "text".to_string(),
        label: None,
    };
    let table = |sources: &[(&str, &str)]| {
        let sources = files.sources(sources);
        let mut memory = Memory::default();
        let refused = import_csv_text(
            &sources,
            &columns,
            Dialect::Comma,
            &plain,
            &mut memory,
            &mut |_| {},
        );
        files.told(&refused.err().unwrap())
    };
    assert_eq!(
        table(&[("train", "gap.csv")]),
        "rows without a token: 2 (gap.csv, line 3; gap.csv, line 4); leave them out, or split them otherwise with --tokenizer"
    );
    assert_eq!(
        table(&[("train", "rows.csv"), ("test", "other.csv")]),
        "split test has rows of class \"c\", but train has none: mend the labels, or give train such rows"
    );
    let sources = files.sources(&[("train", "empty")]);
    let refused = import_lines(&sources, &plain, &mut Memory::default(), &mut |_| {});
    let refused = refused.err().unwrap().to_string();
    assert!(
        refused.contains("empty holds no text: expected files whose names end in .txt"),
        "{refused}"
    );
}

#[test]
fn progress_ends_at_all_bytes_of_all_passes() {
    let files = Files::new(&[("a.txt", "some text\n"), ("b.txt", "more\n")]);
    let sources = files.sources(&[("train", "a.txt"), ("train", "b.txt")]);
    let mut seen = Vec::new();
    import_text(
        &sources,
        &words(),
        &mut Memory::default(),
        &mut |progress| seen.push(*progress),
    )
    .unwrap();
    assert!(seen.is_sorted_by_key(|progress| progress.done));
    let last = seen.last().unwrap();
    assert_eq!((last.done, last.total), (30, Some(30)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_text_is_lost_and_the_same_gives_the_same_digest(
        lines in prop::collection::vec("[a-e é.,]{0,12}", 1..12),
        fraction in prop::option::of(0.1f64..0.9),
        unit in prop::sample::select(vec![Unit::Characters, Unit::Words, Unit::Whitespace]),
    ) {
        let text = lines.join("\n") + "\n";
        let files = Files::new(&[("a.txt", &text)]);
        let options = TextOptions { unit: Some(unit), test_fraction: fraction, ..TextOptions::default() };
        let imported = stream(&files, &[("train", "a.txt")], &options);
        prop_assume!(imported.is_ok());
        let (manifest, memory) = imported.unwrap();
        let train = manifest.split("train").unwrap().rows;
        let test = manifest.split("test").map_or(0, |split| split.rows);
        let mut all = 0;
        for line in &lines {
            Splitter::new(unit, false).split(line, |_| { all += 1; Ok::<_, Error>(()) }).unwrap();
            all += 1;
        }
        prop_assert_eq!(train + test, all);
        if let Some(fraction) = fraction {
            prop_assert_eq!(test, held_out(all, fraction));
        } else if unit == Unit::Characters {
            prop_assert_eq!(text_of(&memory, &manifest, "train"), text);
        }
        let again = stream(&files, &[("train", "a.txt")], &options).unwrap().0;
        prop_assert_eq!(again.digest(), manifest.digest());
    }
}
