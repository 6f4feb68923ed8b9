//! The parameters of a layer: their names, extents and initial values.

use std::ops::Range;

use serde::Serialize;
use spec::Shape;
use spec::group::{self, Group};

use crate::op::{Op, Recurrent};

/// One named view of the flat parameter buffer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Parameter {
    /// PyTorch's name: `0.weight`, or `conv1.weight` for a layer called `conv1`.
    pub name: String,
    /// Its extents, outermost first.
    pub shape: Vec<usize>,
    /// Where it begins in the flat buffer, in words.
    pub offset: usize,
    /// The group of the job that it belongs to, counted from 0.
    pub group: Option<usize>,
    /// Whether it is trained; one that is frozen stays as it is.
    pub trained: bool,
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
    /// Normal around 0, and 0 for the padding token's vector; PyTorch's default for embeddings.
    Table {
        /// The row that is 0.
        padding_index: Option<usize>,
    },
    /// Normal.
    Normal {
        /// The mean.
        mean: f64,
        /// The deviation.
        std: f64,
    },
    /// Uniform in [low, high).
    Range {
        /// The least value.
        low: f64,
        /// Above all values.
        high: f64,
    },
    /// Orthonormal rows or columns, whichever are fewer, times a factor; the first extent counts the rows.
    Orthogonal {
        /// The factor.
        gain: f64,
    },
    /// One value everywhere.
    Constant {
        /// The value.
        value: f64,
    },
}

/// One named view of the flat buffer of running statistics.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statistic {
    /// PyTorch's name: `1.running_mean` or `1.running_var`.
    pub name: String,
    /// Its words of the flat buffer, one per channel.
    pub words: Range<usize>,
    /// What it is before the first step.
    pub initial: f64,
}

/// The running statistics of a layer, mean before variance, behind those that there are.
pub(crate) fn add_statistics(path: &str, op: &Op, statistics: &mut Vec<Statistic>) {
    let Op::BatchNorm(norm) = op else { return };
    for (suffix, initial) in [("running_mean", 0.0), ("running_var", 1.0)] {
        let first = statistics.last().map_or(0, |last| last.words.end);
        statistics.push(Statistic {
            name: format!("{path}.{suffix}"),
            words: first..first + norm.channels,
            initial,
        });
    }
}

/// A parameter without its place: suffix of its name, extents, initial values, values that one output sums over.
type New = (String, Vec<usize>, Init, usize);

/// The parameters of a recurrent layer, in PyTorch's order and by its names: all drawn within the inverse root of the number
/// of hidden units.
fn recurrent(layer: &Recurrent) -> Vec<New> {
    let mut added = Vec::new();
    let gates = layer.gates();
    let init = Init::Uniform {
        bound: 1.0 / (layer.hidden as f64).sqrt(),
    };
    for direction in 0..layer.directions {
        let reverse = if direction == 0 { "" } else { "_reverse" };
        let name = |what: &str| format!("{what}_l{}{reverse}", layer.number);
        let (inputs, hidden) = (layer.inputs, layer.hidden);
        added.extend([
            (name("weight_ih"), vec![gates, inputs], init, inputs),
            (name("weight_hh"), vec![gates, hidden], init, hidden),
        ]);
        if layer.bias {
            added.extend([
                (name("bias_ih"), vec![gates], init, inputs),
                (name("bias_hh"), vec![gates], init, hidden),
            ]);
        }
    }
    added
}

/// Adds the parameters of a layer on samples of `input`, weight before bias, behind those that there are; `None` if they
/// cannot be counted.
pub(crate) fn add(
    path: &str,
    op: &Op,
    input: &Shape,
    groups: &[Group],
    parameters: &mut Vec<Parameter>,
) -> Option<()> {
    let drawn = |weight: Vec<usize>, bias: bool| {
        let fan_in = product(&weight[1..])?;
        let init = Init::Uniform {
            bound: 1.0 / (fan_in as f64).sqrt(),
        };
        let outputs = vec![weight[0]];
        let both = [
            ("weight".to_string(), weight, init, fan_in),
            ("bias".to_string(), outputs, init, fan_in),
        ];
        let added: Vec<New> = both.into_iter().take(1 + usize::from(bias)).collect();
        Some(added)
    };
    let scaling = |shape: Vec<usize>, affine: bool| {
        let [one, zero] = [1.0, 0.0].map(|value| Init::Constant { value });
        let both = [
            ("weight".to_string(), shape.clone(), one, 1),
            ("bias".to_string(), shape, zero, 1),
        ];
        both.into_iter().filter(|_| affine).collect()
    };
    let added: Vec<New> = match op {
        Op::Linear(linear) => {
            let mut both = drawn(vec![linear.outputs, linear.inputs], linear.bias)?;
            if linear.tied.is_some() {
                both.remove(0);
            }
            both
        }
        Op::Embedding(embedding) => {
            let padding_index = embedding.padding_index;
            let shape = vec![embedding.vocabulary, embedding.size];
            vec![(
                "weight".into(),
                shape,
                Init::Table { padding_index },
                embedding.size,
            )]
        }
        Op::Recurrent(layer) => recurrent(layer),
        Op::Conv2d(conv) => {
            let [kernel_h, kernel_w] = conv.geometry.kernel;
            drawn(
                vec![conv.filters, conv.group_channels(), kernel_h, kernel_w],
                conv.bias,
            )?
        }
        Op::LayerNorm(norm) => scaling(input.extents().to_vec(), norm.affine),
        Op::BatchNorm(norm) => scaling(vec![norm.channels], true),
        Op::GroupNorm(norm) => scaling(vec![input.channels()], norm.affine),
        Op::MaxPool2d(_)
        | Op::AvgPool2d(_)
        | Op::Relu
        | Op::Activation(_)
        | Op::Softmax(_)
        | Op::OverTime(_)
        | Op::Flatten
        | Op::Dropout(_)
        | Op::Fork
        | Op::Shortcut
        | Op::Add => Vec::new(),
    };
    for (suffix, shape, init, fan_in) in added {
        let offset = parameters.last().map_or(0, |last| last.words().end);
        let words = product(&shape)?;
        offset
            .checked_add(words)
            .filter(|&words| words <= 1 << 40)?;
        let name = format!("{path}.{suffix}");
        let group = group::group_of(groups, &name);
        parameters.push(Parameter {
            name,
            shape,
            offset,
            group,
            trained: group.is_none_or(|group| !groups[group].frozen),
            init,
            fan_in,
        });
    }
    Some(())
}

fn product(extents: &[usize]) -> Option<usize> {
    extents.iter().try_fold(1usize, |product, &extent| {
        product
            .checked_mul(extent)
            .filter(|&product| product <= 1 << 40)
    })
}
