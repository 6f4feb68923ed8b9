//! Shapes through the layers: each layer's input and output, parameters and cost, or why it does not fit.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;
use spec::Shape;
use spec::model::{self, LayerKind, Size};

use crate::cost::cost;
use crate::error::Error;
use crate::op::{AvgPool2d, BatchNorm, Conv2d, GroupNorm, Linear, MaxPool2d, Op, Scale, Softmax};
use crate::parameter::{self, Parameter};

/// One layer with everything about it resolved.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Layer {
    /// Its position in the list, or its name.
    pub path: String,
    /// What the layer is called in a job file.
    pub word: &'static str,
    /// What it computes.
    pub kind: Op,
    /// Shape of one sample that comes in.
    pub input: Shape,
    /// Shape of one sample that goes out.
    pub output: Shape,
    /// Its parameters among the plan's, weight before bias.
    pub parameters: Range<usize>,
    /// Words of its parameters.
    pub parameter_count: usize,
    /// Bytes that a microbatch stores behind it: what it gives, unless it works in place or the next layer takes it along,
    /// and what its backward pass needs beside that.
    pub memory_bytes: u64,
    /// Floating-point operations of the forward pass per sample; a multiply-add counts 2.
    pub flops_forward: u64,
    /// Floating-point operations of the backward pass per sample, without the gradient of the data.
    pub flops_backward: u64,
    /// Bytes read and written by the forward pass per sample, parameters not included.
    pub bytes_forward: u64,
    /// Bytes read and written by the backward pass per sample, parameters not included.
    pub bytes_backward: u64,
}

/// The layers and parameters of `model` on samples of `input`.
pub(crate) fn resolve(
    model: &model::Model,
    input: &Shape,
    classes: usize,
) -> Result<(Vec<Layer>, Vec<Parameter>), Error> {
    let mut names = BTreeMap::new();
    let (mut layers, mut parameters): (Vec<Layer>, Vec<Parameter>) = (Vec::new(), Vec::new());
    for (index, layer) in model.layers.iter().enumerate() {
        let path = layer.name.clone().unwrap_or_else(|| index.to_string());
        if let Some(first) = names.insert(path.clone(), index) {
            return Err(Error::DuplicateName {
                layer: index,
                first,
                path,
            });
        }
        let shape = layers
            .last()
            .map_or(input, |last: &Layer| &last.output)
            .clone();
        let at = At {
            layer: index,
            path: &path,
            word: layer.kind.word(),
            input: &shape,
        };
        let (kind, output) = at.resolve(&layer.kind, classes)?;
        let first = parameters.len();
        parameter::add(&path, &kind, &shape, &mut parameters).ok_or_else(|| at.too_large())?;
        let trains = !parameters.is_empty();
        let reaches_parameters = first > 0;
        let cost = cost(&kind, &shape, &output, trains, reaches_parameters)
            .ok_or_else(|| at.too_large())?;
        layers.push(Layer {
            word: at.word,
            kind,
            output,
            parameters: first..parameters.len(),
            parameter_count: parameters[first..]
                .iter()
                .map(|parameter| parameter.words().len())
                .sum(),
            memory_bytes: 0,
            flops_forward: cost.flops_forward,
            flops_backward: cost.flops_backward,
            bytes_forward: cost.bytes_forward,
            bytes_backward: cost.bytes_backward,
            path,
            input: shape,
        });
    }
    let last = layers.last().ok_or(Error::NoLayers)?;
    if last.output.extents() != [classes] {
        return Err(Error::NotLogits {
            layer: layers.len() - 1,
            path: last.path.clone(),
            word: last.word,
            output: last.output.clone(),
            classes,
        });
    }
    Ok((layers, parameters))
}

/// Where resolving stands, for messages.
struct At<'a> {
    layer: usize,
    path: &'a str,
    word: &'static str,
    input: &'a Shape,
}

