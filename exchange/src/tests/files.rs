//! Files that are damaged, of another network, or of other numbers.

use std::collections::BTreeMap;

use ::safetensors::tensor::TensorView;
use ::safetensors::{Dtype, SafeTensors, serialize};
use proptest::prelude::*;

use super::{Case, fixture};
use crate::import;

/// Tensors of a file, to be changed and written again.
struct Tensors(BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>);

impl Tensors {
    fn of(case: &str) -> Tensors {
        let bytes = fixture(&format!("{case}.safetensors"));
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let tensors = file.tensors().into_iter();
        let owned = |tensor: TensorView<'_>| {
            (
                tensor.dtype(),
                tensor.shape().to_vec(),
                tensor.data().to_vec(),
            )
        };
        Tensors(
            tensors
                .map(|(name, tensor)| (name, owned(tensor)))
                .collect(),
        )
    }

    /// The values of a tensor, changed one by one into bytes of another type.
    fn convert(&mut self, name: &str, dtype: Dtype, convert: impl Fn(f32) -> Vec<u8>) {
        let tensor = self.0.get_mut(name).unwrap();
        let words = tensor.2.as_chunks::<4>().0.iter();
        tensor.2 = words
            .flat_map(|&word| convert(f32::from_le_bytes(word)))
            .collect();
        tensor.0 = dtype;
    }

    fn bytes(&self) -> Vec<u8> {
        let views = self.0.iter().map(|(name, (dtype, shape, data))| {
            (name, TensorView::new(*dtype, shape.clone(), data).unwrap())
        });
        serialize(views, None).unwrap()
    }
}

#[test]
fn every_difference_is_told_at_once() {
    let case = Case::named("cnn");
    let mut tensors = Tensors::of("cnn");
    let weight = tensors.0.remove("conv1.weight").unwrap();
    tensors.0.insert("conv2.weight".to_string(), weight);
    tensors.0.get_mut("4.bias").unwrap().1 = vec![1, 6];
    tensors.0.get_mut("8.running_mean").unwrap().0 = Dtype::I32;
    let said = import(&tensors.bytes(), &case.plan)
        .unwrap_err()
        .to_string();
    let expected = "it does not hold the job's model: tensor conv1.weight of shape [4, 2, 3, 3] is missing, \
                    tensor 4.bias has shape [1, 6] and should have [6], \
                    tensor 8.running_mean has values of type I32 and should have F32, F64, F16 or BF16, \
                    tensor conv2.weight of shape [4, 2, 3, 3] is not of this model; \
                    compare the layers and their names in the job file with the names in the file";
    assert_eq!(said, expected);
}

#[test]
fn what_counts_steps_may_be_left_out() {
    let case = Case::named("cnn");
    let mut tensors = Tensors::of("cnn");
    tensors
        .0
        .retain(|name, _| !name.ends_with("num_batches_tracked"));
    assert_eq!(import(&tensors.bytes(), &case.plan).unwrap(), case.weights);
}

#[test]
fn other_floating_point_numbers_are_converted() {
    let case = Case::named("cnn");
    let mut tensors = Tensors::of("cnn");
    let double = |value: f32| (f64::from(value) + 1e-12).to_le_bytes().to_vec();
    tensors.convert("head.weight", Dtype::F64, double);
    let brain = |value: f32| ((value.to_bits() >> 16) as u16).to_le_bytes().to_vec();
    tensors.convert("head.bias", Dtype::BF16, brain);
    // Halves, quarters and so on need few digits: 1.5 is 0x3e00.
    tensors.convert("bn1.weight", Dtype::F16, |_| {
        0x3e00u16.to_le_bytes().to_vec()
    });
    let imported = import(&tensors.bytes(), &case.plan).unwrap();
    let kinds: Vec<(&str, usize)> = imported
        .converted
        .iter()
        .map(|(kind, &count)| (kind.as_str(), count))
        .collect();
    assert_eq!(kinds, [("BF16", 1), ("F16", 1), ("F64", 1)]);
    let words = |name: &str| {
        let parameter = case
            .plan
            .parameters
            .iter()
            .find(|parameter| parameter.name == name);
        parameter.unwrap().words()
    };
    let (given, got) = (&case.weights.parameters, &imported.parameters);
    assert_eq!(got[words("head.weight")], given[words("head.weight")]);
    assert_eq!(got[words("bn1.weight")], [1.5; 4]);
    for (got, given) in got[words("head.bias")]
        .iter()
        .zip(&given[words("head.bias")])
    {
        assert_eq!(got.to_bits(), given.to_bits() & 0xffff_0000);
    }
}

