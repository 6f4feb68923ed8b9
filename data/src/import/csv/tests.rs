use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::chunk::{Chunk, decode_labels};
use crate::digits::DIGITS_CSV_GZ;
use crate::memory::Memory;

fn import(text: &[u8], options: &CsvOptions) -> Result<(DatasetManifest, Memory), Error> {
    let mut memory = Memory::default();
    let manifest = import_csv_bytes("a.csv", text, options, &mut memory, &mut |_| {})?;
    Ok((manifest, memory))
}

fn imported(text: &str) -> (DatasetManifest, Vec<f32>, Vec<u32>) {
    let (manifest, memory) = import(text.as_bytes(), &CsvOptions::default()).unwrap();
    let split = &manifest.splits[0];
    let chunk = Chunk::decode(memory.bytes(&split.chunks[0].digest)).unwrap();
    let values = chunk
        .content()
        .as_chunks::<4>()
        .0
        .iter()
        .map(|word| f32::from_le_bytes(*word))
        .collect();
    let labels = decode_labels(
        &memory.bytes(&split.labels.unwrap()),
        split.rows,
        manifest.classes.len(),
    )
    .unwrap();
    (manifest, values, labels)
}

fn refusal(text: &str) -> String {
    import(text.as_bytes(), &CsvOptions::default())
        .err()
        .unwrap()
        .to_string()
}

fn refusal_with(text: &str, options: CsvOptions) -> String {
    import(text.as_bytes(), &options).err().unwrap().to_string()
}

fn label(column: &str) -> CsvOptions {
    CsvOptions {
        label: Some(column.to_string()),
        ..CsvOptions::default()
    }
}

#[test]
fn a_header_names_the_label() {
    let (manifest, values, labels) = imported("a,Label,b\n1,2,-3.5\n4,0,1e1\n");
    assert_eq!(values, [1.0, -3.5, 4.0, 10.0]);
    assert_eq!(labels, [2, 0]);
    assert_eq!(manifest.classes, ["0", "1", "2"]);
    assert_eq!(
        (
            manifest.kind.as_str(),
            manifest.shape.to_string(),
            manifest.maximum
        ),
        ("csv", "2".to_string(), 10.0)
    );
    let split = &manifest.splits[0];
    assert_eq!((split.name.as_str(), split.rows), ("train", 2));
    assert_eq!(split.class_counts, [1, 0, 1]);
    assert_eq!(
        (split.mean.clone(), split.std.clone()),
        (vec![2.5, 3.25], vec![1.5, 6.75])
    );
}

#[test]
fn without_a_header_the_last_column_is_the_label() {
    let (_, values, labels) = imported("1,2,0\n3,4,1\n");
    assert_eq!((values, labels), (vec![1.0, 2.0, 3.0, 4.0], vec![0, 1]));
}

#[test]
fn text_labels_are_sorted_into_classes_with_and_without_a_header() {
    for header in ["", "width,height,species\n", "0,1,class\n"] {
        let (manifest, values, labels) =
            imported(&format!("{header}1,2,rose\n3,4,\"aster\"\n5,6, rose\n"));
        assert_eq!(manifest.classes, ["aster", "rose"]);
        assert_eq!((values.len(), labels), (6, vec![1, 0, 1]));
    }
}

#[test]
fn the_label_column_is_chosen_by_name_or_number() {
    let text = b"u,v,w\n0,1,2\n1,0,3\n";
    for (column, classes) in [("u", 2), ("1", 2), ("w", 4)] {
        assert_eq!(
            import(text, &label(column)).unwrap().0.classes.len(),
            classes,
            "{column}"
        );
    }
    assert_eq!(
        refusal_with("u,v,w\n0,1,2\n", label("x")),
        "a.csv has no column \"x\": it has u, v, w"
    );
    assert_eq!(
        refusal_with("0,1,2\n0,1,2\n", label("3")),
        "a.csv has no column \"3\": it has columns 0 to 2 and no header"
    );
}

