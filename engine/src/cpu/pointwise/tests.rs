//! Activations and softmax on both devices, against PyTorch's numbers and against themselves at other places.

use std::path::Path;
use std::sync::Arc;

use plan::{Scale, Softmax, StageKind};
use safetensors::SafeTensors;
use spec::model::{Activation, Gelu};

use crate::backend::{Backend, View};
use crate::cpu::arena::Arena;
use crate::cpu::device::Cpu;
use crate::dimension::Dimension;
use crate::float::Float;
use crate::pool::Pool;
use crate::reference::device::Reference;

const ACTIVATIONS: [(&str, Activation); 10] = [
    ("gelu_erf", Activation::Gelu(Gelu::Erf)),
    ("gelu_tanh", Activation::Gelu(Gelu::Tanh)),
    ("silu", Activation::Silu),
    ("tanh", Activation::Tanh),
    ("sigmoid", Activation::Sigmoid),
    ("leaky_relu_0.01", Activation::LeakyRelu { slope: 0.01 }),
    ("elu_1.0", Activation::Elu { alpha: 1.0 }),
    ("softplus", Activation::Softplus),
    ("hardtanh", Activation::Hardtanh),
    ("logsigmoid", Activation::Logsigmoid),
];

fn file(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/activations");
    std::fs::read(folder.join(name)).expect("a fixture")
}

fn tensor(file: &[u8], key: &str) -> Vec<f64> {
    let tensors = SafeTensors::deserialize(file).expect("a safetensors file");
    let tensor = tensors.tensor(key).expect(key);
    let data = tensor.data();
    if tensor.dtype() == safetensors::Dtype::F64 {
        let words = data.as_chunks::<8>().0;
        words.iter().map(|&word| f64::from_le_bytes(word)).collect()
    } else {
        let words = data.as_chunks::<4>().0;
        words
            .iter()
            .map(|&word| f64::from(f32::from_le_bytes(word)))
            .collect()
    }
}

fn cpu(threads: usize) -> Box<dyn Backend> {
    let pool = Arc::new(Pool::new(threads).unwrap());
    Box::new(Cpu::new(Arena::new(1 << 20).unwrap(), pool))
}

fn plain<T: Float>() -> Box<dyn Backend> {
    Box::new(Reference::<T>::new(Arena::new(1 << 20).unwrap()))
}

/// Two operands of `count` numbers.
fn views<T>(count: usize) -> [View; 2] {
    let bytes = count * size_of::<T>();
    let next = bytes.next_multiple_of(64);
    [0, next].map(|offset| View { offset, bytes })
}

fn put<T: Float>(device: &mut dyn Backend, view: View, values: &[T]) {
    device
        .bytes_mut(view)
        .copy_from_slice(bytemuck::cast_slice(values));
}

fn get<T: Float>(device: &dyn Backend, view: View) -> Vec<T> {
    bytemuck::cast_slice(device.bytes(view)).to_vec()
}

/// What goes out of an activation, and its gradient for one of `upstream`.
fn activated<T: Float>(
    device: &mut dyn Backend,
    activation: &Activation,
    x: &[T],
    upstream: &[T],
) -> [Vec<T>; 2] {
    let [from, to] = views::<T>(x.len());
    put(device, from, x);
    device.activation_forward(activation, Some(from), to);
    let y: Vec<T> = get(device, to);
    put(device, to, x);
    device.activation_forward(activation, None, to);
    let in_place: Vec<T> = get(device, to);
    let words = |values: &[T]| values.iter().map(|value| value.word()).collect::<Vec<_>>();
    assert_eq!(words(&y), words(&in_place), "{activation:?} in place");
    let reads_input = StageKind::Activation(*activation).reads_input();
    put(device, from, if reads_input { x } else { &y });
    put(device, to, upstream);
    device.activation_backward(activation, from, to);
    [y, get(device, to)]
}

fn assert_close<T: Float>(what: &str, x: &[f64], got: &[T], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for ((&x, got), &expected) in x.iter().zip(got).zip(expected) {
        let far = (got.wide() - expected).abs();
        assert!(
            far <= tolerance * expected.abs().max(1.0),
            "{what} at {x}: {got:?}, not {expected}"
        );
    }
}

/// Functions over a dimension, and their gradients.
type Apply<T> = fn(&Dimension, &[T], &mut [T]);
type Derive<T> = fn(&Dimension, &[T], &[T], &mut [T]);