#[test]
fn of_two_tied_names_a_file_may_have_either_or_both_with_equal_values() {
    let case = Case::named("tied");
    let names = ["table.weight", "2.weight"];
    let both = Tensors::of("tied");
    assert!(names.iter().all(|name| both.0.contains_key(*name)));
    assert_eq!(import(&both.bytes(), &case.plan).unwrap(), case.weights);
    for name in names {
        let mut one = Tensors::of("tied");
        one.0.remove(name);
        let imported = import(&one.bytes(), &case.plan);
        assert_eq!(imported.unwrap(), case.weights, "without {name}");

        // The same values in a longer type are the same values.
        let mut longer = Tensors::of("tied");
        longer.convert(name, Dtype::F64, |value| {
            f64::from(value).to_le_bytes().to_vec()
        });
        let imported = import(&longer.bytes(), &case.plan).unwrap();
        assert_eq!(imported.parameters, case.weights.parameters, "{name}");

        let mut other = Tensors::of("tied");
        other.0.get_mut(name).unwrap().2[0] ^= 1;
        let said = import(&other.bytes(), &case.plan).unwrap_err().to_string();
        let expected = "it does not hold the job's model: tensor 2.weight has other values than table.weight, to which the \
                        job ties it (take `tied` out of the job file to have both); compare the layers and their names in \
                        the job file with the names in the file";
        assert_eq!(said, expected, "{name}");
    }
    let mut neither = Tensors::of("tied");
    neither.0.retain(|name, _| !names.contains(&name.as_str()));
    let said = import(&neither.bytes(), &case.plan)
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("tensor table.weight of shape [9, 6] is missing"),
        "{said}"
    );
}

#[test]
fn a_value_that_is_not_finite_is_named() {
    let case = Case::named("cnn");
    let mut tensors = Tensors::of("cnn");
    tensors.convert("head.bias", Dtype::F64, |value| {
        f64::from(value).to_le_bytes().to_vec()
    });
    let data = &mut tensors.0.get_mut("head.bias").unwrap().2;
    // Finite, and larger than any f32.
    data[16..24].copy_from_slice(&1e300f64.to_le_bytes());
    let said = import(&tensors.bytes(), &case.plan)
        .unwrap_err()
        .to_string();
    assert!(
        said.starts_with("tensor head.bias has a value at 2 (from 0) that is no finite"),
        "{said}"
    );
}

#[test]
fn a_damaged_file_is_refused() {
    let case = Case::named("shares");
    let whole = fixture("shares.safetensors");
    assert!(import(&whole, &case.plan).is_ok());
    for length in 0..whole.len() {
        let said = import(&whole[..length], &case.plan)
            .unwrap_err()
            .to_string();
        assert!(
            said.starts_with("it is no whole safetensors file ("),
            "{length}: {said}"
        );
    }
    let header = String::from_utf8(whole[8..].to_vec())
        .unwrap_or_else(|error| String::from_utf8_lossy(&error.into_bytes()).into_owned());
    let offsets = header.find("data_offsets").unwrap() + 8;
    let mut moved = whole.clone();
    let digit = moved[offsets..]
        .iter()
        .position(u8::is_ascii_digit)
        .unwrap();
    moved[offsets + digit] = b'9';
    let said = import(&moved, &case.plan).unwrap_err().to_string();
    assert!(
        said.starts_with("it is no whole safetensors file ("),
        "{said}"
    );
}

proptest! {
    #[test]
    fn no_bytes_bring_the_reader_down(at in 0usize..400, bytes in proptest::collection::vec(any::<u8>(), 1..8)) {
        let case = Case::named("shares");
        let mut file = fixture("shares.safetensors");
        let at = at.min(file.len() - bytes.len());
        file[at..at + bytes.len()].copy_from_slice(&bytes);
        // Whether it is refused depends on what was hit.
        if let Ok(imported) = import(&file, &case.plan) {
            prop_assert!(imported.parameters.iter().all(|value| value.is_finite()));
        }
    }
}
