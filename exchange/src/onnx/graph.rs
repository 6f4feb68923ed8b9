//! A graph while it is built: nodes are added in running order, constants as they are needed.

use std::collections::BTreeSet;

use super::message::{
    Attribute, AttributeKind, Dimension, Element, Extent, Extents, Graph, Node, Tensor, TensorType,
    Type, ValueInfo,
};
use crate::exported::Exported;

/// A graph while it is built. Values are known by their names.
pub struct Builder<'a> {
    exported: &'a Exported<'a>,
    nodes: Vec<Node>,
    constants: Vec<Tensor>,
    names: BTreeSet<String>,
    inputs: Vec<ValueInfo>,
    forks: Vec<Fork>,
    /// What the layers of a graph of sequences share.
    pub sequences: Option<Sequences>,
}

/// What the layers of a graph of sequences share.
#[derive(Debug, Clone)]
pub struct Sequences {
    /// The value that holds the two extents (steps, batch).
    pub extents: String,
    /// The input that holds how many steps each sample has, where that makes a difference: (batch), in i32.
    pub lengths: Option<String>,
    /// The value that holds the last hidden states of the recurrent layer that was added last: (directions, batch, hidden).
    pub hidden: Option<String>,
}

/// Two branches of one value that have not been joined.
struct Fork {
    /// What both take.
    input: String,
    /// What the first gives, once it has ended.
    first: Option<String>,
}

impl<'a> Builder<'a> {
    /// An empty graph.
    pub fn new(exported: &'a Exported<'a>) -> Self {
        Builder {
            exported,
            nodes: Vec::new(),
            constants: Vec::new(),
            names: BTreeSet::new(),
            inputs: Vec::new(),
            forks: Vec::new(),
            sequences: None,
        }
    }

    /// Adds an input of the graph; its name.
    pub fn input(&mut self, name: &str, element: Element, extents: Vec<Dimension>) -> String {
        self.inputs.push(value(name, element, extents));
        name.to_string()
    }

    /// Adds a node called `name` with one output, which has the same name; that name.
    pub fn node(
        &mut self,
        name: &str,
        operator: &str,
        inputs: &[&str],
        attributes: Vec<Attribute>,
    ) -> String {
        self.nodes(&[name], operator, inputs, attributes);
        name.to_string()
    }

    /// Adds a node with several outputs, called as the first of them.
    pub fn nodes(
        &mut self,
        names: &[&str],
        operator: &str,
        inputs: &[&str],
        attributes: Vec<Attribute>,
    ) {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        self.nodes.push(Node {
            input: owned(inputs),
            output: owned(names),
            name: names.first().map(ToString::to_string),
            op_type: Some(operator.to_string()),
            attribute: attributes,
        });
    }

    /// Adds the parameter of this number among the plan's as a constant, unless it is there; its name.
    pub fn numbered(&mut self, number: usize) -> String {
        let name = self.exported.plan.parameters[number].name.clone();
        self.parameter(&name)
    }

