//! The state dict of PyTorch's `nn.Sequential` of a plan's layers: which tensors it has, under which names, and where in
//! the flat buffers their values stand.

use std::ops::Range;

use plan::{Op, Plan};

/// One tensor of a state dict.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// PyTorch's name: `0.weight`, `1.running_mean`.
    pub name: String,
    /// Its extents, outermost first; none for a single number.
    pub shape: Vec<usize>,
    /// Where its values stand.
    pub place: Place,
}

/// Where the values of a tensor stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In these words of the flat parameters.
    Parameters(Range<usize>),
    /// In these words of the flat running statistics.
    Statistics(Range<usize>),
    /// Nowhere: it is how many training steps there have been, as an i64.
    Steps,
}

/// The tensors of a plan's state dict: the parameters, the running statistics, and what counts the steps.
pub fn entries(plan: &Plan) -> Vec<Entry> {
    let parameters = plan.parameters.iter().map(|parameter| Entry {
        name: parameter.name.clone(),
        shape: parameter.shape.clone(),
        place: Place::Parameters(parameter.words()),
    });
    let statistics = plan.running_statistics.iter().map(|statistic| Entry {
        name: statistic.name.clone(),
        shape: vec![statistic.words.len()],
        place: Place::Statistics(statistic.words.clone()),
    });
    let counters = plan
        .layers
        .iter()
        .filter(|layer| counts_steps(&layer.kind))
        .map(|layer| Entry {
            name: format!("{}.num_batches_tracked", layer.path),
            shape: Vec::new(),
            place: Place::Steps,
        });
    // PyTorch has one tensor under two names where a linear layer's weight is an embedding's table.
    let tied = plan.layers.iter().filter_map(|layer| match &layer.kind {
        Op::Linear(linear) => {
            let table = &plan.parameters[linear.tied?];
            Some(Entry {
                name: format!("{}.weight", layer.path),
                shape: table.shape.clone(),
                place: Place::Parameters(table.words()),
            })
        }
        _ => None,
    });
    let all = parameters.chain(tied).chain(statistics).chain(counters);
    all.collect()
}

/// Whether PyTorch's module of this layer has a buffer that counts the batches it was trained on.
fn counts_steps(op: &Op) -> bool {
    match op {
        Op::BatchNorm(_) => true,
        Op::Linear(_)
        | Op::Conv2d(_)
        | Op::MaxPool2d(_)
        | Op::AvgPool2d(_)
        | Op::LayerNorm(_)
        | Op::GroupNorm(_)
        | Op::Relu
        | Op::Activation(_)
        | Op::Softmax(_)
        | Op::Dropout(_)
        | Op::Flatten
        | Op::Fork
        | Op::Shortcut
        | Op::Add
        | Op::Embedding(_)
        | Op::Recurrent(_)
        | Op::OverTime(_) => false,
    }
}
