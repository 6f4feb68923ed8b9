//! A run of the plan in which every value is a number that says what it is, so that whatever a stage reads is what the layers
//! say that it should read.

use std::collections::BTreeMap;

use proptest::prelude::*;
use spec::model::{Activation, Dropout, Gelu, LayerKind};

use super::residuals::{repeat, residual};
use super::{average, batch_norm, classes, conv, linear, norm, planned, pool};
use crate::{Op, Plan};

/// Layers whose output has the shape of their input.
fn keeping() -> impl Strategy<Value = LayerKind> {
    prop_oneof![
        3 => prop::sample::select(vec![conv(2, 3, 1, 1), conv(2, 1, 1, 0)]),
        2 => Just(LayerKind::Relu),
        1 => Just(batch_norm()),
        1 => Just(LayerKind::Dropout(Dropout { rate: 0.25 })),
        1 => Just(norm(2)),
        2 => prop::sample::select(vec![Activation::Gelu(Gelu::Erf), Activation::Tanh, Activation::Sigmoid])
            .prop_map(LayerKind::Activation),
    ]
}

/// Residuals and repeats of them, all of which keep the shape.
fn nested() -> impl Strategy<Value = LayerKind> {
    keeping().prop_recursive(3, 24, 5, |inner| {
        let list = || prop::collection::vec(inner.clone(), 1..5);
        let projection = prop_oneof![Just(vec![]), list()];
        prop_oneof![
            3 => (list(), projection).prop_map(|(body, projection)| residual(body, projection)),
            1 => (1u32..4, list()).prop_map(|(times, kinds)| repeat(times, kinds)),
        ]
    })
}

/// Residuals whose layers halve the sample.
fn halving() -> impl Strategy<Value = LayerKind> {
    let list = || prop::collection::vec(nested(), 0..3);
    (list(), list(), list()).prop_map(|(before, after, beside)| {
        let body = [before, vec![conv(2, 3, 2, 1)], after].concat();
        residual(body, [vec![conv(2, 1, 2, 0)], beside].concat())
    })
}

fn network() -> impl Strategy<Value = Vec<LayerKind>> {
    let layer = prop_oneof![
        4 => nested(), 1 => halving(), 1 => Just(pool(2, 2, 0)), 1 => Just(average(2, 1)),
    ];
    prop::collection::vec(layer, 1..6)
}

/// What a buffer holds: a number that says which value it is.
type Token = u64;

fn token(parts: &[u64]) -> Token {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

/// The arena of a plan, and what each of its buffers holds.
struct Memory<'p> {
    plan: &'p Plan,
    operation: usize,
    held: BTreeMap<usize, Token>,
    /// The value that a relu has written over, by what it wrote.
    rectified: BTreeMap<Token, Token>,
}

impl Memory<'_> {
    fn write(&mut self, buffer: usize, token: Token) {
        let place = &self.plan.buffers[buffer];
        assert!(
            (place.first..=place.last).contains(&self.operation),
            "{place:?} at {}",
            self.operation
        );
        let apart = |other: &usize| {
            let other = &self.plan.buffers[*other];
            other.offset + other.bytes <= place.offset || place.offset + place.bytes <= other.offset
        };
        self.held.retain(|other, _| apart(other));
        self.held.insert(buffer, token);
    }

    fn read(&self, buffer: usize, token: Token) {
        let place = &self.plan.buffers[buffer];
        assert!(
            (place.first..=place.last).contains(&self.operation),
            "{place:?} at {}",
            self.operation
        );
        assert_eq!(
            self.held.get(&buffer),
            Some(&token),
            "{place:?} at {}",
            self.operation
        );
    }

    /// Reads what a backward pass takes: the sign of a value is enough where a relu has written over it.
    fn read_output(&self, buffer: usize, token: Token) {
        let mut held = self.held.get(&buffer).copied();
        while let Some(now) = held.filter(|&now| now != token) {
            held = self.rectified.get(&now).copied();
        }
        assert_eq!(
            held,
            Some(token),
            "{:?} at {}",
            self.plan.buffers[buffer],
            self.operation
        );
    }
}

