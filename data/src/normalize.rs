//! What is done to each value before it enters the network: `(x - shift[c]) * scale[c]` in f32, by channel.

use spec::checkpoint::Preprocessing;
use spec::dataset::Element;

/// Writes a row's values, each from its bytes by the constants of its channel: `out` is `(C, …)`.
///
/// # Panics
/// If `bytes` and `out` are not of the same number of values, or those not a multiple of the channels.
pub fn apply(constants: &Preprocessing, element: Element, bytes: &[u8], out: &mut [f32]) {
    assert_eq!(
        bytes.len(),
        out.len() * element.bytes(),
        "a row has as many values as its place"
    );
    assert!(
        out.len().is_multiple_of(constants.shift.len()),
        "channels are of equal size"
    );
    let plane = (out.len() / constants.shift.len()).max(1);
    let channels = constants.shift.iter().zip(&constants.scale);
    let places = out
        .chunks_exact_mut(plane)
        .zip(bytes.chunks_exact(plane * element.bytes()));
    for ((&shift, &scale), (out, bytes)) in channels.zip(places) {
        match element {
            Element::U8 => {
                for (out, &byte) in out.iter_mut().zip(bytes) {
                    *out = (f32::from(byte) - shift) * scale;
                }
            }
            Element::F32 => {
                for (out, word) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *out = (f32::from_le_bytes(*word) - shift) * scale;
                }
            }
            Element::U16 => {
                for (out, word) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                    *out = (f32::from(u16::from_le_bytes(*word)) - shift) * scale;
                }
            }
            Element::U32 => {
                for (out, word) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *out = (u32::from_le_bytes(*word) as f32 - shift) * scale;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_has_its_own_constants() {
        let constants = Preprocessing {
            shift: vec![1.0, 10.0],
            scale: vec![2.0, 0.5],
        };
        let mut out = [0.0; 4];
        apply(&constants, Element::U8, &[1, 2, 10, 20], &mut out);
        assert_eq!(out, [0.0, 2.0, 0.0, 5.0]);
        let bytes: Vec<u8> = [1.5f32, 0.0, 10.0, -10.0]
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        apply(&constants, Element::F32, &bytes, &mut out);
        assert_eq!(out, [1.0, -2.0, 0.0, -10.0]);
    }
}
