//! Models to test with.

use proptest::prelude::*;

use crate::model::{
    Activation, AvgPool2d, BatchNorm, Conv2d, Dropout, Gelu, GroupNorm, Layer, LayerKind,
    LayerNorm, Linear, MaxPool2d, Model, Pair, Repeat, Residual, Size,
};
use crate::recurrent::{Cell, Embedding, Nonlinearity, Output, Recurrent};

fn pair(from: u32, to: u32) -> impl Strategy<Value = Pair> {
    prop_oneof![
        (from..=to).prop_map(Pair::both),
        (from..=to, from..=to).prop_map(|(h, w)| Pair { h, w }),
    ]
}

fn kind() -> impl Strategy<Value = LayerKind> {
    let units = prop_oneof![
        Just(Size::Classes),
        Just(Size::Vocabulary),
        (1u32..=1 << 20).prop_map(Size::Count)
    ];
    let tied = prop::option::of("[a-z]{1,8}");
    let linear = (units, any::<bool>(), tied)
        .prop_map(|(units, bias, tied)| LayerKind::Linear(Linear { units, bias, tied }));
    let conv2d = (
        1u32..=1 << 20,
        pair(1, 1024),
        pair(1, 1024),
        pair(0, 1024),
        prop_oneof![Just(Pair::both(1)), pair(1, 1024)],
        prop_oneof![Just(1), 1u32..=1 << 20],
        any::<bool>(),
    )
        .prop_map(
            |(filters, kernel, stride, padding, dilation, groups, bias)| {
                LayerKind::Conv2d(Conv2d {
                    filters,
                    kernel,
                    stride,
                    padding,
                    dilation,
                    groups,
                    bias,
                })
            },
        );
    let max_pool2d =
        (pair(1, 1024), pair(1, 1024), pair(0, 512)).prop_map(|(kernel, stride, padding)| {
            let padding = Pair {
                h: padding.h.min(kernel.h / 2),
                w: padding.w.min(kernel.w / 2),
            };
            LayerKind::MaxPool2d(MaxPool2d {
                kernel,
                stride,
                padding,
            })
        });
    let avg_pool2d =
        (pair(1, 1024), pair(1, 1024), pair(0, 512)).prop_map(|(kernel, stride, padding)| {
            let padding = Pair {
                h: padding.h.min(kernel.h / 2),
                w: padding.w.min(kernel.w / 2),
            };
            LayerKind::AvgPool2d(AvgPool2d {
                kernel,
                stride,
                padding,
            })
        });
    let eps = || prop_oneof![1e-30..1.0, Just(1e-5)];
    let layer_norm = (eps(), any::<bool>())
        .prop_map(|(eps, affine)| LayerKind::LayerNorm(LayerNorm { eps, affine }));
    let batch_norm = (eps(), prop_oneof![0.0..1.0, Just(1.0)], any::<bool>()).prop_map(
        |(eps, momentum, sync)| {
            LayerKind::BatchNorm(BatchNorm {
                eps,
                momentum,
                sync,
            })
        },
    );
    let group_norm = (1u32..=1 << 20, eps(), any::<bool>()).prop_map(|(groups, eps, affine)| {
        LayerKind::GroupNorm(GroupNorm {
            groups,
            eps,
            affine,
        })
    });
    let factor = || prop_oneof![0.0..1e6, Just(0.0), Just(0.01)];
    let activation = prop_oneof![
        Just(Activation::Gelu(Gelu::Erf)),
        Just(Activation::Gelu(Gelu::Tanh)),
        Just(Activation::Silu),
        Just(Activation::Tanh),
        Just(Activation::Sigmoid),
        factor().prop_map(|slope| Activation::LeakyRelu { slope }),
        factor().prop_map(|alpha| Activation::Elu { alpha }),
        Just(Activation::Softplus),
        Just(Activation::Hardtanh),
        Just(Activation::Logsigmoid),
    ];
    let valueless = prop::sample::select(vec![
        LayerKind::Relu,
        LayerKind::Flatten,
        LayerKind::GlobalAvgPool,
        LayerKind::GlobalMaxPool,
        LayerKind::Softmax,
        LayerKind::LogSoftmax,
    ]);
    prop_oneof![
        linear,
        conv2d,
        max_pool2d,
        avg_pool2d,
        batch_norm,
        layer_norm,
        group_norm,
        prop_oneof![0.0..1.0, Just(0.5)].prop_map(|rate| LayerKind::Dropout(Dropout { rate })),
        activation.prop_map(LayerKind::Activation),
        embedding(),
        recurrent(),
        valueless
    ]
}

fn embedding() -> impl Strategy<Value = LayerKind> {
    (1u32..=1 << 20, any::<Option<u32>>()).prop_map(|(size, padding_index)| {
        LayerKind::Embedding(Embedding {
            size,
            padding_index,
        })
    })
}

fn recurrent() -> impl Strategy<Value = LayerKind> {
    let cell = prop::sample::select(vec![
        Cell::Rnn(Nonlinearity::Tanh),
        Cell::Rnn(Nonlinearity::Relu),
        Cell::Lstm,
        Cell::Gru,
    ]);
    let output = prop::sample::select(vec![Output::All, Output::Last, Output::Mean]);
    let sizes = (1u32..=1 << 20, 1u32..=64, prop_oneof![Just(0.0), 0.0..1.0]);
    (cell, sizes, output, any::<[bool; 2]>()).prop_map(
        |(cell, (hidden, layers, dropout), output, [bidirectional, bias])| {
            LayerKind::Recurrent(Recurrent {
                cell,
                hidden,
                layers,
                bidirectional,
                dropout: if layers > 1 { dropout } else { 0.0 },
                output,
                bias,
            })
        },
    )
}

/// A list of layers of these kinds.
fn list(kind: impl Strategy<Value = LayerKind>, most: usize) -> impl Strategy<Value = Vec<Layer>> {
    let layers = prop::collection::vec((prop::option::of("[a-zA-Z0-9_-]{0,8}"), kind), 1..most);
    layers.prop_map(|layers| {
        let layers = layers.into_iter().enumerate().map(|(index, (name, kind))| {
            // The position keeps names apart, the letter keeps them from being numbers.
            Layer {
                name: name.map(|name| format!("{name}x{index}")),
                kind,
            }
        });
        layers.collect()
    })
}

/// Any model that a job file can say.
pub(super) fn model() -> impl Strategy<Value = Model> {
    let nested = kind().prop_recursive(3, 12, 4, |kind| {
        let projection = prop_oneof![Just(Vec::new()), list(kind.clone(), 3)];
        let residual = (list(kind.clone(), 4), projection)
            .prop_map(|(layers, projection)| LayerKind::Residual(Residual { layers, projection }));
        let repeat = (1u32..5, list(kind, 4))
            .prop_map(|(times, layers)| LayerKind::Repeat(Repeat { times, layers }));
        prop_oneof![residual, repeat]
    });
    list(prop_oneof![3 => kind(), 1 => nested], 8).prop_map(|layers| Model { layers })
}
