//! Data that cannot be imported.

use super::sentence;
use crate::yard::Yard;

const IMAGES: &str = "train-images-idx3-ubyte";
const LABELS: &str = "train-labels-idx1-ubyte";
const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";

/// An IDX file of images, each of `height` x 4.
fn images(rows: u32, height: u32) -> Vec<u8> {
    let pixels = (0..rows * height * 4).map(|index| (index * 7 % 256) as u8);
    let header = [0x803, rows, height, 4].map(u32::to_be_bytes).concat();
    header.into_iter().chain(pixels).collect()
}

/// An IDX file of labels.
fn labels(labels: &[u8]) -> Vec<u8> {
    let header = [0x801, labels.len() as u32].map(u32::to_be_bytes).concat();
    [&header[..], labels].concat()
}

#[test]
fn idx_files_that_cannot_be_what_they_say_are_refused() {
    let (good_images, good_labels) = (images(6, 4), labels(&[0, 1, 2, 0, 1, 2]));
    let cut = |bytes: &[u8], length: usize| bytes[..length].to_vec();
    let train =
        |images: &[u8], labels: &[u8]| vec![(IMAGES, images.to_vec()), (LABELS, labels.to_vec())];
    let with_test = |images: Vec<u8>, labels: &[u8]| {
        let test = [(TEST_IMAGES, images), (TEST_LABELS, labels.to_vec())];
        [&train(&good_images, &good_labels)[..], &test].concat()
    };
    let cases = [
        (
            train(&cut(&good_images, 16 + 90), &good_labels),
            "x/train-images-idx3-ubyte is truncated: its header promises 6 rows, but it ends in row 5 (from 0): fetch it again",
        ),
        (
            train(&cut(&good_images, 9), &good_labels),
            "x/train-images-idx3-ubyte ends inside its header: fetch it again",
        ),
        (
            train(&good_labels, &good_labels),
            "x/train-images-idx3-ubyte begins with 00000801, but an IDX file of images begins with 00000803: give the right file",
        ),
        (
            train(&good_images, &good_images),
            "x/train-labels-idx1-ubyte begins with 00000803, but an IDX file of labels begins with 00000801: give the right file",
        ),
        (
            train(&[&good_images[..], b"x"].concat(), &good_labels),
            "x/train-images-idx3-ubyte goes on after the 6 rows that its header promises: fetch it again",
        ),
        (
            train(&good_images, &labels(&[0, 1, 2, 0, 1])),
            "x/train-images-idx3-ubyte holds 6 images, but x/train-labels-idx1-ubyte holds 5 labels: give a pair that belongs \
             together",
        ),
        (
            with_test(images(3, 4), &labels(&[0, 1, 7])),
            "x/t10k-labels-idx1-ubyte has label 7 in row 2 (from 0), out of range: the training labels are 0 to 2",
        ),
        (
            train(&good_images, &labels(&[0, 1, 200, 0, 1, 200])),
            "x/train-labels-idx1-ubyte: label 200 is out of range: it makes 201 classes, 198 of them without a row; mend the \
             labels",
        ),
        (
            with_test(images(3, 5), &labels(&[0, 1, 2])),
            "x/t10k-images-idx3-ubyte holds images of 1x5x4, but those of x/train-images-idx3-ubyte are 1x4x4: import them as \
             two datasets",
        ),
        (
            vec![(IMAGES, good_images.clone())],
            "x/train-images-idx3-ubyte has no labels beside it: expected train-labels-idx1-ubyte, with or without .gz",
        ),
        (
            train(b"", &good_labels),
            "x/train-images-idx3-ubyte is empty: fetch it again or give another file",
        ),
        (
            train(&images(0, 4), &labels(&[])),
            "x/train-images-idx3-ubyte holds no values (0 rows of 4x4): give a file with at least one row",
        ),
        (
            vec![("readme", Vec::new())],
            "x holds no IDX images: expected train-images-idx3-ubyte and train-labels-idx1-ubyte, t10k-* likewise, each with \
             or without .gz",
        ),
    ];
    let yard = Yard::new(&[]);
    for (files, expected) in cases {
        for (name, bytes) in &files {
            yard.file(&format!("x/{name}"), bytes);
        }
        let said = sentence(yard.run(&["data", "import", "x", "x", "--kind", "idx"]), 2);
        assert_eq!(said, expected);
        std::fs::remove_dir_all(yard.folder().join("x")).expect("it was written");
    }
    assert!(yard.list(&["data", "list"]).is_empty(), "nothing half done");
}

