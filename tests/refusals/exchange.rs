//! Exports that cannot be written, files that are not the model, and checkpoints that are needed.

use std::fs;

use super::{mistakes, sentence};
use crate::exchange::{fixture, import_samples};
use crate::main_road::{DIGITS_CNN, job};
use crate::yard::{Yard, flip, newest_pack};

#[test]
fn an_export_that_cannot_be_written_is_refused_and_leaves_nothing() {
    let yard = Yard::with_digits(&[1]);
    // All that is kept is parameters, and more of them than fit into a record.
    let layers = "\"flatten\", { linear = 64 }, { linear = \"classes\" }";
    let training = "steps = 1\noptimizer = \"sgd\"";
    let file = yard.file("short.toml", job(layers, "", training));
    let id = yard.submit(&file, &[]);
    yard.succeeded(&id);
    let folder = yard.folder().join("folder");
    fs::create_dir(&folder).expect("a folder");
    let folder = folder.display().to_string();
    let cases: [(&[&str], String); 5] = [
        (
            &[&id, "-o", "model.bin"],
            "model.bin ends with neither .safetensors nor .onnx: say what to write with --format".into(),
        ),
        (
            &[&id, "-o", "model.safetensors", "--preprocessed"],
            "--preprocessed does not go with --format safetensors: a state dict holds no preprocessing".into(),
        ),
        (
            &[&id, "-o", &folder, "--format", "onnx"],
            format!("cannot write {folder}: it is there and is no file"),
        ),
        (
            &[&id, "-o", "no/folder/model.onnx"],
            "cannot write no/folder/model.onnx: No such file or directory (os error 2)".into(),
        ),
        (
            &["nothing", "-o", "model.onnx"],
            "no checkpoint \"nothing\": give a job, job@step, job@best or at least 8 hex digits, `trainyard checkpoint list` shows them".into(),
        ),
    ];
    let listed = || fs::read_dir(yard.folder()).expect("a folder").count();
    let before = listed();
    for (arguments, expected) in cases {
        let command = [&["checkpoint", "export"], arguments].concat();
        assert_eq!(sentence(yard.run(&command), 2), expected);
    }
    // A damaged chunk is told, and no file made of it.
    let (pack, length) = newest_pack(&yard.data_dir());
    flip(&pack, length - 5);
    let command = ["checkpoint", "export", &id, "-o", "model.onnx"];
    let said = sentence(yard.run(&command), 1);
    assert!(
        said.starts_with("chunk ") && said.contains("is damaged"),
        "{said}"
    );
    assert_eq!(listed(), before);
}

#[test]
fn a_file_that_is_not_the_model_is_refused_and_nothing_is_kept() {
    let yard = Yard::new(&[]);
    import_samples(&yard);
    let (job, weights) = (fixture("cnn.toml"), fixture("cnn.safetensors"));
    let refused = |file: &str| {
        let command = ["checkpoint", "import", file, "--job", &job];
        sentence(yard.run(&command), 2)
    };
    let whole = fs::read(&weights).expect("a fixture");
    let header = u64::from_le_bytes(*whole.first_chunk().expect("a length")) as usize;
    let with_header = |header: &str| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes
    };
    let damaged = [
        whole[..whole.len() - 1].to_vec(),
        whole[..header].to_vec(),
        whole[..5].to_vec(),
        b"PK\x03\x04 a pickle of PyTorch in a zip file".to_vec(),
        with_header("{\"a\":[}"),
        with_header(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,800]}}"#),
        with_header(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#),
    ];
    for bytes in damaged {
        let said = refused(&yard.file("damaged.safetensors", bytes));
        let expected = "damaged.safetensors: it is no whole safetensors file (";
        assert!(said.contains(expected), "{said}");
    }
    let said = refused(&fixture("shares.safetensors"));
    let all = [
        "it does not hold the job's model: tensor conv1.weight of shape [4, 2, 3, 3] is missing, ",
        "tensor head.bias of shape [5] is missing, ",
        "tensor 0.bias of shape [3] is not of this model, tensor 0.weight of shape [3, 4] is not of this model; ",
    ];
    for part in all {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    let mut poisoned = whole.clone();
    let end = poisoned.len();
    // The tensors are in the order of their names: the last is a running variance or a weight.
    poisoned[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    let said = refused(&yard.file("poisoned.safetensors", poisoned));
    assert!(said.contains("that is no finite 32-bit number"), "{said}");
    assert_eq!(
        refused("nothing.safetensors"),
        "cannot read nothing.safetensors: No such file or directory (os error 2)"
    );

    let command = [
        "checkpoint",
        "import",
        &weights,
        "--job",
        &job,
        "--set",
        "data.train=absent/train",
    ];
    let said = mistakes(yard.run(&command));
    assert_eq!(
        said,
        [format!("{job}: no dataset \"absent\": there are samples")]
    );
    assert!(yard.list(&["checkpoint", "list"]).is_empty());
}

#[test]
fn a_checkpoint_that_its_job_may_go_on_from_is_not_deleted() {
    let yard = Yard::with_digits(&[1]);
    let training = "epochs = 1000\n[checkpoint]\nevery_steps = 5";
    let file = yard.file("long.toml", job(DIGITS_CNN, "", training));
    let id = yard.submit(&file, &[]);
    yard.until_checkpoint(&id);
    let step = yard.list(&["checkpoint", "list", &id])[0]["step"].clone();
    let said = sentence(yard.run(&["checkpoint", "delete", &id]), 2);
    let expected = format!("{id} has not ended and may go on from its checkpoint of step ");
    assert!(said.starts_with(&expected), "{said}");
    assert!(step.as_u64() >= Some(5));
    yard.json(&["job", "cancel", &id]);
    yard.until_job(&id, "is cancelled", |now| now["state"] == "cancelled");
    yard.json(&["checkpoint", "delete", &id]);
}