#[test]
fn line_ends_blank_lines_a_byte_order_mark_and_compression_change_nothing() {
    let plain = import(b"a,label\n1,0\n2,1\n", &CsvOptions::default())
        .unwrap()
        .0;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(b"a,label\n1,0\n2,1\n").unwrap();
    let gzip = encoder.finish().unwrap();
    for text in [
        b"\xef\xbb\xbfa,label\r\n1,0\r\n\r\n2,1".as_slice(),
        b"\n\na,label\n1 , 0\n  \n2,1\n\n",
        &gzip,
    ] {
        assert_eq!(
            import(text, &CsvOptions::default()).unwrap().0.digest(),
            plain.digest()
        );
    }
}

#[test]
fn a_shape_and_a_maximum_are_taken_from_the_options() {
    let options = CsvOptions {
        shape: Some("1x2x2".parse().unwrap()),
        maximum: Some(0.1),
        ..CsvOptions::default()
    };
    let manifest = import(b"0,0.1,0,-0.1,0\n0,0,0,0,1\n", &options).unwrap().0;
    assert_eq!(
        (manifest.shape.to_string(), manifest.maximum),
        ("1x2x2".to_string(), 0.1)
    );
    assert_eq!(
        refusal_with("1,2,3,0\n", options),
        "shape 1x2x2 has 4 values, but a row of a.csv has 3: give a --shape with as many"
    );
    for maximum in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let options = CsvOptions {
            maximum: Some(maximum),
            ..CsvOptions::default()
        };
        let expected = format!("--max {maximum} cannot be a largest value: give a number above 0");
        assert_eq!(refusal_with("1,0\n", options), expected);
    }
}

#[test]
fn zeros_alone_have_a_maximum_to_divide_by() {
    assert_eq!(imported("0,0\n0,1\n").0.maximum, 1.0);
}

#[test]
fn what_is_wrong_in_a_line_is_said_with_line_and_column() {
    let cases = [
        (
            "a,b,label\n1,2,0\n1,x,0\n",
            "a.csv, line 3: column \"b\": \"x\" is not a number: features must be numeric, the label's column is set with --label",
        ),
        (
            "a,b,label\r\n1,2,0\r\n\r\n1,,0",
            "a.csv, line 4: column \"b\": \"\" is not a number: features must be numeric, the label's column is set with --label",
        ),
        (
            "1,2,0\n1,nan,0\n",
            "a.csv, line 2: column 1: \"nan\" is not a finite 32-bit number: replace it or leave the row out",
        ),
        (
            "1,2,0\n\n\ninf,2,0\n",
            "a.csv, line 4: column 0: \"inf\" is not a finite 32-bit number: replace it or leave the row out",
        ),
        (
            "1,2,0\n1e39,2,0",
            "a.csv, line 2: column 0: \"1e39\" is not a finite 32-bit number: replace it or leave the row out",
        ),
        (
            "1,2,0\n1,2,0,4\n",
            "a.csv, line 2: has 4 fields, but the first line has 3: every line needs the same number",
        ),
        (
            "1,2,0\n1,2\n",
            "a.csv, line 2: has 2 fields, but the first line has 3: every line needs the same number",
        ),
        (
            "a,label\n1,-1\n",
            "a.csv, line 2: column \"label\": label -1 is out of range: a numeric label must be a whole number from 0 to 65535, another column is chosen with --label",
        ),
        (
            "a,label\n1,0.5\n",
            "a.csv, line 2: column \"label\": label 0.5 is out of range: a numeric label must be a whole number from 0 to 65535, another column is chosen with --label",
        ),
        (
            "a,label\n1,65536\n",
            "a.csv, line 2: column \"label\": label 65536 is out of range: a numeric label must be a whole number from 0 to 65535, another column is chosen with --label",
        ),
        (
            "a,label\n1,0\n2,cat\n",
            "a.csv, line 3: column \"label\": label \"cat\" does not fit \"0\" of line 2: labels are all numbers or all text",
        ),
        (
            "a,label\n1,\n",
            "a.csv, line 2: column \"label\": the label is empty: every row needs one",
        ),
        (
            "a,label\n1,\"rose\n2,aster\n",
            "a.csv, line 2: a quoted field goes over the end of the line: close the quote",
        ),
        (
            "a,label\n1,0\n2,99\n",
            "a.csv: label 99 is out of range: it makes 100 classes, 98 of them without a row; mend the labels",
        ),
        (
            "a,label\n",
            "a.csv has a header but no rows: give a file with at least one row",
        ),
        (
            "\n \n\n",
            "a.csv is empty: fetch it again or give another file",
        ),
        ("", "a.csv is empty: fetch it again or give another file"),
        (
            "1;2;0\n1;2;1\n",
            "a.csv has only one column: expected features and a label, separated by commas",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(refusal(text), expected, "{text:?}");
    }
    let options = CsvOptions {
        maximum: Some(16.0),
        ..CsvOptions::default()
    };
    assert_eq!(
        refusal_with("a,label\n16,0\n-17,0\n", options),
        "a.csv, line 3: column \"a\": -17 is larger than the declared maximum 16: raise --max or mend the value"
    );
    let error = import(b"a,label\n1,\xff\xfe\n", &CsvOptions::default())
        .err()
        .unwrap();
    assert!(
        error
            .to_string()
            .starts_with("a.csv, line 2: column \"label\": \"\u{fffd}\u{fffd}\" is not"),
        "{error}"
    );
}

#[test]
fn a_file_is_read_as_its_bytes_are_and_faults_name_its_path() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("digits.csv.gz");
    let (mut memory, options) = (Memory::default(), CsvOptions::default());
    fs::write(&path, DIGITS_CSV_GZ).unwrap();
    let from_file = import_csv(&path, &options, &mut memory, &mut |_| {}).unwrap();
    assert_eq!(from_file, import(DIGITS_CSV_GZ, &options).unwrap().0);
    fs::write(&path, &DIGITS_CSV_GZ[..DIGITS_CSV_GZ.len() / 2]).unwrap();
    let mut told = |path: &Path| {
        let error = import_csv(path, &options, &mut memory, &mut |_| {}).unwrap_err();
        error
            .to_string()
            .replace(&folder.path().display().to_string(), "DIR")
    };
    let message = told(&path);
    assert!(
        message.starts_with("DIR/digits.csv.gz is damaged or truncated gzip ("),
        "{message}"
    );
    assert_eq!(
        told(&folder.path().join("no.csv")),
        "DIR/no.csv does not exist: check the path"
    );
    assert_eq!(told(folder.path()), "DIR is a folder: give the file itself");
}

