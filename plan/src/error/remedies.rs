//! What would fit instead, in words.

use spec::Shape;

use crate::signal::Per;

pub(super) fn shortcut(input: &Shape, projected: Option<&Shape>) -> String {
    match projected {
        Some(projected) => format!("{projected}, which its projection gives"),
        None => format!("its input of {input}"),
    }
}

/// The projection that makes `output` of `input`, if there is a plain one.
pub(super) fn fitting(input: &Shape, output: &Shape, projected: Option<&Shape>) -> String {
    let stride = |from: usize, to: usize| {
        let stride = from.div_ceil(to);
        (from.div_ceil(stride) == to).then_some(stride)
    };
    let layer = match (input.extents(), output.extents()) {
        (&[_], &[units]) => Some(format!("{{ linear = {units} }}")),
        (&[_, height, width], &[filters, out_height, out_width]) => {
            let strides = (stride(height, out_height), stride(width, out_width));
            let stride = match strides {
                (Some(1), Some(1)) => Some(String::new()),
                (Some(high), Some(wide)) if high == wide => Some(format!(", stride = {high}")),
                (Some(high), Some(wide)) => Some(format!(", stride = [{high}, {wide}]")),
                _ => None,
            };
            stride.map(|stride| {
                format!("{{ conv2d = {{ filters = {filters}, kernel = 1{stride} }} }}")
            })
        }
        _ => None,
    };
    match layer {
        Some(layer) => format!("write projection = {layer}"),
        None => format!("make its layers give {}", projected.unwrap_or(input)),
    }
}

pub(super) fn tables(known: &[String]) -> String {
    match known {
        [] => ": put one first".into(),
        known => format!(": there is {}", known.join(", ")),
    }
}

pub(super) fn wanted(per: Per) -> &'static str {
    match per {
        Per::Step => "a target for every step: leave out what gives one value for all steps",
        Per::Sample => {
            "one target a sample: give one value for all steps, as by output = \"last\" of a recurrent layer or \"global_avg_pool\""
        }
    }
}

/// What a loss takes from the last layer.
pub(super) fn outputs(loss: &str) -> &'static str {
    match loss {
        "cross_entropy" | "bce_with_logits" => "logits per sample",
        _ => "values per sample, one for each class",
    }
}
