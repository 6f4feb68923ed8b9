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
use crate::extent::At;
use crate::op::Op;
use crate::parameter::{self, Parameter};

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

/// The layers and parameters of `model` on samples of `input`: flat and in running order, what is repeated each time, a
/// residual between its fork and its add.
pub(crate) fn resolve(
    model: &model::Model,
    input: &Shape,
    classes: usize,
    groups: &[Group],
    loss: &Loss,
) -> Result<(Vec<Layer>, Vec<Parameter>), Error> {
    let mut walk = Walk {
        classes,
        groups,
        layers: Vec::new(),
        parameters: Vec::new(),
        shape: input.clone(),
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
    Ok((walk.layers, walk.parameters))
}

/// A walk through nested lists of layers.
struct Walk<'a> {
    classes: usize,
    groups: &'a [Group],
    layers: Vec<Layer>,
    parameters: Vec<Parameter>,
    /// Shape of the value that the next layer takes.
    shape: Shape,
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
                    let shape = self.shape.clone();
                    let at = At {
                        layer: entry,
                        path: &path,
                        word: kind.word(),
                        input: &shape,
                    };
                    let (op, output) = at.resolve(kind, self.classes)?;
                    self.push(&at, op, output)?;
                }
            }
        }
        Ok(())
    }

    fn residual(
        &mut self,
        path: &str,
        entry: usize,
        residual: &model::Residual,
    ) -> Result<(), Error> {
        let (input, reaches) = (self.shape.clone(), self.reaches);
        let at = At {
            layer: entry,
            path,
            word: "residual",
            input: &input,
        };
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
        let (output, trains) = (self.shape.clone(), self.reaches);
        (self.shape, self.reaches) = (input.clone(), reaches);
        if !residual.projection.is_empty() {
            let path = format!("{path}.projection");
            let (path, word) = (&*path, "projection");
            self.push(&At { path, word, ..at }, Op::Shortcut, input.clone())?;
            self.list(&format!("{path}."), &residual.projection, None)?;
        }
        if self.shape != output {
            return Err(Error::Branches {
                layer: entry,
                path: path.into(),
                input,
                output,
                projected: (!residual.projection.is_empty()).then(|| self.shape.clone()),
            });
        }
        self.reaches |= trains;
        let at = At {
            input: &output,
            ..at
        };
        self.push(&at, Op::Add, output.clone())
    }

    fn push(&mut self, at: &At<'_>, kind: Op, output: Shape) -> Result<(), Error> {
        let first = self.parameters.len();
        parameter::add(at.path, &kind, at.input, self.groups, &mut self.parameters)
            .ok_or_else(|| at.too_large())?;
        let reached = self.reaches;
        let own = &self.parameters[first..];
        self.reaches |= own.iter().any(|parameter| parameter.trained);
        let cost =
            cost(&kind, at.input, &output, self.reaches, reached).ok_or_else(|| at.too_large())?;
        self.shape = output.clone();
        self.layers.push(Layer {
            path: at.path.to_string(),
            entry: at.layer,
            word: at.word,
            kind,
            input: at.input.clone(),
            output,
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
        Ok(())
    }
}
