//! What can go wrong between the formats.

/// What can go wrong between the formats.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Bytes that are no safetensors file.
    #[error("it is no whole safetensors file ({reason}): fetch or save it again")]
    NotSafetensors {
        /// What the reader said.
        reason: String,
    },
    /// A state dict of another network: every difference.
    #[error(
        "it does not hold the job's model: {}; compare the layers and their names in the job file with the names in the file",
        list(.mismatches)
    )]
    Mismatches {
        /// All differences, by name.
        mismatches: Vec<Mismatch>,
    },
    /// A value that no training goes on from.
    #[error(
        "tensor {name} has a value at {index} (from 0) that is no finite 32-bit number: mend it, or save the model at an earlier step"
    )]
    NotFinite {
        /// The tensor.
        name: String,
        /// The place in its values, in order.
        index: usize,
    },
    /// A model larger than an ONNX file can be.
    #[error(
        "the model takes {bytes} bytes, and an ONNX file holds at most 2 GiB: export it with --format safetensors"
    )]
    TooLargeForOnnx {
        /// What it takes.
        bytes: u64,
    },
}

/// One way in which a file's tensors are not those of a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// A tensor that the model needs and the file lacks.
    #[error("tensor {name} of shape {shape:?} is missing")]
    Missing {
        /// Its name.
        name: String,
        /// Its extents in the model.
        shape: Vec<usize>,
    },
    /// A tensor of another shape.
    #[error("tensor {name} has shape {got:?} and should have {expected:?}")]
    Shape {
        /// Its name.
        name: String,
        /// Its extents in the model.
        expected: Vec<usize>,
        /// Its extents in the file.
        got: Vec<usize>,
    },
    /// A tensor of numbers that no weights are made of.
    #[error("tensor {name} has values of type {dtype} and should have F32, F64, F16 or BF16")]
    Type {
        /// Its name.
        name: String,
        /// What its values are, as safetensors calls it.
        dtype: String,
    },
    /// One of two names for one tensor, with other values than under the other name.
    #[error(
        "tensor {name} has other values than {first}, to which the job ties it (take `tied` out of the job file to have both)"
    )]
    Tied {
        /// Its name.
        name: String,
        /// The name that was read first.
        first: String,
    },
    /// A tensor that the model has no place for.
    #[error("tensor {name} of shape {shape:?} is not of this model")]
    Unknown {
        /// Its name.
        name: String,
        /// Its extents in the file.
        shape: Vec<usize>,
    },
}

fn list(mismatches: &[Mismatch]) -> String {
    let texts: Vec<String> = mismatches.iter().map(Mismatch::to_string).collect();
    texts.join(", ")
}
