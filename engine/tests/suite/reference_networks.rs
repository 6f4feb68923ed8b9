//! The networks of PyTorch's reference outputs, and their batches.

use engine::Float;
use plan::Per;
use spec::model::{Layer, LayerKind};
use spec::recurrent::{Cell, Nonlinearity, Output};

use crate::given::{Given, embedding, on_tokens, on_values, recurrent};
use crate::networks::{Network, batch_norm, classes, conv, layer_norm, linear, pool};
use crate::tensors::Tensors;

/// The network of a case, named as PyTorch's parameters are.
pub fn network(name: &str) -> Network {
    known(name).unwrap_or_else(|| panic!("no network is called {name}"))
}

/// The network of a case, if there is one yet.
pub fn known(name: &str) -> Option<Network> {
    use LayerKind::{Flatten, Relu};
    let cnn = |filters, hidden| {
        let window = [
            conv(filters, [3, 3], [1, 1], [1, 1]),
            Relu,
            pool([2, 2], [2, 2], [0, 0]),
            Flatten,
        ];
        let names = [
            Some("conv1"),
            None,
            None,
            None,
            Some("fc1"),
            None,
            Some("fc2"),
        ];
        (
            window
                .into_iter()
                .chain([linear(hidden), Relu, classes()])
                .collect(),
            names.to_vec(),
        )
    };
    let (kinds, names, input, count, batch): (
        Vec<LayerKind>,
        Vec<Option<&str>>,
        &[usize],
        usize,
        usize,
    ) = match name {
        "batchnorm1d" => (
            vec![batch_norm(), classes()],
            vec![Some("bn"), Some("fc")],
            &[6],
            4,
            7,
        ),
        "batchnorm2d" => {
            let mut first = conv(4, [3, 3], [1, 1], [1, 1]);
            if let LayerKind::Conv2d(conv) = &mut first {
                conv.bias = false;
            }
            (
                vec![first, batch_norm(), Relu, Flatten, classes()],
                vec![Some("conv"), Some("bn"), None, None, Some("fc")],
                &[2, 5, 5],
                3,
                5,
            )
        }
        "layernorm" => (
            vec![layer_norm(true), classes()],
            vec![Some("ln"), Some("fc")],
            &[10],
            4,
            6,
        ),
        "mlp" => (
            vec![linear(16), Relu, classes()],
            vec![Some("fc1"), None, Some("fc2")],
            &[20],
            4,
            9,
        ),
        "small_cnn" => {
            let (kinds, names) = cnn(4, 8);
            (kinds, names, &[3, 8, 8], 10, 6)
        }
        "simple_cnn" => {
            let (kinds, names) = cnn(12, 64);
            (kinds, names, &[3, 32, 32], 10, 8)
        }
        _ => return sequences(name),
    };
    let mut network = Network::new(input, count, batch, vec![]);
    network.model.layers = named(kinds, &names);
    Some(network)
}

fn named(kinds: Vec<LayerKind>, names: &[Option<&str>]) -> Vec<Layer> {
    let layer = |(kind, name): (LayerKind, &Option<&str>)| Layer {
        name: name.map(String::from),
        kind,
    };
    kinds.into_iter().zip(names).map(layer).collect()
}

/// The networks on sequences.
fn sequences(name: &str) -> Option<Network> {
    let cell = |word: &str| match word {
        "rnn" => Cell::Rnn(Nonlinearity::Tanh),
        "lstm" => Cell::Lstm,
        _ => Cell::Gru,
    };
    let (mut network, names) = match name {
        "embedding_pad0" | "embedding_nopad" => {
            let padding = (name == "embedding_pad0").then_some(0);
            let kinds = vec![embedding(8, padding), LayerKind::GlobalAvgPool, classes()];
            let network = on_tokens([30, 7, 4], Per::Sample, kinds);
            (network, [Some("emb"), None, Some("fc")])
        }
        "text_classifier" => {
            let kinds = vec![
                embedding(6, Some(0)),
                recurrent(Cell::Lstm, 9, 1, Output::Last),
                classes(),
            ];
            let mut network = on_tokens([40, 8, 3], Per::Sample, kinds);
            network.classes = 2;
            (network, [Some("embedding"), Some("lstm"), Some("fc")])
        }
        "char_lm_lstm" | "char_lm_gru" => {
            let cell = cell(&name["char_lm_".len()..]);
            let kinds = vec![
                embedding(8, None),
                recurrent(cell, 12, 1, Output::All),
                classes(),
            ];
            let mut network = on_tokens([20, 10, 4], Per::Step, kinds);
            network.classes = 20;
            (network, [Some("embedding"), Some("rnn"), Some("fc")])
        }
        _ => {
            let (word, layers) = name.split_once('_')?;
            if !["rnn", "lstm", "gru"].contains(&word) {
                return None;
            }
            let layers = layers.strip_suffix('l')?.parse().ok()?;
            let kinds = vec![recurrent(cell(word), 7, layers, Output::Last), classes()];
            let mut network = on_values([5, 6, 5], Per::Sample, kinds);
            network.classes = 4;
            (network, [Some("rnn"), Some("fc"), None])
        }
    };
    let kinds = network.model.layers.drain(..).map(|layer| layer.kind);
    network.model.layers = named(kinds.collect(), &names);
    Some(network)
}

/// A case's batch as the engine takes it, and for each row of the output the row of PyTorch's that it is.
pub fn read<T: Float>(file: &Tensors, network: &Network) -> (Given<T>, Vec<usize>) {
    let whole = |key: &str| -> Vec<u32> { file.get(key).into_iter().map(|x| x as u32).collect() };
    let (target, values) = (whole("batch.target"), file.find("batch.x"));
    let Some((signal, per)) = &network.sequence else {
        let values = values.expect("samples").into_iter().map(T::of).collect();
        let rows = (0..target.len()).collect();
        let (ids, lengths) = (None, Vec::new());
        return (
            Given {
                ids,
                values,
                lengths,
                labels: target,
            },
            rows,
        );
    };
    let (samples, steps) = (network.microbatch, signal.steps.expect("sequences"));
    let lengths = match (file.find("batch.lengths"), file.find("batch.mask")) {
        (Some(lengths), _) => lengths,
        (None, Some(mask)) => mask.chunks(steps).map(|mask| mask.iter().sum()).collect(),
        (None, None) => vec![steps as f64; samples],
    };
    let mut order: Vec<usize> = (0..samples).collect();
    order.sort_by(|&one, &other| lengths[other].total_cmp(&lengths[one]));
    // Where each packed row stands among samples that are padded to one length.
    let mut places = Vec::new();
    for step in 0..steps {
        let long = order
            .iter()
            .filter(|&&sample| lengths[sample] as usize > step);
        places.extend(long.map(|sample| sample * steps + step));
    }
    let rows = match per {
        Per::Sample => order.clone(),
        Per::Step => places.clone(),
    };
    let ids = signal.vocabulary.map(|_| {
        let ids = whole("batch.ids");
        places.iter().map(|&place| ids[place]).collect()
    });
    let features = signal.shape.elements();
    let values = values.map_or(Vec::new(), |x| {
        let row = |&place: &usize| x[place * features..(place + 1) * features].to_vec();
        places.iter().flat_map(row).map(T::of).collect()
    });
    let given = Given {
        ids,
        values,
        lengths: order.iter().map(|&sample| lengths[sample] as u32).collect(),
        labels: rows.iter().map(|&row| target[row]).collect(),
    };
    (given, rows)
}
