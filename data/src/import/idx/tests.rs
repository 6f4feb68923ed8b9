use std::fs;
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::chunk::Chunk;
use crate::memory::Memory;

fn images(rows: u32, height: u32, width: u32, values: &[u8]) -> Vec<u8> {
    let words = [IMAGES_MAGIC, rows, height, width].map(u32::to_be_bytes);
    [words.as_flattened(), values].concat()
}

fn labels(rows: u32, values: &[u8]) -> Vec<u8> {
    [
        [LABELS_MAGIC, rows].map(u32::to_be_bytes).as_flattened(),
        values,
    ]
    .concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A folder with files of these names and bytes.
fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn import(path: &Path) -> Result<DatasetManifest, Error> {
    import_idx(path, &mut Memory::default(), &mut |_| {})
}

/// Four rows of 2x3, and two for the test split.
fn good() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (
            "train-images-idx3-ubyte",
            images(4, 2, 3, &(0..24).collect::<Vec<_>>()),
        ),
        ("train-labels-idx1-ubyte", labels(4, &[0, 1, 2, 1])),
        ("t10k-images-idx3-ubyte", images(2, 2, 3, &[7; 12])),
        ("t10k-labels-idx1-ubyte", labels(2, &[2, 0])),
    ]
}

/// The message of importing the good files with one of them replaced, without the folder.
fn message(name: &str, bytes: Vec<u8>) -> String {
    let mut files = good();
    files.retain(|(other, _)| *other != name);
    files.push(("placeholder", Vec::new()));
    let folder = folder(&files);
    fs::write(folder.path().join(name), bytes).unwrap();
    told(import(folder.path()).unwrap_err(), &folder)
}

fn told(error: Error, folder: &TempDir) -> String {
    error
        .to_string()
        .replace(&format!("{}/", folder.path().display()), "")
        .replace(&folder.path().display().to_string(), "DIR")
}

#[test]
fn a_folder_becomes_train_and_test() {
    let folder = folder(&good());
    let mut memory = Memory::default();
    let mut seen = Vec::new();
    let manifest = import_idx(folder.path(), &mut memory, &mut |progress| {
        seen.push(*progress)
    })
    .unwrap();
    assert_eq!(manifest.shape.to_string(), "1x2x3");
    assert_eq!(
        (manifest.kind.as_str(), manifest.element, manifest.maximum),
        ("idx", Element::U8, 255.0)
    );
    assert_eq!(manifest.classes, ["0", "1", "2"]);
    let names: Vec<_> = manifest
        .splits
        .iter()
        .map(|split| (split.name.as_str(), split.rows))
        .collect();
    assert_eq!(names, [("test", 2), ("train", 4)]);
    let train = manifest.split("train").unwrap();
    assert_eq!(train.class_counts, [1, 2, 1]);
    assert_eq!(
        (train.mean.clone(), train.std.clone()),
        (vec![11.5], vec![(575.0f64 / 12.0).sqrt()])
    );
    assert_eq!(manifest.split("test").unwrap().class_counts, [1, 0, 1]);
    let chunk = Chunk::decode(memory.bytes(&train.chunks[0].digest)).unwrap();
    assert_eq!(chunk.row(3), [18, 19, 20, 21, 22, 23]);
    assert_eq!(
        memory.bytes(&train.labels.unwrap()),
        [0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0]
    );
    let last = seen.last().unwrap();
    assert_eq!((last.rows, Some(last.done)), (6, last.total));
}

