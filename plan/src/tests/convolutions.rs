//! Convolutions with dilation and groups: what goes out, their parameters, what they cost, and what is refused.

use super::*;

/// Windows of 3 by 3 with a padding of 1.
fn wide(filters: u32, groups: u32, dilation: u32, stride: u32) -> LayerKind {
    let LayerKind::Conv2d(plain) = conv(filters, 3, stride, 1) else {
        unreachable!("conv gives a convolution")
    };
    LayerKind::Conv2d(model::Conv2d {
        dilation: Pair::both(dilation),
        groups,
        ..plain
    })
}

fn of(kind: LayerKind) -> Result<Plan, Error> {
    planned("6x10x9", vec![kind, LayerKind::Flatten, classes()], |_| {})
}

#[test]
fn dilation_and_groups_give_pytorchs_extents_and_parameters() {
    // (filters, groups, dilation, stride), the output and the weight of PyTorch's Conv2d on 6x10x9.
    for ((filters, groups, dilation, stride), output, weight) in [
        ((4, 1, 1, 1), "4x10x9", [4, 6, 3, 3]),
        ((4, 1, 2, 1), "4x8x7", [4, 6, 3, 3]),
        ((4, 1, 3, 2), "4x3x3", [4, 6, 3, 3]),
        ((4, 2, 1, 1), "4x10x9", [4, 3, 3, 3]),
        ((6, 6, 1, 2), "6x5x5", [6, 1, 3, 3]),
        ((12, 6, 5, 1), "12x2x1", [12, 1, 3, 3]),
    ] {
        let plan = of(wide(filters, groups, dilation, stride)).unwrap();
        let layer = &plan.layers[0];
        assert_eq!(layer.output.to_string(), output);
        let fan_in: usize = weight[1..].iter().product();
        let bound = 1.0 / (fan_in as f64).sqrt();
        for (parameter, shape) in plan.parameters.iter().zip([&weight[..], &weight[..1]]) {
            assert_eq!(
                (parameter.shape.as_slice(), parameter.fan_in),
                (shape, fan_in)
            );
            assert_eq!(parameter.init, Init::Uniform { bound });
        }
        let written = layer.output.elements();
        assert_eq!(layer.flops_forward, (written * (2 * fan_in + 1)) as u64);
    }
}

#[test]
fn groups_that_do_not_divide_and_windows_that_reach_too_far_are_refused() {
    for (kind, said) in [
        (
            wide(8, 4, 1, 1),
            "layer 0 (conv2d) has groups = 4, but the 6 channels of its input 6x10x9 do not fall into so many equal groups: use a \
             divisor of 6",
        ),
        (
            wide(8, 3, 1, 1),
            "layer 0 (conv2d) on 6x10x9 has groups = 3, but its 8 filters do not fall into so many equal groups: use a multiple of \
             3, as filters = 9",
        ),
        (
            wide(6, 0, 1, 1),
            "layer 0 (conv2d) has groups = 0: at least 1 is needed",
        ),
        (
            wide(6, 1, 0, 1),
            "layer 0 (conv2d) has dilation = 0: at least 1 is needed",
        ),
        (
            wide(6, 6, 6, 1),
            "layer 0 (conv2d) has a window of height = 13 on an input of 6x10x9, which is 12 with its padding: at most 12 fits",
        ),
    ] {
        assert_eq!(of(kind).unwrap_err().to_string(), said);
    }
}
