//! Shapes through the layers: each layer's input and output, parameters and cost, or why it does not fit.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;
use spec::Shape;
use spec::group::Group;
use spec::loss::Loss;
use spec::model::{self, LayerKind};

use crate::cost::cost;
use crate::error::Error;
use crate::extent::{At, Sizes};
use crate::op::{Dropout, Linear, Op, OverTime, Recurrent, TimeKind};
use crate::parameter::{self, Parameter};
use crate::sequence::over_time;
use crate::signal::{Per, Signal};

/// One layer with everything about it resolved.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Layer {
    /// Its position in its list, or its name, behind those of the layers that it lies in: `3`, `conv1`, `3.0`.
    pub path: String,
    /// The entry of the model's lists that it is of, counted as they are written: each followed by those inside it.
    pub entry: usize,
    /// What the layer is called in a job file.
    pub word: &'static str,
    /// What it computes.
    pub kind: Op,
    /// Shape of one sample that comes in, or of one step of it.
    pub input: Shape,
    /// The most steps of what comes in, where it is a sequence.
    pub input_steps: Option<usize>,
    /// Shape of one sample that goes out, or of one step of it.
    pub output: Shape,
    /// The most steps of what goes out, where it is a sequence.
    pub output_steps: Option<usize>,
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

/// The layers and parameters of `model` on samples of `input`: flat and in running order, what is repeated each time, a
/// residual between its fork and its add.
pub(crate) fn resolve(
    model: &model::Model,
    input: &Signal,
    (classes, per): (usize, Per),
    groups: &[Group],
    loss: &Loss,
) -> Result<(Vec<Layer>, Vec<Parameter>), Error> {
    let mut walk = Walk {
        sizes: Sizes {
            classes,
            vocabulary: input.vocabulary,
        },
        groups,
        layers: Vec::new(),
        parameters: Vec::new(),
        signal: input.clone(),
        tables: BTreeMap::new(),
        reaches: false,
        entry: 0,
    };
    walk.list("", &model.layers, None)?;
    let last = walk.layers.last().ok_or(Error::NoLayers)?;
    if last.output.extents() != [classes] {
        return Err(Error::NotLogits {
            layer: last.entry,
            path: last.path.clone(),
            word: last.word,
            output: last.output.clone(),
            loss: loss.word(),
            classes,
        });
    }
    if last.output_steps.is_some() != (per == Per::Step) {
        return Err(Error::NotPerTarget {
            layer: last.entry,
            path: last.path.clone(),
            word: last.word,
            output: walk.signal.to_string(),
            per,
        });
    }
    Ok((walk.layers, walk.parameters))
}

/// A walk through nested lists of layers.
struct Walk<'a> {
    sizes: Sizes,
    groups: &'a [Group],
    layers: Vec<Layer>,
    parameters: Vec<Parameter>,
    /// What the next layer takes.
    signal: Signal,
    /// The embeddings so far, by path.
    tables: BTreeMap<String, usize>,
    /// Whether that value depends on parameters that are trained.
    reaches: bool,
    /// The entry of the lists that comes next, as they are written.
    entry: usize,
}

