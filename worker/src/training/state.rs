//! Committed state S to checkpoint and back.

use engine::Engine;
use plan::{Mode, Plan};
use spec::checkpoint::Section;
use spec::rank::{Failure, FailureKind};
use spec::watch::Watch;
use spec::{CheckpointManifest, Digest, JobId};
use tracing::warn;

use crate::depot::{Depot, lasting};

/// Bytes of a full chunk of a checkpoint.
const CHUNK_BYTES: usize = 1 << 20;

/// The section of the running statistics.
const RUNNING_STATISTICS: &str = "running_statistics";

/// The section of the averages of weights.
const AVERAGES: &str = "averages";

/// A checkpoint that was read whole.
pub struct Restored {
    /// What it says of itself.
    pub manifest: CheckpointManifest,
}

/// The digest of all of S.
pub fn digest(engine: &Engine<f32>, commit: u64, watch: &Watch) -> String {
    let words: Vec<u64> = [commit].into_iter().chain(watch.words()).collect();
    engine.state_digest(&words)
}

/// The flat buffers of S as the sections of a checkpoint, and the bytes of their chunks in order.
pub fn sections(engine: &Engine<f32>) -> (Vec<Section>, Vec<&[u8]>) {
    let mut chunks: Vec<&[u8]> = Vec::new();
    let buffers = [("parameters", engine.parameters())];
    let others = [
        (AVERAGES, engine.averages()),
        (RUNNING_STATISTICS, engine.running_statistics()),
    ];
    let buffers = buffers
        .into_iter()
        .chain(engine.optimizer_state())
        .chain(others.into_iter().filter(|(_, words)| !words.is_empty()));
    let sections = buffers.map(|(name, words)| {
        let parts: Vec<&[u8]> = bytemuck::cast_slice::<f32, u8>(words)
            .chunks(CHUNK_BYTES)
            .collect();
        let section = Section {
            name: name.to_string(),
            words: words.len() as u64,
            chunks: parts.iter().map(|part| Digest::of(part)).collect(),
        };
        chunks.extend(parts);
        section
    });
    (sections.collect(), chunks)
}

/// Sets the engine to the checkpoint `newest` of a job, or to the newest before it that is whole. `None`: none is.
pub fn restore(
    engine: &mut Engine<f32>,
    depot: &dyn Depot,
    job: JobId,
    newest: Digest,
) -> Result<Option<Restored>, Failure> {
    let mut checkpoints = depot.checkpoints(job)?;
    if let Some(position) = checkpoints
        .iter()
        .position(|manifest| manifest.digest() == newest)
    {
        checkpoints.truncate(position + 1);
    }
    for manifest in checkpoints.into_iter().rev() {
        match load(engine, depot, &manifest) {
            Ok(()) => return Ok(Some(Restored { manifest })),
            Err(failure) if failure.kind == FailureKind::Passing => return Err(failure),
            Err(failure) => warn!(
                step = manifest.step,
                reason = failure.message,
                "checkpoint is not whole, trying the one before"
            ),
        }
    }
    Ok(None)
}

/// Sets the engine to a checkpoint: to all of its state, or, if its plan is for evaluation, to the averages of weights where
/// there are any, else to the parameters themselves.
pub fn load(
    engine: &mut Engine<f32>,
    depot: &dyn Depot,
    manifest: &CheckpointManifest,
) -> Result<(), Failure> {
    fill("parameters", engine.parameters_mut(), depot, manifest)?;
    for (name, words) in engine.optimizer_state_mut() {
        fill(name, words, depot, manifest)?;
    }
    let averages = engine.averages_mut();
    if !averages.is_empty() {
        fill(AVERAGES, averages, depot, manifest)?;
    }
    let evaluates = engine.plan().mode == Mode::Evaluate;
    if evaluates
        && engine
            .plan()
            .ema
            .is_some_and(|ema| ema.begun(manifest.step))
    {
        let trained = engine.plan().trained_count;
        let words = &mut engine.parameters_mut()[..trained];
        fill(AVERAGES, words, depot, manifest)?;
    }
    let running = engine.running_statistics_mut();
    if !running.is_empty() {
        fill(RUNNING_STATISTICS, running, depot, manifest)?;
    }
    engine.set_step(manifest.step);
    let state_digest = digest(engine, manifest.commit, &manifest.watch);
    if engine.plan().mode == Mode::Train && state_digest != manifest.state_digest {
        return Err(lasting(format!(
            "the checkpoint of step {} has state digest {} and reads as {state_digest}",
            manifest.step, manifest.state_digest
        )));
    }
    Ok(())
}

/// The values of a checkpoint's model.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// The flat parameters.
    pub parameters: Vec<f32>,
    /// The flat running statistics.
    pub running_statistics: Vec<f32>,
}

/// Reads the values by which a checkpoint's model is run, verified: the averages of weights where there are any, else the
/// parameters themselves. `plan` is of its job, to evaluate.
///
/// # Errors
/// A chunk that cannot be read or is corrupt, or a checkpoint that does not fit its own model.
pub fn weights(
    plan: &Plan,
    depot: &dyn Depot,
    manifest: &CheckpointManifest,
) -> Result<Weights, Failure> {
    let mut weights = Weights {
        parameters: vec![0.0; plan.parameter_count],
        running_statistics: vec![0.0; plan.statistic_count],
    };
    fill("parameters", &mut weights.parameters, depot, manifest)?;
    if plan.ema.is_some_and(|ema| ema.begun(manifest.step)) {
        let trained = &mut weights.parameters[..plan.trained_count];
        fill(AVERAGES, trained, depot, manifest)?;
    }
    if plan.statistic_count > 0 {
        let running = &mut weights.running_statistics;
        fill(RUNNING_STATISTICS, running, depot, manifest)?;
    }
    Ok(weights)
}

/// Fills one flat buffer of the engine from its section of a checkpoint.
fn fill(
    name: &str,
    words: &mut [f32],
    depot: &dyn Depot,
    manifest: &CheckpointManifest,
) -> Result<(), Failure> {
    let unfit = || {
        lasting(format!(
            "the checkpoint of step {} does not fit its own job: section {name} is not what the model needs",
            manifest.step
        ))
    };
    let section = manifest
        .sections
        .iter()
        .find(|section| section.name == name);
    let section = section
        .filter(|section| section.words == words.len() as u64)
        .ok_or_else(unfit)?;
    let mut bytes: &mut [u8] = bytemuck::cast_slice_mut(words);
    for digest in &section.chunks {
        let chunk = depot.chunk(digest)?;
        if Digest::of(&chunk) != *digest {
            return Err(lasting(format!(
                "chunk {digest} of the checkpoint of step {} is corrupt",
                manifest.step
            )));
        }
        let (part, rest) = bytes.split_at_mut_checked(chunk.len()).ok_or_else(unfit)?;
        part.copy_from_slice(&chunk);
        bytes = rest;
    }
    if bytes.is_empty() {
        Ok(())
    } else {
        Err(unfit())
    }
}
