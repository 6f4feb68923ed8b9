//! One layer on the shape that reaches it: its operation with every extent, and what goes out.

use spec::Shape;
use spec::model::{LayerKind, Pair, Size};

use crate::error::Error;
use crate::op::reach;
use crate::op::{BatchNorm, Conv2d, Dropout, Geometry, GroupNorm, Linear, Op, Scale, Softmax};
use crate::signal::Signal;

/// Sizes that the data knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Classes of the data.
    pub classes: usize,
    /// Tokens of the data, where it has any.
    pub vocabulary: Option<usize>,
}

/// A layer and what reaches it.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    /// Its entry of the model's lists.
    pub layer: usize,
    /// Its name.
    pub path: &'a str,
    /// What it is called in a job file.
    pub word: &'static str,
    /// What reaches it.
    pub signal: &'a Signal,
    /// The shape of that, or of one step of it.
    pub input: &'a Shape,
}

impl<'a> At<'a> {
    /// A layer on `signal`.
    pub fn new(layer: usize, path: &'a str, word: &'static str, signal: &'a Signal) -> Self {
        At {
            layer,
            path,
            word,
            signal,
            input: &signal.shape,
        }
    }

    /// Its operation on each sample, or on each step of one, and the shape that goes out.
    pub fn resolve(&self, kind: &LayerKind, sizes: Sizes) -> Result<(Op, Shape), Error> {
        self.no_tokens()?;
        match kind {
            LayerKind::Linear(linear) => {
                let inputs = self.flat()?;
                let outputs = self.units(linear.units, sizes)?;
                Ok((
                    Op::Linear(Linear {
                        inputs,
                        outputs,
                        bias: linear.bias,
                        tied: None,
                    }),
                    self.shape(vec![outputs])?,
                ))
            }
            LayerKind::Conv2d(conv) => {
                self.no_steps()?;
                let filters = conv.filters as usize;
                self.at_least_one("filters", filters)?;
                let dilation = extents(conv.dilation);
                let geometry = self.windows(conv.kernel, conv.stride, conv.padding, dilation)?;
                let [height, width] = geometry.output;
                let groups = conv.groups as usize;
                self.equal_groups(groups, geometry.channels)?;
                if !filters.is_multiple_of(groups) {
                    return Err(Error::FilterGroups {
                        layer: self.layer,
                        path: self.path.into(),
                        groups,
                        filters,
                        input: self.input.clone(),
                    });
                }
                let op = Conv2d {
                    geometry,
                    filters,
                    dilation,
                    groups,
                    bias: conv.bias,
                };
                Ok((Op::Conv2d(op), self.shape(vec![filters, height, width])?))
            }
            LayerKind::MaxPool2d(pool) => {
                self.pooling(pool.kernel, pool.stride, pool.padding, Op::MaxPool2d)
            }
            LayerKind::AvgPool2d(pool) => {
                self.pooling(pool.kernel, pool.stride, pool.padding, Op::AvgPool2d)
            }
            LayerKind::GlobalAvgPool => self.whole_channels(Op::AvgPool2d),
            LayerKind::GlobalMaxPool => self.whole_channels(Op::MaxPool2d),
            LayerKind::BatchNorm(norm) => {
                self.no_steps()?;
                let channels = self.input.channels();
                let op = BatchNorm {
                    channels,
                    plane: self.input.elements() / channels,
                    eps: norm.eps,
                    momentum: norm.momentum,
                    sync: norm.sync,
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
                self.equal_groups(groups, channels)?;
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
            LayerKind::Flatten => {
                self.no_steps()?;
                Ok((Op::Flatten, self.shape(vec![self.input.elements()])?))
            }
            LayerKind::Dropout(dropout) => {
                let values = self.input.elements();
                let op = Dropout {
                    values,
                    rate: dropout.rate,
                };
                Ok((Op::Dropout(op), self.input.clone()))
            }
            LayerKind::Embedding(_)
            | LayerKind::Recurrent(_)
            | LayerKind::Residual(_)
            | LayerKind::Repeat(_) => {
                unreachable!("the walk goes into layers of layers itself")
            }
        }
    }

    /// The number of units that is written, or that the data knows.
    fn units(&self, units: Size, sizes: Sizes) -> Result<usize, Error> {
        let units = match units {
            Size::Count(count) => count as usize,
            Size::Classes => sizes.classes,
            Size::Vocabulary => sizes.vocabulary.ok_or_else(|| Error::NoVocabulary {
                layer: self.layer,
                path: self.path.into(),
                word: self.word,
            })?,
        };
        self.at_least_one("units", units)?;
        Ok(units)
    }

    /// Tokens mean nothing before they are embedded.
    fn no_tokens(&self) -> Result<(), Error> {
        match self.signal.vocabulary {
            None => Ok(()),
            Some(_) => Err(Error::TokensAsValues {
                layer: self.layer,
                path: self.path.into(),
                word: self.word,
            }),
        }
    }

    /// What must see a whole sample at once cannot take it step by step.
    fn no_steps(&self) -> Result<(), Error> {
        match self.signal.steps {
            None => Ok(()),
            Some(_) => Err(Error::TakesNoSequence {
                layer: self.layer,
                path: self.path.into(),
                word: self.word,
                input: self.signal.to_string(),
            }),
        }
    }

    fn softmax(&self, scale: Scale) -> Result<(Op, Shape), Error> {
        let features = self.flat()?;
        Ok((Op::Softmax(Softmax { features, scale }), self.input.clone()))
    }

    /// `F`.
    pub fn flat(&self) -> Result<usize, Error> {
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

    /// Channels that must fall into so many equal groups.
    fn equal_groups(&self, groups: usize, channels: usize) -> Result<(), Error> {
        self.at_least_one("groups", groups)?;
        match channels % groups {
            0 => Ok(()),
            _ => Err(Error::Groups {
                layer: self.layer,
                path: self.path.into(),
                word: self.word,
                groups,
                channels,
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

    /// A pooling of windows.
    fn pooling(
        &self,
        kernel: Pair,
        stride: Pair,
        padding: Pair,
        op: fn(Geometry) -> Op,
    ) -> Result<(Op, Shape), Error> {
        self.no_steps()?;
        self.image()?;
        self.half_at_most(extents(kernel), extents(padding))?;
        let geometry = self.windows(kernel, stride, padding, [1, 1])?;
        let [height, width] = geometry.output;
        Ok((
            op(geometry),
            self.shape(vec![geometry.channels, height, width])?,
        ))
    }

    /// A pooling of whole channels, of which one value each is left.
    fn whole_channels(&self, op: fn(Geometry) -> Op) -> Result<(Op, Shape), Error> {
        let (channels, input) = self.image()?;
        let geometry = Geometry {
            channels,
            input,
            output: [1, 1],
            kernel: input,
            stride: [1, 1],
            padding: [0, 0],
        };
        Ok((op(geometry), self.shape(vec![channels])?))
    }

    /// Windows over the sample.
    fn windows(
        &self,
        kernel: Pair,
        stride: Pair,
        padding: Pair,
        dilation: [usize; 2],
    ) -> Result<Geometry, Error> {
        let (channels, input) = self.image()?;
        let [kernel, stride, padding] = [kernel, stride, padding].map(extents);
        for (key, pair) in [
            ("kernel", kernel),
            ("stride", stride),
            ("dilation", dilation),
        ] {
            self.at_least_one(key, pair[0].min(pair[1]))?;
        }
        let (mut output, reach) = ([0; 2], reach(kernel, dilation));
        for (axis, window) in ["height", "width"].into_iter().enumerate() {
            let padded = input[axis] + 2 * padding[axis];
            if reach[axis] > padded {
                return Err(Error::WindowTooLarge {
                    layer: self.layer,
                    path: self.path.into(),
                    word: self.word,
                    window,
                    extent: reach[axis],
                    input: self.input.clone(),
                    padded,
                });
            }
            output[axis] = (padded - reach[axis]) / stride[axis] + 1;
        }
        Ok(Geometry {
            channels,
            input,
            output,
            kernel,
            stride,
            padding,
        })
    }

    /// A number of the layer that must not be 0.
    pub fn at_least_one(&self, key: &'static str, value: usize) -> Result<(), Error> {
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

    /// A shape of these extents.
    pub fn shape(&self, extents: Vec<usize>) -> Result<Shape, Error> {
        Shape::new(extents).map_err(|_| self.too_large())
    }

    /// The refusal of what cannot be counted.
    pub fn too_large(&self) -> Error {
        Error::TooLarge {
            layer: self.layer,
            path: self.path.into(),
            word: self.word,
            input: self.input.clone(),
        }
    }
}

fn extents(pair: Pair) -> [usize; 2] {
    [pair.h as usize, pair.w as usize]
}
