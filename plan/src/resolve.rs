//! Shapes through the layers: each layer's input and output, parameters and cost, or why it does not fit.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;
use spec::Shape;
use spec::model::{self, LayerKind, Size};

use crate::error::Error;
use crate::op::{Conv2d, Linear, MaxPool2d, Op, Scale, Softmax};

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
    /// Floating-point operations of the forward pass per sample; a multiply-add counts 2.
    pub flops_forward: u64,
    /// Floating-point operations of the backward pass per sample, without the gradient of the data.
    pub flops_backward: u64,
    /// Bytes read and written by the forward pass per sample, parameters not included.
    pub bytes_forward: u64,
    /// Bytes read and written by the backward pass per sample, parameters not included.
    pub bytes_backward: u64,
}

/// One named view of the flat parameter buffer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Parameter {
    /// PyTorch's name: `0.weight`, or `conv1.weight` for a layer called `conv1`.
    pub name: String,
    /// Its extents, outermost first.
    pub shape: Vec<usize>,
    /// Where it begins in the flat buffer, in words.
    pub offset: usize,
    /// How it is drawn.
    pub init: Init,
    /// Values that one output sums over.
    pub fan_in: usize,
}

impl Parameter {
    /// Words of the flat buffer that it takes.
    pub fn words(&self) -> Range<usize> {
        self.offset..self.offset + self.shape.iter().product::<usize>()
    }
}

/// The distribution that a parameter is drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// Uniform in [-bound, bound); PyTorch's default for weights and biases alike, with `bound = 1 / sqrt(fan_in)`.
    Uniform {
        /// The largest absolute value.
        bound: f64,
    },
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
        at.add_parameters(&kind, &mut parameters)?;
        let trains = !parameters.is_empty();
        let reaches_parameters = first > 0;
        let cost = at.cost(&kind, &output, trains, reaches_parameters)?;
        layers.push(Layer {
            word: at.word,
            kind,
            output,
            parameters: first..parameters.len(),
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

struct Cost {
    flops_forward: u64,
    flops_backward: u64,
    bytes_forward: u64,
    bytes_backward: u64,
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
                for axis in 0..2 {
                    let (window, padding) = (kernel[axis], padding[axis]);
                    if padding > window / 2 {
                        let (layer, path) = (self.layer, self.path.into());
                        return Err(Error::PoolPadding {
                            layer,
                            path,
                            padding,
                            window,
                            most: window / 2,
                        });
                    }
                }
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

    fn add_parameters(&self, kind: &Op, parameters: &mut Vec<Parameter>) -> Result<(), Error> {
        let (weight, bias) = match kind {
            Op::Linear(linear) => (vec![linear.outputs, linear.inputs], linear.bias),
            Op::Conv2d(conv) => (
                vec![conv.filters, conv.channels, conv.kernel[0], conv.kernel[1]],
                conv.bias,
            ),
            Op::MaxPool2d(_) | Op::Relu | Op::Activation(_) | Op::Softmax(_) | Op::Flatten => {
                return Ok(());
            }
        };
        let fan_in = product(&weight[1..]).ok_or_else(|| self.too_large())?;
        let init = Init::Uniform {
            bound: 1.0 / (fan_in as f64).sqrt(),
        };
        let outputs = vec![weight[0]];
        for (suffix, shape) in [("weight", weight), ("bias", outputs)]
            .into_iter()
            .take(1 + usize::from(bias))
        {
            let offset = parameters.last().map_or(0, |last| last.words().end);
            let words = product(&shape).and_then(|words| offset.checked_add(words));
            words
                .filter(|&words| words <= 1 << 40)
                .ok_or_else(|| self.too_large())?;
            parameters.push(Parameter {
                name: format!("{}.{suffix}", self.path),
                shape,
                offset,
                init,
                fan_in,
            });
        }
        Ok(())
    }

    fn cost(
        &self,
        kind: &Op,
        output: &Shape,
        trains: bool,
        reaches_parameters: bool,
    ) -> Result<Cost, Error> {
        let (read, written) = (self.input.elements() as u64, output.elements() as u64);
        let window = match kind {
            Op::Linear(linear) => linear.inputs as u64,
            Op::Conv2d(conv) => conv.window() as u64,
            Op::MaxPool2d(pool) => (pool.kernel[0] * pool.kernel[1]) as u64,
            Op::Relu | Op::Activation(_) | Op::Softmax(_) => 1,
            Op::Flatten => 0,
        };
        let macs = written
            .checked_mul(window)
            .and_then(|macs| macs.checked_mul(4))
            .ok_or_else(|| self.too_large())?
            / 4;
        let moved = if matches!(kind, Op::Flatten) {
            0
        } else {
            4 * (read + written)
        };
        let (flops_forward, flops_backward) = match kind {
            Op::Linear(Linear { bias, .. }) | Op::Conv2d(Conv2d { bias, .. }) => {
                let bias = if *bias { written } else { 0 };
                (
                    2 * macs + bias,
                    2 * macs * (1 + u64::from(reaches_parameters)) + bias,
                )
            }
            Op::MaxPool2d(_) => (macs, if reaches_parameters { written } else { 0 }),
            Op::Relu | Op::Activation(_) | Op::Softmax(_) => {
                (written, if reaches_parameters { written } else { 0 })
            }
            Op::Flatten => (0, 0),
        };
        let bytes_backward = if trains {
            moved * (1 + u64::from(reaches_parameters))
        } else {
            0
        };
        Ok(Cost {
            flops_forward,
            flops_backward,
            bytes_forward: moved,
            bytes_backward,
        })
    }
}

fn pair(pair: model::Pair) -> [usize; 2] {
    [pair.h as usize, pair.w as usize]
}

fn product(extents: &[usize]) -> Option<usize> {
    extents.iter().try_fold(1usize, |product, &extent| {
        product
            .checked_mul(extent)
            .filter(|&product| product <= 1 << 40)
    })
}
