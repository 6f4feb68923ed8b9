//! Tensors of a fixture.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};

/// A file of tensors, all read as f64.
pub struct Tensors {
    bytes: Vec<u8>,
}

impl Tensors {
    pub fn open(path: &Path) -> Tensors {
        Tensors {
            bytes: std::fs::read(path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        }
    }

    pub fn find(&self, key: &str) -> Option<Vec<f64>> {
        let tensors = SafeTensors::deserialize(&self.bytes).expect("a safetensors file");
        let tensor = tensors.tensor(key).ok()?;
        let data = tensor.data();
        Some(match tensor.dtype() {
            Dtype::F32 => data
                .as_chunks::<4>()
                .0
                .iter()
                .map(|&bytes| f64::from(f32::from_le_bytes(bytes)))
                .collect(),
            Dtype::F64 => data
                .as_chunks::<8>()
                .0
                .iter()
                .map(|&bytes| f64::from_le_bytes(bytes))
                .collect(),
            Dtype::I64 => data
                .as_chunks::<8>()
                .0
                .iter()
                .map(|&bytes| i64::from_le_bytes(bytes) as f64)
                .collect(),
            other => panic!("{key} has type {other:?}"),
        })
    }

    pub fn get(&self, key: &str) -> Vec<f64> {
        self.find(key).unwrap_or_else(|| panic!("no tensor {key}"))
    }
}