/// `pytorch`: what PyTorch's own f32 gives, to be compared with apart from f64.
fn agrees<T: Float>(device: &mut dyn Backend, tolerance: f64, pytorch: Option<&[u8]>) {
    let exact = file("activations_f64.safetensors");
    let wide = tensor(&exact, "x");
    let x: Vec<T> = wide.iter().map(|&x| T::of(x)).collect();
    let ones = vec![T::ONE; x.len()];
    for (name, activation) in ACTIVATIONS {
        let [y, gradient] = activated(device, &activation, &x, &ones);
        let key = format!("{name}.y");
        assert_close(&key, &wide, &y, &tensor(&exact, &key), tolerance);
        if let Some(pytorch) = pytorch {
            assert_close(&key, &wide, &y, &tensor(pytorch, &key), tolerance);
        }
        let key = format!("{name}.grad");
        let mut expected = tensor(&exact, &key);
        if activation == Activation::Hardtanh {
            // Its derivative jumps, and a point beside the jump may be rounded onto it.
            for (expected, x) in expected.iter_mut().zip(&x) {
                *expected = f64::from(u8::from(x.wide().abs() < 1.0));
            }
        }
        assert_close(&key, &wide, &gradient, &expected, tolerance);
    }
    let [x, upstream] = ["matrix.x", "matrix.upstream"].map(|key| tensor(&exact, key));
    let [narrow, up] = [&x, &upstream].map(|wide| wide.iter().map(|&x| T::of(x)).collect());
    let (narrow, up): (Vec<T>, Vec<T>) = (narrow, up);
    let [from, to] = views::<T>(x.len());
    for (name, scale) in [
        ("softmax", Scale::Linear),
        ("log_softmax", Scale::Logarithmic),
    ] {
        let softmax = Softmax { features: 9, scale };
        put(device, from, &narrow);
        device.softmax_forward(&softmax, Some(from), to);
        let y: Vec<T> = get(device, to);
        let key = format!("matrix.{name}.y");
        assert_close(&key, &x, &y, &tensor(&exact, &key), tolerance);
        put(device, from, &y);
        put(device, to, &up);
        device.softmax_backward(&softmax, from, to);
        let gradient: Vec<T> = get(device, to);
        let key = format!("matrix.{name}.grad");
        assert_close(&key, &x, &gradient, &tensor(&exact, &key), tolerance);
    }
    // Over either dimension, as functions of slices.
    for (name, dimension, apply, derive) in [
        (
            "softmax",
            1,
            Dimension::softmax::<T> as Apply<T>,
            Dimension::softmax_backward::<T> as Derive<T>,
        ),
        (
            "softmax_dim0",
            0,
            Dimension::softmax,
            Dimension::softmax_backward,
        ),
        (
            "log_softmax",
            1,
            Dimension::log_softmax,
            Dimension::log_softmax_backward,
        ),
    ] {
        let over = Dimension::of(&[6, 9], dimension).unwrap();
        let [mut y, mut gradient] = [(); 2].map(|()| vec![T::ZERO; narrow.len()]);
        apply(&over, &narrow, &mut y);
        derive(&over, &y, &up, &mut gradient);
        for (what, got) in [("y", y), ("grad", gradient)] {
            let key = format!("matrix.{name}.{what}");
            assert_close(&key, &x, &got, &tensor(&exact, &key), tolerance);
        }
    }
    let over = Dimension::of(&[6, 9], 1).unwrap();
    let mut y = vec![T::ZERO; 6];
    over.logsumexp(&narrow, &mut y);
    let key = "matrix.logsumexp.y";
    assert_close(key, &x[..6], &y, &tensor(&exact, key), tolerance);
    let first: Vec<T> = up.iter().step_by(9).copied().collect();
    let mut gradient = vec![T::ZERO; narrow.len()];
    over.logsumexp_backward(&narrow, [&y, &first], &mut gradient);
    let key = "matrix.logsumexp.grad";
    assert_close(key, &x, &gradient, &tensor(&exact, key), tolerance);
    // Nothing in the file is left out.
    let mut known = vec!["x".to_string(), "matrix.x".into(), "matrix.upstream".into()];
    known.extend(["relu.y".to_string(), "relu.grad".into()]);
    let matrix = ["softmax", "log_softmax", "softmax_dim0", "logsumexp"];
    let names = ACTIVATIONS.iter().map(|(name, _)| name.to_string());
    for name in names.chain(matrix.map(|name| format!("matrix.{name}"))) {
        known.extend([format!("{name}.y"), format!("{name}.grad")]);
    }
    let file = SafeTensors::deserialize(&exact).expect("a safetensors file");
    let mut names: Vec<String> = file.names().iter().map(|name| name.to_string()).collect();
    names.sort();
    known.sort();
    assert_eq!(names, known);
}

#[test]
fn activations_give_pytorchs_numbers() {
    agrees::<f64>(&mut *plain::<f64>(), 1e-14, None);
    let pytorch = file("activations_f32.safetensors");
    // A few roundings of f32.
    agrees::<f32>(&mut *plain::<f32>(), 1e-6, Some(&pytorch));
    agrees::<f32>(&mut *cpu(1), 1e-6, Some(&pytorch));
}

#[test]
fn a_values_bits_depend_neither_on_its_place_nor_on_threads() {
    let x: Vec<f32> = (0..40_003)
        .map(|index| (index as f32 - 20_000.0) * 7.3e-4)
        .collect();
    let upstream: Vec<f32> = x.iter().map(|x| 1.0 - 0.3 * x).collect();
    let (mut one, mut three) = (cpu(1), cpu(3));
    for (name, activation) in ACTIVATIONS {
        let whole = activated(&mut *one, &activation, &x, &upstream);
        assert!(
            whole == activated(&mut *three, &activation, &x, &upstream),
            "{name}"
        );
        for (first, count) in [(1, 1), (20_000, 3), (16_383, 17), (39_990, 13), (5, 70)] {
            let range = first..first + count;
            let part = activated(
                &mut *one,
                &activation,
                &x[range.clone()],
                &upstream[range.clone()],
            );
            assert_eq!(part[0], whole[0][range.clone()], "{name}");
            assert_eq!(part[1], whole[1][range.clone()], "{name}");
        }
    }
}

#[test]
fn nan_goes_through_and_far_values_overflow_nothing() {
    let x = [f32::NAN, -1e30, 1e30, -89.5, 89.5];
    let mut device = cpu(1);
    for (name, activation) in ACTIVATIONS {
        let [y, gradient] = activated(&mut *device, &activation, &x, &[1.0; 5]);
        assert!(y[0].is_nan(), "{name}");
        assert!(y[1..].iter().all(|y| y.is_finite()), "{name}: {y:?}");
        assert!(
            gradient[1..].iter().all(|slope| slope.is_finite()),
            "{name}: {gradient:?}"
        );
    }
}
