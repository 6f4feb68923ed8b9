//! How long a step will take: a plan's work at a machine's rates.

use serde::Serialize;
use spec::rates::{Kernel, Rates, Work};

use crate::plan::Plan;

/// A footprint above which passes over memory find nothing in a cache, in bytes.
const FAR: f64 = (16 << 20) as f64;

/// How a gang's ranks lie on machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Ranks of the gang.
    pub ranks: u32,
    /// The most of them on one machine, at least 1.
    pub together: u32,
}

/// A predicted step, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// The whole step.
    pub step_ms: f64,
    /// Samples a second of the whole gang.
    pub samples_per_s: f64,
    /// Forward and loss of a rank's share, that of the rank with most.
    pub forward_ms: f64,
    /// Backward of the same.
    pub backward_ms: f64,
    /// The sums of microbatches, on the rank and among ranks.
    pub reduce_ms: f64,
    /// The update, and the digest of what it gives.
    pub update_ms: f64,
    /// Taking the batch, and telling of the step.
    pub other_ms: f64,
    /// By stage, for one microbatch.
    pub stages: Vec<StagePrediction>,
}

/// A predicted stage, for one microbatch, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StagePrediction {
    /// The layers that it runs.
    pub layers: Vec<String>,
    /// Forward.
    pub forward_ms: f64,
    /// Backward.
    pub backward_ms: f64,
}

/// The kernel that a plan needs and nobody has measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no rate of {} has been measured", .0.word())]
pub struct Unmeasured(pub Kernel);

/// Predicts a step of `batch_size` samples.
///
/// # Errors
/// A kernel without a rate.
pub fn predict(
    plan: &Plan,
    batch_size: u32,
    placement: Placement,
    rates: &Rates,
) -> Result<Prediction, Unmeasured> {
    let price = |kernel: Kernel, work: Work| {
        let rate = rates.kernels.get(&kernel).ok_or(Unmeasured(kernel))?;
        Ok(rate.seconds(work))
    };
    // A pass over parameters finds them in a cache or does not.
    let pass = |kernel: Kernel, work: Work| {
        let near = price(kernel, work)?;
        let bytes = work.bytes + work.weight_bytes;
        Ok(if bytes > FAR {
            near.max(bytes * rates.far_byte_s)
        } else {
            near
        })
    };
    let slow = slowdown(plan, placement, rates);
    let samples = plan.microbatch;
    let mut stages = Vec::with_capacity(plan.stages.len());
    let (mut forward, mut backward) = (price(Kernel::Loss, plan.loss_work(samples))?, 0.0);
    for (stage, work) in plan.stages.iter().zip(plan.stage_work(samples)) {
        let there = price(work.forward.0, work.forward.1)?;
        let back = match work.backward {
            Some((kernel, work)) => price(kernel, work)?,
            None => 0.0,
        };
        forward += there;
        backward += back;
        let layers = plan.layers[stage.layers.clone()].iter();
        stages.push(StagePrediction {
            layers: layers.map(|layer| layer.path.clone()).collect(),
            forward_ms: 1e3 * there * slow,
            backward_ms: 1e3 * back * slow,
        });
    }
    let share = f64::from(plan.microbatches.div_ceil(placement.ranks.max(1)));
    let add = pass(Kernel::Add, plan.add_work())?;
    let mut reduce = add * (share - 1.0);
    if placement.ranks > 1 {
        // Each rank sends and takes the slices of the others, once as sums and once folded. Rates are those of two ranks.
        let others = f64::from(placement.ranks - 1);
        let traffic = 2.0 * others / f64::from(placement.ranks);
        for bytes in plan.folds() {
            reduce += rates.fold_s * others + bytes as f64 * rates.fold_byte_s * traffic;
        }
    }
    let (kernel, work) = plan.update_work();
    let update = pass(kernel, work)? + pass(Kernel::Digest, plan.digest_work())?;
    let [forward, backward] = [forward, backward].map(|time| time * share * slow);
    let update = update * slow;
    let step = forward + backward + reduce + update + rates.step_s;
    let ms = |seconds: f64| 1e3 * seconds;
    Ok(Prediction {
        step_ms: ms(step),
        samples_per_s: f64::from(batch_size) / step,
        forward_ms: ms(forward),
        backward_ms: ms(backward),
        reduce_ms: ms(reduce),
        update_ms: ms(update),
        other_ms: ms(rates.step_s),
        stages,
    })
}

/// How much longer a rank's kernels take than on one thread of an idle machine: less with more threads, more beside others.
fn slowdown(plan: &Plan, placement: Placement, rates: &Rates) -> f64 {
    let (threads, cores) = (plan.threads as f64, f64::from(rates.cores.max(1)));
    let busy = threads * f64::from(placement.together.max(1));
    let crowd = if cores > 1.0 {
        1.0 + (rates.crowding.max(1.0) - 1.0) * ((busy.min(cores) - 1.0) / (cores - 1.0))
    } else {
        1.0
    };
    // Threads beyond the cores take turns.
    crowd * (busy / cores).max(1.0) / (1.0 + rates.thread_gain * (threads - 1.0))
}
