//! The manifest of a checkpoint: committed state S complete, and what prediction needs. A checkpoint without a manifest
//! does not exist.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::JobId;
use crate::job::Job;
use crate::shape::Shape;
use crate::watch::Watch;

/// What a checkpoint holds and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckpointManifest {
    /// The job that made it.
    pub job_id: JobId,
    /// The canonical job.
    pub job: Job,
    /// The device class whose bits these are.
    pub device_class: String,
    /// Steps applied.
    pub step: u64,
    /// Commits so far: training steps and validation phases (DESIGN section 6).
    pub commit: u64,
    /// What the validation phases so far have decided.
    pub watch: Watch,
    /// Facts of the data that the model was built on.
    pub data: DataFacts,
    /// Shape and offset constants of preprocessing.
    pub preprocessing: Preprocessing,
    /// The flat sections of S, in order: `parameters`, then the optimiser's, then `running_statistics` where there are any.
    pub sections: Vec<Section>,
    /// The digest of all of S, as ranks compute it.
    pub state_digest: String,
}

/// What the data tells the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataFacts {
    /// The shape of one sample.
    pub shape: Shape,
    /// The class names, by class number.
    pub classes: Vec<String>,
}

/// The constants applied to each value: `(x - shift[c]) * scale[c]`, both in f32, by channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Subtracted, by channel.
    pub shift: Vec<f32>,
    /// Multiplied by after that, by channel.
    pub scale: Vec<f32>,
}

/// One flat buffer of S, cut into chunks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// `parameters`, or what the optimiser calls its state: `momentum`, `first_moment`, `mean_square` and so on.
    pub name: String,
    /// Little-endian f32 words in it.
    pub words: u64,
    /// The chunks that hold its bytes, in order.
    pub chunks: Vec<Digest>,
}

impl CheckpointManifest {
    /// The digest of the canonical JSON: the checkpoint's own name.
    pub fn digest(&self) -> Digest {
        let json =
            serde_json::to_vec(self).expect("a manifest has no map with keys that are not text");
        Digest::of(&json)
    }

    /// Every chunk that the checkpoint is made of.
    pub fn chunks(&self) -> impl Iterator<Item = Digest> + '_ {
        self.sections
            .iter()
            .flat_map(|section| section.chunks.iter().copied())
    }
}
