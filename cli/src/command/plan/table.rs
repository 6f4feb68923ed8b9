//! A plan as a table for people, and as JSON for programs.

use plan::Plan;
use serde::Serialize;

use super::time::Told;
use crate::view::{bytes, count, duration, table};

/// A plan as it is printed.
#[derive(Serialize)]
pub struct Shown<'a> {
    pub name: &'a str,
    pub batch_size: u32,
    pub ranks: u32,
    /// Steps of the whole job, where the data is known.
    pub steps: Option<u64>,
    pub flops_per_step: u64,
    pub bytes_reduced_per_step: u64,
    /// What a person may not want.
    pub warnings: Vec<String>,
    /// How long a step will take.
    pub prediction: Option<Told>,
    /// Why that is not told.
    #[serde(skip)]
    pub unpredicted: Option<String>,
    #[serde(flatten)]
    pub plan: &'a Plan,
}

impl Shown<'_> {
    /// The table and what stands below it.
    pub fn text(&self) -> String {
        let header = [
            "LAYER",
            "KIND",
            "OUTPUT",
            "PARAMETERS",
            "FORWARD FLOP",
            "BACKWARD FLOP",
            "MEMORY",
            "MS",
        ];
        let mut text = table(&header, &self.rows());
        text.push('\n');
        for (key, value) in self.totals() {
            text.push_str(&format!("{key:<14}  {value}\n"));
        }
        text
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let plan = self.plan;
        let blank = String::new;
        let input = vec![
            blank(),
            "input".to_string(),
            plan.input.to_string(),
            blank(),
            blank(),
            blank(),
            bytes(4 * (plan.input.values() * plan.microbatch) as u64),
            blank(),
        ];
        let layers = plan.layers.iter().enumerate().map(|(index, layer)| {
            let word = match layer.kind {
                // Where the branches begin there is nothing but a heading.
                plan::Op::Fork | plan::Op::Shortcut => {
                    let mut row = vec![indented(&layer.path), layer.word.to_string()];
                    row.resize_with(8, blank);
                    return row;
                }
                plan::Op::Add => "sum",
                _ => layer.word,
            };
            vec![
                indented(&layer.path),
                word.to_string(),
                layer.output.to_string(),
                count(layer.parameter_count as u64),
                count(layer.flops_forward),
                count(layer.flops_backward),
                bytes(layer.memory_bytes),
                self.milliseconds(index),
            ]
        });
        [input].into_iter().chain(layers).collect()
    }

    /// The time of a microbatch in the stage that begins with a layer.
    fn milliseconds(&self, layer: usize) -> String {
        let stages = self.plan.stages.iter();
        let stage = stages.clone().position(|stage| stage.layers.start == layer);
        let told = self.prediction.as_ref().zip(stage);
        told.map_or_else(String::new, |(told, stage)| {
            let stage = &told.prediction.stages[stage];
            format!("{:.3}", stage.forward_ms + stage.backward_ms)
        })
    }

    /// How long a step and the job take.
    fn time(&self) -> String {
        let Some(Told {
            rates_of,
            prediction,
        }) = &self.prediction
        else {
            let reason = self.unpredicted.as_deref().unwrap_or_default();
            return format!("- ({reason})");
        };
        let whole = self.steps.map(|steps| {
            let whole = prediction.step_ms * steps as f64;
            format!("; all steps {}", duration(whole as u64))
        });
        format!(
            "{:.2} ms: forward {:.2}, backward {:.2}, sums {:.2}, update {:.2}, other {:.2}; {:.0} samples/s{}, by the rates of {rates_of}",
            prediction.step_ms,
            prediction.forward_ms,
            prediction.backward_ms,
            prediction.reduce_ms,
            prediction.update_ms,
            prediction.other_ms,
            prediction.samples_per_s,
            whole.unwrap_or_default()
        )
    }

    fn totals(&self) -> Vec<(&'static str, String)> {
        let (plan, kinds) = (self.plan, self.plan.memory.kinds);
        let parameters = plan.parameter_count as u64;
        let shares = [
            ("parameters", kinds.parameters),
            ("gradients", kinds.gradients),
            ("optimizer", kinds.optimizer),
            ("activations", kinds.activations),
            ("workspace", kinds.workspace),
            ("data and fold", kinds.data),
            ("unused", kinds.unused),
        ];
        let shares: Vec<String> = shares
            .into_iter()
            .filter(|&(_, share)| share > 0)
            .map(|(name, share)| format!("{name} {}", bytes(share)))
            .collect();
        let mut totals = vec![
            (
                "parameters",
                format!(
                    "{} ({}), {} trained",
                    count(parameters),
                    bytes(4 * parameters),
                    if plan.trained_count < plan.parameter_count {
                        count(plan.trained_count as u64)
                    } else {
                        "all".to_string()
                    }
                ),
            ),
            (
                "global batch",
                format!(
                    "{} in {} microbatches of {}",
                    self.batch_size, plan.microbatches, plan.microbatch
                ),
            ),
            ("steps", self.steps.map_or_else(|| "-".to_string(), count)),
            (
                "FLOP a sample",
                format!(
                    "{} forward, {} backward",
                    count(plan.flops_forward),
                    count(plan.flops_backward)
                ),
            ),
            ("FLOP a step", count(self.flops_per_step)),
            ("time a step", self.time()),
            (
                "memory a rank",
                format!("{}: {}", bytes(plan.memory.total), shares.join(", ")),
            ),
            (
                "reduced a step",
                format!(
                    "{} over {} ranks",
                    bytes(self.bytes_reduced_per_step),
                    self.ranks
                ),
            ),
        ];
        if let Some(samples) = plan.normalised_samples(self.batch_size as usize) {
            totals.push(("batch norm", format!("over {samples} samples")));
        }
        let synced = plan.sync_norms().count();
        if synced > 0 {
            let lanes = format!(
                "{} microbatches of a rank, which meet those of others at {synced} norms",
                plan.lanes
            );
            totals.push(("at once", lanes));
        }
        totals
    }
}

/// A layer's path, moved in by how deep it lies: layers of a block are called `3.0`, `3.1` and so on.
fn indented(path: &str) -> String {
    "  ".repeat(path.matches('.').count()) + path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_of_a_block_stands_further_in() {
        assert_eq!(indented("conv1"), "conv1");
        assert_eq!(indented("3.block.0"), "    3.block.0");
    }
}