#[test]
fn names_with_dots_compressed_files_and_other_files_beside_them_give_the_same_dataset() {
    let plain = import(folder(&good()).path()).unwrap();
    let mut files: Vec<_> = good().iter().map(|(_, bytes)| gzip(bytes)).collect();
    files[0] = gzip(&good()[0].1[..20])
        .into_iter()
        .chain(gzip(&good()[0].1[20..]))
        .collect();
    let names = [
        "train-images.idx3-ubyte.gz",
        "train-labels.idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    ];
    let mut files: Vec<_> = names.into_iter().zip(files).collect();
    files.extend([
        ("README.md", b"hello".to_vec()),
        ("t10k-images-idx3-ubyte", good()[2].1.clone()),
    ]);
    let dressed = import(folder(&files).path()).unwrap();
    assert_eq!(dressed.digest(), plain.digest());
}

#[test]
fn a_single_pair_is_the_training_split_whatever_its_name() {
    let files = [
        ("letters-images-idx3-ubyte", good().swap_remove(0).1),
        ("letters-labels-idx1-ubyte", labels(4, &[0, 1, 2, 1])),
    ];
    let folder = folder(&files);
    let by_folder = import(folder.path()).unwrap();
    let by_file = import(&folder.path().join("letters-images-idx3-ubyte")).unwrap();
    assert_eq!(by_folder, by_file);
    assert_eq!(
        by_folder
            .splits
            .iter()
            .map(|split| split.name.as_str())
            .collect::<Vec<_>>(),
        ["train"]
    );
}

#[test]
fn many_rows_make_many_chunks_of_a_bounded_size() {
    let values: Vec<u8> = (0..1000 * 784).map(|value| (value % 251) as u8).collect();
    let files = [
        ("train-images-idx3-ubyte", images(1000, 28, 28, &values)),
        ("train-labels-idx1-ubyte", labels(1000, &[3; 1000])),
    ];
    let folder = folder(&files);
    let mut memory = Memory::default();
    let manifest = import_idx(folder.path(), &mut memory, &mut |_| {}).unwrap();
    let split = manifest.split("train").unwrap();
    assert_eq!(
        split
            .chunks
            .iter()
            .map(|chunk| chunk.rows)
            .collect::<Vec<_>>(),
        [334, 334, 332]
    );
    let joined: Vec<u8> = split
        .chunks
        .iter()
        .flat_map(|chunk| {
            Chunk::decode(memory.bytes(&chunk.digest))
                .unwrap()
                .content()
                .to_vec()
        })
        .collect();
    assert_eq!(joined, values);
}

#[test]
fn a_folder_that_holds_no_dataset_is_refused() {
    let empty = folder(&[]);
    assert_eq!(
        told(import(empty.path()).unwrap_err(), &empty),
        "DIR holds no IDX images: expected train-images-idx3-ubyte and train-labels-idx1-ubyte, t10k-* likewise, each \
         with or without .gz"
    );
    assert_eq!(
        told(import(&empty.path().join("nothing")).unwrap_err(), &empty),
        "nothing does not exist: check the path"
    );
    let mut files = good();
    files.remove(1);
    let lonely = folder(&files);
    assert_eq!(
        told(import(lonely.path()).unwrap_err(), &lonely),
        "train-images-idx3-ubyte has no labels beside it: expected train-labels-idx1-ubyte, with or without .gz"
    );
    let strange = folder(&[("pictures.bin", vec![1])]);
    assert_eq!(
        told(
            import(&strange.path().join("pictures.bin")).unwrap_err(),
            &strange
        ),
        "pictures.bin is not named as IDX images are: expected a name such as train-images-idx3-ubyte.gz"
    );
    let mut files = good();
    files.push(("test-images-idx3-ubyte", images(2, 2, 3, &[7; 12])));
    let twice = folder(&files);
    assert_eq!(
        told(import(twice.path()).unwrap_err(), &twice),
        "t10k-images-idx3-ubyte and test-images-idx3-ubyte would both be split test: leave one of them in the folder"
    );
}

#[test]
fn what_is_wrong_with_a_file_is_said_in_one_sentence() {
    let train = "train-images-idx3-ubyte";
    let good_images = good().swap_remove(0).1;
    let cases = [
        (
            train,
            Vec::new(),
            "train-images-idx3-ubyte is empty: fetch it again or give another file",
        ),
        (
            train,
            labels(4, &[0; 4]),
            "train-images-idx3-ubyte begins with 00000801, but an IDX file of images begins with 00000803: give the \
             right file",
        ),
        (
            "train-labels-idx1-ubyte",
            good_images.clone(),
            "train-labels-idx1-ubyte begins with 00000803, but an IDX file of labels begins with 00000801: give the \
             right file",
        ),
        (
            train,
            good_images[..9].to_vec(),
            "train-images-idx3-ubyte ends inside its header: fetch it again",
        ),
        (
            train,
            good_images[..39].to_vec(),
            "train-images-idx3-ubyte is truncated: its header promises 4 rows, but it ends in row 3 (from 0): fetch it \
             again",
        ),
        (
            train,
            [good_images.clone(), vec![0]].concat(),
            "train-images-idx3-ubyte goes on after the 4 rows that its header promises: fetch it again",
        ),
        (
            "t10k-labels-idx1-ubyte",
            labels(2, &[2]),
            "t10k-labels-idx1-ubyte is truncated: its header promises 2 rows, but it ends in row 1 (from 0): fetch it \
             again",
        ),
        (
            "t10k-labels-idx1-ubyte",
            labels(2, &[2, 3]),
            "t10k-labels-idx1-ubyte has label 3 in row 1 (from 0), out of range: the training labels are 0 to 2",
        ),
        (
            "train-labels-idx1-ubyte",
            labels(4, &[0, 1, 200, 1]),
            "train-labels-idx1-ubyte: label 200 is out of range: it makes 201 classes, 198 of them without a row; mend \
             the labels",
        ),
        (
            "train-labels-idx1-ubyte",
            labels(3, &[0, 1, 2]),
            "train-images-idx3-ubyte holds 4 images, but train-labels-idx1-ubyte holds 3 labels: give a pair that \
             belongs together",
        ),
        (
            "t10k-images-idx3-ubyte",
            images(2, 3, 3, &[0; 18]),
            "t10k-images-idx3-ubyte holds images of 1x3x3, but those of train-images-idx3-ubyte are 1x2x3: import them \
             as two datasets",
        ),
        (
            train,
            images(4, 0, 3, &[]),
            "train-images-idx3-ubyte holds no values (4 rows of 0x3): give a file with at least one row",
        ),
    ];
    for (name, bytes, expected) in cases {
        assert_eq!(message(name, bytes), expected);
    }
}

#[test]
fn a_row_that_no_chunk_can_hold_is_refused_before_memory_is_taken_for_it() {
    let huge = folder(&[
        ("train-images-idx3-ubyte", images(4, 1 << 14, 1 << 14, &[])),
        ("train-labels-idx1-ubyte", labels(4, &[0; 4])),
    ]);
    assert_eq!(
        told(import(huge.path()).unwrap_err(), &huge),
        "a row of train-images-idx3-ubyte takes 268435456 bytes, more than the 67108864 that a row may take"
    );
}

#[test]
fn truncated_and_damaged_gzip_is_said_to_be_so() {
    let mut noise = 1u32;
    let values: Vec<u8> = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 24) as u8
    })
    .take(400 * 784)
    .collect();
    let whole = gzip(&images(400, 28, 28, &values));
    let refusal = |bytes: &[u8]| {
        let files = [
            ("train-images-idx3-ubyte.gz", bytes.to_vec()),
            ("train-labels-idx1-ubyte.gz", gzip(&labels(400, &[0; 400]))),
        ];
        let folder = folder(&files);
        told(import(folder.path()).unwrap_err(), &folder)
    };
    for length in [3, whole.len() / 2, whole.len() - 1] {
        let message = refusal(&whole[..length]);
        assert!(
            message.starts_with("train-images-idx3-ubyte.gz is damaged or truncated gzip ("),
            "{message}"
        );
        assert!(message.ends_with("): fetch it again"), "{message}");
    }
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0x10;
    let message = refusal(&flipped);
    assert!(
        message.starts_with("train-images-idx3-ubyte.gz is damaged or truncated gzip ("),
        "{message}"
    );
}