#[test]
fn the_compiled_in_digits_are_the_known_ones() {
    let options = CsvOptions {
        shape: Some("1x8x8".parse().unwrap()),
        maximum: Some(16.0),
        ..CsvOptions::default()
    };
    let mut memory = Memory::default();
    let mut seen = Vec::new();
    let mut progress = |progress: &Progress| seen.push(*progress);
    let manifest = import_csv_bytes(
        "digits",
        DIGITS_CSV_GZ,
        &options,
        &mut memory,
        &mut progress,
    )
    .unwrap();
    let split = manifest.split("train").unwrap();
    assert_eq!(
        (split.rows, manifest.shape.to_string()),
        (1797, "1x8x8".to_string())
    );
    assert_eq!(
        split.class_counts,
        [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    );
    assert!(
        (split.mean[0] - 4.884_164_579_855_314).abs() < 1e-12,
        "{}",
        split.mean[0]
    );
    assert!(
        (split.std[0] - 6.016_787_548_672_236).abs() < 1e-12,
        "{}",
        split.std[0]
    );
    let total = DIGITS_CSV_GZ.len() as u64;
    assert_eq!(
        seen.last(),
        Some(&Progress {
            done: total,
            total: Some(total),
            rows: 1797
        })
    );
}

proptest! {
    #[test]
    fn no_bytes_make_the_importer_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = import(&bytes, &CsvOptions::default());
    }

    #[test]
    fn no_text_makes_the_importer_panic(
        text in "([0-9.,\n\r\"e -]|label|nan|x){0,60}",
        label in prop::option::of("[0-9a-z]{0,2}"),
    ) {
        if let Ok((manifest, _)) = import(text.as_bytes(), &CsvOptions { label, ..CsvOptions::default() }) {
            let split = &manifest.splits[0];
            prop_assert!(split.rows > 0);
            prop_assert_eq!(split.class_counts.iter().sum::<u64>(), split.rows);
            prop_assert!(split.mean.iter().chain(&split.std).all(|value| value.is_finite()));
        }
    }
}
