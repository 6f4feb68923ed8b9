//! A PyTorch-named safetensors file into the flat buffers of a plan: strict by name and shape, as `load_state_dict` is.

use std::collections::BTreeMap;

use plan::Plan;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::error::{Error, Mismatch};
use crate::state_dict::{Entry, Place, entries};

/// The values that a file holds for a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The flat parameters.
    pub parameters: Vec<f32>,
    /// The flat running statistics.
    pub running_statistics: Vec<f32>,
    /// The types other than f32 that values were converted from, as safetensors calls them, and how many tensors had each.
    pub converted: BTreeMap<String, usize>,
}

/// Reads a file's tensors into the places that `plan` has for them. Of two names that are tied a file may have either, or
/// both with equal values. What counts steps may be there or not, and says
/// nothing: a training that starts from the file starts at step 0.
///
/// # Errors
/// Bytes that are no safetensors file; tensors that are missing, too many, or of another shape or type, all at once; tied
/// tensors of different values; a value that is not finite.
pub fn import(bytes: &[u8], plan: &Plan) -> Result<Imported, Error> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| Error::NotSafetensors {
        reason: error.to_string(),
    })?;
    let mut given: BTreeMap<String, TensorView<'_>> = file.tensors().into_iter().collect();
    let mut imported = Imported {
        parameters: vec![0.0; plan.parameter_count],
        running_statistics: vec![0.0; plan.statistic_count],
        converted: BTreeMap::new(),
    };
    let mut mismatches = Vec::new();
    let mut found = Vec::new();
    let all = entries(plan);
    // Of two names for one tensor a file may have either.
    let others = |entry: &Entry, given: &BTreeMap<String, TensorView<'_>>| {
        let same = all.iter().filter(|other| other.place == entry.place);
        let mut others = same.filter(|other| other.name != entry.name);
        others.any(|other| given.contains_key(&other.name))
    };
    let missing: Vec<bool> = all.iter().map(|entry| !others(entry, &given)).collect();
    for (entry, missing) in all.iter().cloned().zip(missing) {
        let tensor = given.remove(&entry.name);
        match (&entry.place, tensor) {
            (Place::Steps, _) => {}
            (Place::Parameters(_) | Place::Statistics(_), None) if !missing => {}
            (Place::Parameters(_) | Place::Statistics(_), None) => {
                mismatches.push(Mismatch::Missing {
                    name: entry.name,
                    shape: entry.shape,
                });
            }
            (Place::Parameters(_) | Place::Statistics(_), Some(tensor)) => {
                match fault(&entry, &tensor) {
                    Some(mismatch) => mismatches.push(mismatch),
                    None => found.push((entry, tensor)),
                }
            }
        }
    }
    mismatches.extend(given.into_iter().map(|(name, tensor)| Mismatch::Unknown {
        name,
        shape: tensor.shape().to_vec(),
    }));
    if !mismatches.is_empty() {
        return Err(Error::Mismatches { mismatches });
    }
    let mut filled: Vec<Entry> = Vec::new();
    for (entry, tensor) in found {
        let into = match &entry.place {
            Place::Parameters(words) => &mut imported.parameters[words.clone()],
            Place::Statistics(words) => &mut imported.running_statistics[words.clone()],
            Place::Steps => continue,
        };
        // What the first of two names for one tensor gave. Values are compared, not bytes: the types may differ.
        let same = filled.iter().find(|other| other.place == entry.place);
        let before = same.map(|other| (other.name.clone(), into.to_vec()));
        fill(into, &tensor);
        if let Some(index) = into.iter().position(|value| !value.is_finite()) {
            return Err(Error::NotFinite {
                name: entry.name,
                index,
            });
        }
        if let Some((first, before)) = before
            && before != into
        {
            mismatches.push(Mismatch::Tied {
                name: entry.name.clone(),
                first,
            });
        }
        if tensor.dtype() != Dtype::F32 {
            let dtype = tensor.dtype().to_string();
            *imported.converted.entry(dtype).or_default() += 1;
        }
        filled.push(entry);
    }
    if !mismatches.is_empty() {
        return Err(Error::Mismatches { mismatches });
    }
    Ok(imported)
}

/// Why a tensor is not the one that the model needs.
fn fault(entry: &Entry, tensor: &TensorView<'_>) -> Option<Mismatch> {
    let name = entry.name.clone();
    if tensor.shape() != entry.shape {
        return Some(Mismatch::Shape {
            name,
            expected: entry.shape.clone(),
            got: tensor.shape().to_vec(),
        });
    }
    let is_float = matches!(
        tensor.dtype(),
        Dtype::F32 | Dtype::F64 | Dtype::F16 | Dtype::BF16
    );
    (!is_float).then(|| Mismatch::Type {
        name,
        dtype: tensor.dtype().to_string(),
    })
}

/// The values of a tensor of floating-point numbers, as f32: nearest from f64, exactly from the shorter ones.
fn fill(into: &mut [f32], tensor: &TensorView<'_>) {
    let data = tensor.data();
    let halves = || {
        data.as_chunks::<2>()
            .0
            .iter()
            .map(|&b| u16::from_le_bytes(b))
    };
    match tensor.dtype() {
        Dtype::F64 => {
            let values = data.as_chunks::<8>().0.iter();
            set(into, values.map(|&bytes| f64::from_le_bytes(bytes) as f32));
        }
        Dtype::F16 => set(into, halves().map(from_f16)),
        Dtype::BF16 => set(
            into,
            halves().map(|bits| f32::from_bits(u32::from(bits) << 16)),
        ),
        _ => {
            let values = data.as_chunks::<4>().0.iter();
            set(into, values.map(|&bytes| f32::from_le_bytes(bytes)));
        }
    }
}

fn set(into: &mut [f32], values: impl Iterator<Item = f32>) {
    for (word, value) in into.iter_mut().zip(values) {
        *word = value;
    }
}

/// IEEE 754 binary16: a sign, 5 bits of exponent biased by 15, 10 bits of fraction.
fn from_f16(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f32::from(bits & 0x3ff);
    let power = |exponent: i32| f32::from_bits(((exponent + 127) as u32) << 23);
    sign * match exponent {
        0 => fraction * power(-24),
        0x1f if fraction == 0.0 => f32::INFINITY,
        0x1f => f32::NAN,
        _ => (1024.0 + fraction) * power(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_read_exactly() {
        let cases = [
            (0x0000, 0.0),
            (0x8000, -0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x0400, 6.103_515_6e-5),
        ];
        for (bits, value) in cases {
            let read: f32 = from_f16(bits);
            assert_eq!(read.to_bits(), f32::to_bits(value), "{bits:#06x}");
        }
        assert_eq!(from_f16(0xfc00), f32::NEG_INFINITY);
        assert!(from_f16(0x7c01).is_nan());
    }
}