impl At<'_> {
    fn resolve(&self, kind: &LayerKind, classes: usize) -> Result<(Op, Shape), Error> {
        match kind {
            LayerKind::Linear(linear) => {
                let inputs = self.flat()?;
                let outputs = match linear.units {
                    Size::Count(count) => count as usize,
                    Size::Classes => classes,
                };
                self.at_least_one("units", outputs)?;
                Ok((
                    Op::Linear(Linear {
                        inputs,
                        outputs,
                        bias: linear.bias,
                    }),
                    self.shape(vec![outputs])?,
                ))
            }
            LayerKind::Conv2d(conv) => {
                let (channels, input) = self.image()?;
                let (kernel, stride, padding) =
                    (pair(conv.kernel), pair(conv.stride), pair(conv.padding));
                let filters = conv.filters as usize;
                self.at_least_one("filters", filters)?;
                let output = self.windows(input, kernel, stride, padding)?;
                let op = Conv2d {
                    channels,
                    input,
                    filters,
                    output,
                    kernel,
                    stride,
                    padding,
                    bias: conv.bias,
                };
                Ok((
                    Op::Conv2d(op),
                    self.shape(vec![filters, output[0], output[1]])?,
                ))
            }
            LayerKind::MaxPool2d(pool) => {
                let (channels, input) = self.image()?;
                let (kernel, stride, padding) =
                    (pair(pool.kernel), pair(pool.stride), pair(pool.padding));
                self.half_at_most(kernel, padding)?;
                let output = self.windows(input, kernel, stride, padding)?;
                let op = MaxPool2d {
                    channels,
                    input,
                    output,
                    kernel,
                    stride,
                    padding,
                };
                Ok((
                    Op::MaxPool2d(op),
                    self.shape(vec![channels, output[0], output[1]])?,
                ))
            }
            LayerKind::AvgPool2d(pool) => {
                let (channels, input) = self.image()?;
                let (kernel, stride, padding) =
                    (pair(pool.kernel), pair(pool.stride), pair(pool.padding));
                self.half_at_most(kernel, padding)?;
                let output = self.windows(input, kernel, stride, padding)?;
                let op = AvgPool2d {
                    channels,
                    input,
                    output,
                    kernel,
                    stride,
                    padding,
                };
                Ok((
                    Op::AvgPool2d(op),
                    self.shape(vec![channels, output[0], output[1]])?,
                ))
            }
            LayerKind::GlobalAvgPool => {
                let (channels, input) = self.image()?;
                let op = AvgPool2d {
                    channels,
                    input,
                    output: [1, 1],
                    kernel: input,
                    stride: [1, 1],
                    padding: [0, 0],
                };
                Ok((Op::AvgPool2d(op), self.shape(vec![channels])?))
            }
            LayerKind::BatchNorm(norm) => {
                let channels = self.input.channels();
                let op = BatchNorm {
                    channels,
                    plane: self.input.elements() / channels,
                    eps: norm.eps,
                    momentum: norm.momentum,
                };
                Ok((Op::BatchNorm(op), self.input.clone()))
            }
            LayerKind::LayerNorm(norm) => {
                let op = GroupNorm {
                    groups: 1,
                    group: self.input.elements(),
                    plane: 1,
                    eps: norm.eps,
                    affine: norm.affine,
                };
                Ok((Op::LayerNorm(op), self.input.clone()))
            }
            LayerKind::GroupNorm(norm) => {
                let (groups, channels) = (norm.groups as usize, self.input.channels());
                self.at_least_one("groups", groups)?;
                if channels % groups != 0 {
                    return Err(Error::Groups {
                        layer: self.layer,
                        path: self.path.into(),
                        groups,
                        channels,
                        input: self.input.clone(),
                    });
                }
                let op = GroupNorm {
                    groups,
                    group: self.input.elements() / groups,
                    plane: self.input.elements() / channels,
                    eps: norm.eps,
                    affine: norm.affine,
                };
                Ok((Op::GroupNorm(op), self.input.clone()))
            }
            LayerKind::Relu => Ok((Op::Relu, self.input.clone())),
            LayerKind::Activation(activation) => {
                Ok((Op::Activation(*activation), self.input.clone()))
            }
            LayerKind::Softmax => self.softmax(Scale::Linear),
            LayerKind::LogSoftmax => self.softmax(Scale::Logarithmic),
            LayerKind::Flatten => Ok((Op::Flatten, self.shape(vec![self.input.elements()])?)),
        }
    }

    fn softmax(&self, scale: Scale) -> Result<(Op, Shape), Error> {
        let features = self.flat()?;
        Ok((Op::Softmax(Softmax { features, scale }), self.input.clone()))
    }

    /// `F`.
    fn flat(&self) -> Result<usize, Error> {
        match *self.input.extents() {
            [features] => Ok(features),
            _ => Err(Error::NeedsFlat {
                layer: self.layer,
                path: self.path.into(),
                word: self.word,
                input: self.input.clone(),
            }),
        }
    }

    /// `(C, [H, W])`.
    fn image(&self) -> Result<(usize, [usize; 2]), Error> {
        match *self.input.extents() {
            [channels, height, width] => Ok((channels, [height, width])),
            _ => Err(Error::NeedsImage {
                layer: self.layer,
                path: self.path.into(),
                word: self.word,
                input: self.input.clone(),
            }),
        }
    }

    /// No pooling window may lie in the padding alone.
    fn half_at_most(&self, kernel: [usize; 2], padding: [usize; 2]) -> Result<(), Error> {
        for (window, padding) in kernel.into_iter().zip(padding) {
            if padding > window / 2 {
                return Err(Error::PoolPadding {
                    layer: self.layer,
                    path: self.path.into(),
                    word: self.word,
                    padding,
                    window,
                    most: window / 2,
                });
            }
        }
        Ok(())
    }

    fn windows(
        &self,
        input: [usize; 2],
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
    ) -> Result<[usize; 2], Error> {
        let mut output = [0; 2];
        for (axis, window) in ["height", "width"].into_iter().enumerate() {
            self.at_least_one("kernel", kernel[axis])?;
            self.at_least_one("stride", stride[axis])?;
            let padded = input[axis] + 2 * padding[axis];
            if kernel[axis] > padded {
                return Err(Error::WindowTooLarge {
                    layer: self.layer,
                    path: self.path.into(),
                    word: self.word,
                    window,
                    extent: kernel[axis],
                    input: self.input.clone(),
                    padded,
                });
            }
            output[axis] = (padded - kernel[axis]) / stride[axis] + 1;
        }
        Ok(output)
    }

    fn at_least_one(&self, key: &'static str, value: usize) -> Result<(), Error> {
        match value {
            0 => Err(Error::ZeroExtent {
                layer: self.layer,
                path: self.path.into(),
                word: self.word,
                key,
            }),
            _ => Ok(()),
        }
    }

    fn shape(&self, extents: Vec<usize>) -> Result<Shape, Error> {
        Shape::new(extents).map_err(|_| self.too_large())
    }

    fn too_large(&self) -> Error {
        Error::TooLarge {
            layer: self.layer,
            path: self.path.into(),
            word: self.word,
            input: self.input.clone(),
        }
    }
}

fn pair(pair: model::Pair) -> [usize; 2] {
    [pair.h as usize, pair.w as usize]
}