    /// The values of the parameter of this name.
    pub fn values(&self, name: &str) -> &'a [f32] {
        let parameters = &self.exported.plan.parameters;
        let found = parameters.iter().find(|parameter| parameter.name == name);
        let parameter = found.expect("a layer's parameters are in its plan");
        &self.exported.parameters[parameter.words()]
    }

    /// Begins two branches of the value `x`; what the first takes.
    pub fn fork(&mut self, x: &str) -> String {
        self.forks.push(Fork {
            input: x.to_string(),
            first: None,
        });
        x.to_string()
    }

    /// Ends the first branch with `x` and begins the second; what that takes.
    pub fn shortcut(&mut self, x: &str) -> String {
        let fork = self.forks.last_mut().expect("a plan's branches are paired");
        fork.first = Some(x.to_string());
        fork.input.clone()
    }

    /// Ends the branches; what the other one gives than the one that has run last.
    pub fn join(&mut self) -> String {
        let fork = self.forks.pop().expect("a plan's branches are paired");
        fork.first.unwrap_or(fork.input)
    }

    /// Adds the parameter of this name as a constant, unless it is there; its name.
    pub fn parameter(&mut self, name: &str) -> String {
        let parameters = &self.exported.plan.parameters;
        let found = parameters.iter().find(|parameter| parameter.name == name);
        let parameter = found.expect("a layer's parameters are in its plan");
        let values = &self.exported.parameters[parameter.words()];
        self.floats(name, &parameter.shape, values)
    }

    /// Adds the running statistic of this name as a constant, unless it is there; its name.
    pub fn statistic(&mut self, name: &str) -> String {
        let statistics = &self.exported.plan.running_statistics;
        let found = statistics.iter().find(|statistic| statistic.name == name);
        let words = found.expect("a layer's statistics are in its plan");
        let values = &self.exported.running_statistics[words.words.clone()];
        self.floats(name, &[values.len()], values)
    }

    /// Adds a constant of f32 values, unless there is one of this name; its name.
    pub fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let bytes = || {
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        };
        self.constant(name, Element::Float, shape, bytes)
    }

    /// Adds a constant of i64 values in one dimension, unless there is one of this name; its name.
    pub fn ints(&mut self, name: &str, values: &[i64]) -> String {
        let bytes = || {
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        };
        self.constant(name, Element::Int64, &[values.len()], bytes)
    }

    /// Adds a constant that is one whole number, unless there is one of this name; its name.
    pub fn whole(&mut self, name: &str, value: i64) -> String {
        self.constant(name, Element::Int64, &[], || value.to_le_bytes().to_vec())
    }

    fn constant(
        &mut self,
        name: &str,
        element: Element,
        shape: &[usize],
        bytes: impl Fn() -> Vec<u8>,
    ) -> String {
        if self.names.insert(name.to_string()) {
            self.constants.push(Tensor {
                dims: shape.iter().map(|&extent| extent as i64).collect(),
                data_type: Some(element.into()),
                name: Some(name.to_string()),
                raw_data: Some(bytes()),
            });
        }
        name.to_string()
    }

    /// The graph whose one output is `last`, under another name.
    pub fn finish(
        mut self,
        last: &str,
        output: &str,
        element: Element,
        extents: Vec<Dimension>,
    ) -> Graph {
        self.node(output, "Identity", &[last], Vec::new());
        Graph {
            node: self.nodes,
            name: Some(self.exported.manifest.job.name.clone()),
            initializer: self.constants,
            input: self.inputs,
            output: vec![value(output, element, extents)],
        }
    }
}

fn value(name: &str, element: Element, extents: Vec<Dimension>) -> ValueInfo {
    let extent = extents
        .into_iter()
        .map(|value| Extent { value: Some(value) })
        .collect();
    ValueInfo {
        name: Some(name.to_string()),
        kind: Some(Type {
            tensor: Some(TensorType {
                element: Some(element.into()),
                shape: Some(Extents { extent }),
            }),
        }),
    }
}

fn attribute(name: &str, kind: AttributeKind) -> Attribute {
    Attribute {
        name: Some(name.to_string()),
        kind: Some(kind.into()),
        ..Attribute::default()
    }
}

/// An attribute that is a floating-point number.
pub fn float(name: &str, value: f64) -> Attribute {
    Attribute {
        f: Some(value as f32),
        ..attribute(name, AttributeKind::Float)
    }
}

/// An attribute that is a whole number.
pub fn int(name: &str, value: i64) -> Attribute {
    Attribute {
        i: Some(value),
        ..attribute(name, AttributeKind::Int)
    }
}

/// An attribute that is a list of whole numbers.
pub fn ints(name: &str, values: &[usize]) -> Attribute {
    Attribute {
        ints: values.iter().map(|&value| value as i64).collect(),
        ..attribute(name, AttributeKind::Ints)
    }
}

/// An attribute that is a list of words.
pub fn texts(name: &str, values: &[&str]) -> Attribute {
    Attribute {
        strings: values
            .iter()
            .map(|value| value.as_bytes().to_vec())
            .collect(),
        ..attribute(name, AttributeKind::Strings)
    }
}

/// An attribute that is a word.
pub fn text(name: &str, value: &str) -> Attribute {
    Attribute {
        s: Some(value.as_bytes().to_vec()),
        ..attribute(name, AttributeKind::String)
    }
}