#[test]
fn csv_files_that_are_no_rows_with_labels_are_refused() {
    let cases: [(&str, &[&str], &str); 15] = [
        (
            "a,b,label\n1,2,0\n1,2\n",
            &[],
            "x.csv, line 3: has 2 fields, but the first line has 3: every line needs the same number",
        ),
        (
            "a,b,label\n1,two,0\n",
            &[],
            "x.csv, line 2: column \"b\": \"two\" is not a number: features must be numeric, the label's column is set with \
             --label",
        ),
        (
            "a,b,label\n1,nan,0\n",
            &[],
            "x.csv, line 2: column \"b\": \"nan\" is not a finite 32-bit number: replace it or leave the row out",
        ),
        (
            "a,b,label\n1,2,0\n1,17,0\n",
            &["--max", "16"],
            "x.csv, line 3: column \"b\": 17 is larger than the declared maximum 16: raise --max or mend the value",
        ),
        (
            "a,b,label\n1,2,0\n",
            &["--max", "0"],
            "--max 0 cannot be a largest value: give a number above 0",
        ),
        (
            "a,b,label\n1,2,0\n1,2,1\n",
            &["--shape", "1x2x2"],
            "shape 1x2x2 has 4 values, but a row of x.csv has 2: give a --shape with as many",
        ),
        (
            "a,b,label\n1,2,0\n",
            &["--label", "class"],
            "x.csv has no column \"class\": it has a, b, label",
        ),
        (
            "a,b,label\n1,2,-1\n",
            &[],
            "x.csv, line 2: column \"label\": label -1 is out of range: a numeric label must be a whole number from 0 to \
             65535, another column is chosen with --label",
        ),
        (
            "a,b,label\n1,2,0\n1,2,cat\n",
            &[],
            "x.csv, line 3: column \"label\": label \"cat\" does not fit \"0\" of line 2: labels are all numbers or all text",
        ),
        (
            "a,b,label\n1,2,\n",
            &[],
            "x.csv, line 2: column \"label\": the label is empty: every row needs one",
        ),
        (
            "a,b,label\n1,\"2,0\n",
            &[],
            "x.csv, line 2: a quoted field goes over the end of the line: close the quote",
        ),
        (
            "",
            &[],
            "x.csv is empty: fetch it again or give another file",
        ),
        (
            "a,b,label\n",
            &[],
            "x.csv has a header but no rows: give a file with at least one row",
        ),
        (
            "label\n1\n",
            &[],
            "x.csv has only one column: expected features and a label, separated by commas",
        ),
        (
            "a,b,label\n1,2,0\n",
            &["--kind", "idx"],
            "x.csv is not named as IDX images are: expected a name such as train-images-idx3-ubyte.gz",
        ),
    ];
    let yard = Yard::new(&[]);
    for (content, flags, expected) in cases {
        yard.file("x.csv", content);
        let import = [&["data", "import", "x", "x.csv"], flags].concat();
        assert_eq!(sentence(yard.run(&import), 2), expected);
    }
    assert!(yard.list(&["data", "list"]).is_empty(), "nothing half done");
}

#[test]
fn a_source_that_is_absent_cut_short_or_of_another_kind_is_refused() {
    let yard = Yard::new(&[]);
    let digits = std::fs::read(crate::yard::repository("data/digits/digits.csv.gz"));
    let digits = digits.expect("the digits are there");
    yard.file("cut.csv.gz", &digits[..digits.len() / 2]);
    yard.file("folder/file", "");
    let cases: [(&[&str], &str); 4] = [
        (&["absent.csv"], "absent.csv does not exist: check the path"),
        (
            &["cut.csv.gz"],
            "cut.csv.gz is damaged or truncated gzip (incomplete deflate stream): fetch it again",
        ),
        (
            &["folder", "--kind", "csv"],
            "folder is a folder: give the file itself",
        ),
        (
            &["folder", "--shape", "1x2x2"],
            "--shape does not go with --kind idx: the files say it themselves",
        ),
    ];
    for (source, expected) in cases {
        let import = [&["data", "import", "x"], source].concat();
        assert_eq!(sentence(yard.run(&import), 2), expected);
    }
    assert!(yard.list(&["data", "list"]).is_empty(), "nothing half done");
}