/// Runs the plan on tokens, forward and backward, by what the flat list of layers says.
fn run(plan: &Plan) {
    let mut memory = Memory {
        plan,
        operation: 0,
        held: BTreeMap::new(),
        rectified: BTreeMap::new(),
    };
    let state: Vec<usize> = [plan.places.parameters]
        .into_iter()
        .chain(plan.places.slots.clone())
        .chain(plan.places.record)
        .collect();
    for &buffer in &state {
        memory.write(buffer, buffer as u64);
    }
    let mut value = token(&[u64::MAX]);
    memory.write(plan.places.input, value);
    let (mut forks, mut put_aside): (Vec<Token>, Vec<Option<Token>>) = (vec![], vec![]);
    let mut stages = plan.stages.iter().enumerate().peekable();
    let mut seen: Vec<[Token; 2]> = Vec::new();
    for (number, layer) in plan.layers.iter().enumerate() {
        let stage = stages.next_if(|(_, stage)| stage.layers.start == number);
        if layer.kind == Op::Shortcut {
            *put_aside.last_mut().unwrap() = Some(value);
            value = *forks.last().unwrap();
        }
        let Some((index, stage)) = stage else {
            continue;
        };
        memory.operation = index;
        let mut x = value;
        match layer.kind {
            Op::Fork => {
                forks.push(value);
                put_aside.push(None);
                assert_eq!(stage.input, stage.output);
                memory.read(stage.output, x);
            }
            Op::Add => {
                let (fork, aside) = (forks.pop().unwrap(), put_aside.pop().unwrap());
                let (body, shortcut) = match aside {
                    Some(body) => (body, value),
                    None => (value, fork),
                };
                memory.read(stage.input, body);
                memory.read(stage.shortcut_input.unwrap(), shortcut);
                (x, value) = (body, token(&[index as u64, body, shortcut]));
                memory.write(stage.output, value);
            }
            _ => {
                memory.read(stage.input, x);
                if let Some(work) = stage.forward_work {
                    memory.write(work, 1);
                }
                value = token(&[index as u64, x]);
                if layer.kind == Op::Relu && stage.input == stage.output {
                    memory.rectified.insert(value, x);
                }
                for kept in [stage.indices, stage.statistics, stage.convolved]
                    .into_iter()
                    .flatten()
                {
                    memory.write(kept, token(&[index as u64, 7]));
                }
                memory.write(stage.output, value);
            }
        }
        seen.push([x, value]);
    }
    assert!(stages.next().is_none());
    memory.operation = plan.stages.len();
    memory.read(plan.places.logits, value);
    let mut gradient = token(&[7]);
    memory.write(plan.places.logits_gradient.unwrap(), gradient);
    backward(plan, &mut memory, &seen, &mut gradient);
    memory.operation = 2 * plan.stages.len() + 1;
    for &buffer in &state {
        memory.read(buffer, buffer as u64);
    }
}

fn backward(plan: &Plan, memory: &mut Memory<'_>, seen: &[[Token; 2]], gradient: &mut Token) {
    let mut stages = plan.stages.iter().enumerate().rev().peekable();
    // The gradient of each open add, and what has come through its shortcut.
    let mut open: Vec<(Token, Option<Token>)> = Vec::new();
    for (number, layer) in plan.layers.iter().enumerate().rev() {
        if layer.kind == Op::Shortcut {
            let (add, through) = open.last_mut().unwrap();
            (*through, *gradient) = (Some(*gradient), *add);
        }
        let stage = stages.next_if(|(_, stage)| stage.layers.start == number);
        let Some((index, stage)) = stage else {
            continue;
        };
        memory.operation = 2 * plan.stages.len() - index;
        assert_eq!(stage.output_gradient.is_some(), stage.backward);
        let y_gradient = stage.output_gradient;
        match layer.kind {
            Op::Add => {
                open.push((*gradient, None));
                if let Some(y_gradient) = y_gradient {
                    memory.read(y_gradient, *gradient);
                }
                for branch in [stage.input_gradient, stage.shortcut_gradient] {
                    if let Some(buffer) = branch.filter(|_| branch != y_gradient) {
                        memory.write(buffer, *gradient);
                    }
                }
            }
            Op::Fork => {
                let (add, through) = open.pop().unwrap();
                let through = through.unwrap_or(add);
                if stage.backward {
                    memory.read(y_gradient.unwrap(), *gradient);
                    memory.read(stage.shortcut_gradient.unwrap(), through);
                    *gradient = token(&[*gradient, through]);
                    memory.write(y_gradient.unwrap(), *gradient);
                } else {
                    assert_eq!(stage.shortcut_gradient, None);
                }
            }
            _ if stage.backward => {
                let [x, y] = seen[index];
                if stage.kind.reads_input() {
                    memory.read(stage.input, x);
                }
                if stage.kind.reads_output() {
                    memory.read_output(stage.output, y);
                }
                for kept in [stage.indices, stage.statistics, stage.convolved]
                    .into_iter()
                    .flatten()
                {
                    memory.read(kept, token(&[index as u64, 7]));
                }
                memory.read(y_gradient.unwrap(), *gradient);
                if let Some(work) = stage.backward_work {
                    memory.write(work, 1);
                }
                if stage.kind.spoils_gradient() {
                    memory.write(y_gradient.unwrap(), 2);
                }
                *gradient = token(&[index as u64, *gradient, 3]);
                if let Some(buffer) = stage.input_gradient {
                    memory.write(buffer, *gradient);
                }
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_stage_reads_the_value_that_the_layers_say(
        mut kinds in network(),
        trains_from: bool,
        microbatch in 1usize..20,
        threads in 1usize..4,
    ) {
        if trains_from {
            kinds.insert(0, conv(2, 3, 1, 1));
        }
        kinds.extend([LayerKind::Flatten, residual(vec![linear(5)], vec![linear(5), LayerKind::Relu]), LayerKind::Softmax, classes()]);
        let Ok(plan) = planned("2x9x7", kinds, |request| {
            (request.microbatch, request.threads) = (microbatch, threads);
        }) else { return Ok(()) };
        run(&plan);
    }
}
