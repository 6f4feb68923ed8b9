//! The buffers that carry gradients from the loss back through the stages. A gradient has one reader, except where an add
//! hands it to both branches of a residual: there the first to read it gets a copy if it would write over it.

use crate::lifetime::{Buffers, Clock, batch_bytes};
use crate::stage::{Stage, StageKind};

/// The gradient of a stage's output.
#[derive(Clone, Copy)]
struct Gradient {
    buffer: usize,
    /// Whether it is read later by another.
    shared: bool,
}

/// Lays out the gradients and writes their positions into the stages; the buffer that the loss writes.
pub(crate) fn lay_out(
    stages: &mut [Stage],
    samples: usize,
    buffers: &mut Buffers<'_>,
    clock: &Clock,
) -> Option<Option<usize>> {
    let mut logits = None;
    // What has come for each stage; for a fork first what comes through its shortcut, then what comes through its layers.
    let mut arrived: Vec<Vec<Gradient>> = vec![Vec::new(); stages.len()];
    for index in (0..stages.len()).rev() {
        if !stages[index].backward {
            continue;
        }
        let when = clock.backward(index);
        if index + 1 == stages.len() {
            let last = &stages[index];
            let read = [Some(last.input), last.shortcut_input].contains(&Some(last.output));
            let buffer = if read || last.kind.reads_output() {
                let name = buffers.name("gradient", last);
                buffers.add(
                    name,
                    batch_bytes(last.outputs, last.output_rows(samples)?)?,
                    clock.loss..=when,
                )
            } else {
                // The loss alone reads what the last stage gives, and may write over it.
                last.output
            };
            logits = Some(buffer);
            arrived[index].push(Gradient {
                buffer,
                shared: false,
            });
        }
        for gradient in &arrived[index] {
            buffers.extend(gradient.buffer, when);
        }
        let output = *arrived[index].last()?;
        stages[index].output_gradient = Some(output.buffer);
        let needed = |stage: Option<usize>| stage.filter(|&stage| stages[stage].backward);
        let source = needed(stages[index].source);
        match stages[index].kind {
            StageKind::Add => {
                let shortcut = needed(stages[index].shortcut);
                let mut branches: Vec<usize> = [source, shortcut].into_iter().flatten().collect();
                branches.sort_unstable_by(|one, other| other.cmp(one));
                for (turn, &branch) in branches.iter().enumerate() {
                    let shared = output.shared || turn + 1 < branches.len();
                    let gradient = if shared && stages[branch].kind.spoils_gradient() {
                        let name = buffers.name("gradient", &stages[branch]);
                        let rows = stages[index].output_rows(samples)?;
                        let bytes = batch_bytes(stages[index].outputs, rows)?;
                        Gradient {
                            buffer: buffers.add(name, bytes, when..=when),
                            shared: false,
                        }
                    } else {
                        Gradient { shared, ..output }
                    };
                    arrived[branch].push(gradient);
                    if source == Some(branch) {
                        stages[index].input_gradient = Some(gradient.buffer);
                    } else {
                        stages[index].shortcut_gradient = Some(gradient.buffer);
                    }
                }
            }
            StageKind::Fork => {
                stages[index].shortcut_gradient = Some(arrived[index].first()?.buffer);
                stages[index].input_gradient = source.map(|_| output.buffer);
                if let Some(source) = source {
                    arrived[source].push(output);
                }
            }
            _ => {
                let Some(source) = source else { continue };
                let buffer = if stages[index].kind.keeps_shape() {
                    output.buffer
                } else {
                    let name = buffers.name("gradient", &stages[source]);
                    let rows = stages[index].input_rows(samples)?;
                    let bytes = batch_bytes(stages[index].inputs, rows)?;
                    buffers.add(name, bytes, when..=when)
                };
                stages[index].input_gradient = Some(buffer);
                arrived[source].push(Gradient {
                    buffer,
                    shared: false,
                });
            }
        }
    }
    Some(logits)
}