#[test]
fn a_sink_that_fails_ends_the_import() {
    struct Full;
    impl ChunkSink for Full {
        fn put(&mut self, _bytes: Vec<u8>) -> Result<spec::Digest, crate::sink::SinkError> {
            Err(crate::sink::SinkError::new("the disk is full"))
        }
    }
    let folder = folder(&good());
    let error = import_idx(folder.path(), &mut Full, &mut |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "cannot keep a chunk: the disk is full");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn no_bytes_make_the_importer_panic(
        mut image_bytes in prop::collection::vec(any::<u8>(), 0..60),
        mut label_bytes in prop::collection::vec(any::<u8>(), 0..30),
        begins_well in 0u8..4,
    ) {
        if begins_well & 1 == 1 {
            image_bytes.splice(..0, images(3, 1, 2, &[]));
        }
        if begins_well & 2 == 2 {
            label_bytes.splice(..0, labels(3, &[]));
        }
        let files = [("train-images-idx3-ubyte", image_bytes.clone()), ("train-labels-idx1-ubyte", label_bytes.clone())];
        let folder = folder(&files);
        if let Ok(manifest) = import(folder.path()) {
            prop_assert_eq!((image_bytes.len(), label_bytes.len()), (22, 11));
            prop_assert_eq!(manifest.splits[0].rows, 3);
        }
    }
}

#[test]
fn file_names_are_read_for_their_split() {
    let prefix = |name: &str| images_prefix(name).and_then(|prefix| split_of(&prefix));
    assert_eq!(
        prefix("emnist-letters-train-images-idx3-ubyte.gz"),
        Some("train")
    );
    assert_eq!(prefix("t10k-images.idx3-ubyte"), Some("test"));
    assert_eq!(prefix("test-images-idx3-ubyte"), Some("test"));
    assert_eq!(prefix("train-labels-idx1-ubyte"), None);
    assert_eq!(file_name(&PathBuf::from("a/b.gz")), "b.gz");
}