impl Walk<'_> {
    /// `taken`: a name that no layer of the list may have, and the entry that has it.
    fn list(
        &mut self,
        prefix: &str,
        layers: &[model::Layer],
        taken: Option<(&str, usize)>,
    ) -> Result<(), Error> {
        let taken = taken.map(|(name, entry)| (name.to_string(), entry));
        let mut names: BTreeMap<String, usize> = taken.into_iter().collect();
        for (index, layer) in layers.iter().enumerate() {
            let entry = self.entry;
            self.entry += 1;
            let name = layer.name.clone().unwrap_or_else(|| index.to_string());
            let path = format!("{prefix}{name}");
            if let Some(first) = names.insert(name, entry) {
                let layer = entry;
                return Err(Error::DuplicateName { layer, first, path });
            }
            match &layer.kind {
                LayerKind::Residual(residual) => self.residual(&path, entry, residual)?,
                LayerKind::Repeat(repeat) => {
                    for time in 0..repeat.times {
                        self.entry = entry + 1;
                        self.list(&format!("{path}.{time}."), &repeat.layers, None)?;
                    }
                }
                kind => {
                    let signal = self.signal.clone();
                    let at = At::new(entry, &path, kind.word(), &signal);
                    self.layer(&at, kind)?;
                }
            }
        }
        Ok(())
    }

    /// A layer that holds no others; one with an output over time is two.
    fn layer(&mut self, at: &At<'_>, kind: &LayerKind) -> Result<(), Error> {
        match kind {
            LayerKind::Embedding(embedding) => {
                let (op, output) = at.embedding(embedding)?;
                self.tables.insert(at.path.to_string(), self.layers.len());
                self.push(at, op, output)
            }
            LayerKind::Recurrent(recurrent) => {
                let mut layer = at.recurrent(recurrent)?;
                for number in 0..recurrent.layers as usize {
                    let signal = self.signal.clone();
                    let at = At::new(at.layer, at.path, at.word, &signal);
                    if number > 0 {
                        layer = Recurrent {
                            inputs: layer.outputs(),
                            number,
                            ..layer
                        };
                        if recurrent.dropout > 0.0 {
                            let (values, rate) = (layer.inputs, recurrent.dropout);
                            let op = Op::Dropout(Dropout { values, rate });
                            self.push(&at, op, signal.clone())?;
                        }
                    }
                    let output = at.states(&layer)?;
                    self.push(&at, Op::Recurrent(layer), output)?;
                }
                match over_time(recurrent.output, &layer) {
                    Some(over) => self.over_time(at, over),
                    None => Ok(()),
                }
            }
            LayerKind::GlobalAvgPool | LayerKind::GlobalMaxPool if at.signal.steps.is_some() => {
                let kind = match kind {
                    LayerKind::GlobalMaxPool => TimeKind::Max,
                    _ => TimeKind::Mean,
                };
                let features = at.flat()?;
                self.over_time(at, OverTime { features, kind })
            }
            kind => {
                let (mut op, output) = at.resolve(kind, self.sizes)?;
                if let (Op::Linear(linear), LayerKind::Linear(model)) = (&mut op, kind)
                    && let Some(name) = &model.tied
                {
                    linear.tied = Some(self.tie(at, name, linear)?);
                }
                self.push(at, op, at.signal.with(output))
            }
        }
    }

    /// One value for all steps of what the walk stands at.
    fn over_time(&mut self, at: &At<'_>, over: OverTime) -> Result<(), Error> {
        let signal = self.signal.clone();
        let at = At::new(at.layer, at.path, at.word, &signal);
        let output = signal.shape.clone().into();
        self.push(&at, Op::OverTime(over), output)
    }

    /// The parameter that a linear layer shares with an embedding.
    fn tie(&mut self, at: &At<'_>, name: &str, linear: &Linear) -> Result<usize, Error> {
        let (layer, path, table) = (at.layer, at.path.into(), name.to_string());
        let Some(&number) = self.tables.get(name) else {
            let known = self.tables.keys().cloned().collect();
            return Err(Error::NoTable {
                layer,
                path,
                table,
                known,
            });
        };
        let Op::Embedding(embedding) = &mut self.layers[number].kind else {
            unreachable!("tables are embeddings");
        };
        if [embedding.vocabulary, embedding.size] != [linear.outputs, linear.inputs] {
            return Err(Error::TiedShape {
                layer,
                path,
                table,
                has: [embedding.vocabulary, embedding.size],
                needs: [linear.outputs, linear.inputs],
            });
        }
        embedding.tied = true;
        Ok(self.layers[number].parameters.start)
    }

    fn residual(
        &mut self,
        path: &str,
        entry: usize,
        residual: &model::Residual,
    ) -> Result<(), Error> {
        let (input, reaches) = (self.signal.clone(), self.reaches);
        let at = At::new(entry, path, "residual", &input);
        self.push(&at, Op::Fork, input.clone())?;
        let first = self.layers.len();
        let taken = (!residual.projection.is_empty()).then_some(("projection", entry));
        self.list(&format!("{path}."), &residual.layers, taken)?;
        if (self.layers[first..].iter()).all(|layer| layer.kind == Op::Flatten) {
            return Err(Error::EmptyResidual {
                layer: entry,
                path: path.into(),
            });
        }
        let (output, trains) = (self.signal.clone(), self.reaches);
        (self.signal, self.reaches) = (input.clone(), reaches);
        if !residual.projection.is_empty() {
            let path = format!("{path}.projection");
            let at = At::new(entry, &path, "projection", &input);
            self.push(&at, Op::Shortcut, input.clone())?;
            self.list(&format!("{path}."), &residual.projection, None)?;
        }
        if self.signal != output {
            let projected = (!residual.projection.is_empty()).then(|| self.signal.shape.clone());
            return Err(Error::Branches {
                layer: entry,
                path: path.into(),
                input: input.shape,
                output: output.shape,
                projected,
            });
        }
        self.reaches |= trains;
        let at = At::new(entry, path, "residual", &output);
        self.push(&at, Op::Add, output.clone())
    }

    fn push(&mut self, at: &At<'_>, kind: Op, output: Signal) -> Result<(), Error> {
        let first = self.parameters.len();
        parameter::add(at.path, &kind, at.input, self.groups, &mut self.parameters)
            .ok_or_else(|| at.too_large())?;
        let reached = self.reaches;
        let own = &self.parameters[first..];
        self.reaches |= own.iter().any(|parameter| parameter.trained);
        let steps = at.signal.steps.unwrap_or(1) as u64;
        let cost = cost(&kind, at.input, &output.shape, self.reaches, reached)
            .and_then(|cost| cost.times(steps))
            .ok_or_else(|| at.too_large())?;
        self.layers.push(Layer {
            path: at.path.to_string(),
            entry: at.layer,
            word: at.word,
            kind,
            input: at.input.clone(),
            input_steps: at.signal.steps,
            output: output.shape.clone(),
            output_steps: output.steps,
            parameters: first..self.parameters.len(),
            parameter_count: (self.parameters[first..].iter())
                .map(|parameter| parameter.words().len())
                .sum(),
            memory_bytes: 0,
            flops_forward: cost.flops_forward,
            flops_backward: if self.reaches { cost.flops_backward } else { 0 },
            bytes_forward: cost.bytes_forward,
            bytes_backward: cost.bytes_backward,
        });
        self.signal = output;
        Ok(())
    }
}
