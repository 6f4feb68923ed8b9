//! Layers of sequences, and microbatches of them.

use engine::{Batch, Float, Moment, Samples, Targets};
use plan::{Per, Signal};
use spec::Shape;
use spec::model::LayerKind;
use spec::random::{Purpose, Stream};
use spec::recurrent::{Cell, Embedding, Output, Recurrent};

use crate::networks::Network;

pub fn embedding(size: u32, padding_index: Option<u32>) -> LayerKind {
    LayerKind::Embedding(Embedding {
        size,
        padding_index,
    })
}

pub fn recurrent(cell: Cell, hidden: u32, layers: u32, output: Output) -> LayerKind {
    LayerKind::Recurrent(Recurrent {
        cell,
        hidden,
        layers,
        bidirectional: false,
        dropout: 0.0,
        output,
        bias: true,
    })
}

pub fn both_ways(mut kind: LayerKind) -> LayerKind {
    if let LayerKind::Recurrent(recurrent) = &mut kind {
        recurrent.bidirectional = true;
    }
    kind
}

pub fn without_bias(mut kind: LayerKind) -> LayerKind {
    if let LayerKind::Recurrent(recurrent) = &mut kind {
        recurrent.bias = false;
    }
    kind
}

/// A microbatch of sequences.
pub struct Given<T> {
    pub ids: Option<Vec<u32>>,
    pub values: Vec<T>,
    pub lengths: Vec<u32>,
    pub labels: Vec<u32>,
}

impl<T> Given<T> {
    pub fn batch(&self) -> Batch<'_, T> {
        let samples = match &self.ids {
            Some(ids) => Samples::Tokens {
                ids,
                lengths: &self.lengths,
            },
            None if self.lengths.is_empty() => Samples::Values(&self.values),
            None => Samples::Sequences {
                values: &self.values,
                lengths: &self.lengths,
            },
        };
        Batch {
            samples,
            targets: Targets::Classes(&self.labels),
            moment: Moment::default(),
        }
    }
}

/// A network on sequences of up to `steps` tokens of `vocabulary`, or of values of `features`.
pub fn on_tokens(
    [vocabulary, steps, samples]: [usize; 3],
    per: Per,
    kinds: Vec<LayerKind>,
) -> Network {
    let mut network = Network::new(&[1], 5, samples, kinds);
    network.sequence = Some((Signal::tokens(vocabulary, steps), per));
    network
}

pub fn on_values(
    [features, steps, samples]: [usize; 3],
    per: Per,
    kinds: Vec<LayerKind>,
) -> Network {
    let mut network = Network::new(&[features], 5, samples, kinds);
    let shape = Shape::new(vec![features]).expect("a network of sequences");
    network.sequence = Some((Signal::sequence(shape, steps), per));
    network
}

/// Sequences of these lengths, drawn from `seed`.
pub fn given<T: Float>(network: &Network, lengths: &[u32], seed: u64) -> Given<T> {
    let (signal, per) = network.sequence.clone().expect("a network of sequences");
    let mut stream = Stream::new(seed, Purpose::RowOrder, 0);
    let rows = lengths.iter().sum::<u32>() as usize;
    let mut lengths = lengths.to_vec();
    lengths.sort_unstable_by(|a, b| b.cmp(a));
    let mut draw = |below: usize| stream.below(below as u64) as u32;
    let ids = signal
        .vocabulary
        .map(|vocabulary| (0..rows).map(|_| draw(vocabulary)).collect());
    let targets = if per == Per::Step {
        rows
    } else {
        lengths.len()
    };
    let labels = (0..targets).map(|_| draw(network.classes)).collect();
    let count = if ids.is_some() {
        0
    } else {
        rows * signal.shape.elements()
    };
    let values = (0..count)
        .map(|_| T::of(f64::from((2.0 * stream.next_f64() - 1.0) as f32)))
        .collect();
    Given {
        ids,
        values,
        lengths,
        labels,
    }
}
