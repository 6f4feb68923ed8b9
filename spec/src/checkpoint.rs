//! The manifest of a checkpoint: committed state S complete, and what prediction needs. A checkpoint without a manifest
//! does not exist.

use serde::{Deserialize, Serialize};

use crate::dataset::{DatasetManifest, TokenForm};
use crate::digest::Digest;
use crate::id::JobId;
use crate::job::{Data, Job};
use crate::shape::Shape;
use crate::watch::Watch;

/// What a checkpoint holds and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckpointManifest {
    /// The job that made it; none for one that was imported.
    pub job_id: Option<JobId>,
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
    /// The value that `training.monitor` names, of the validation phase after this very step; none without one, or if it was
    /// no finite number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitored: Option<f64>,
    /// Facts of the data that the model was built on.
    pub data: DataFacts,
    /// Shape and offset constants of preprocessing.
    pub preprocessing: Preprocessing,
    /// The flat sections of S, in order: `parameters`, then the optimiser's, then `averages` and `running_statistics` where there
    /// are any. The order inside of `parameters` is that of the job's plan: what is trained lies first, and the optimiser's
    /// sections and the averages are as long as that alone.
    pub sections: Vec<Section>,
    /// The digest of all of S, as ranks compute it.
    pub state_digest: String,
}

/// What the data tells the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataFacts {
    /// The shape of one sample; of tokens the shape of one, `1`.
    pub shape: Shape,
    /// The class names, by class number; none where text is one stream.
    pub classes: Vec<String>,
    /// What the tokens are, where the samples are tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenFacts>,
}

/// What the model is told of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenFacts {
    /// Whether every token has the next one as its target, or every sample a class.
    pub form: TokenForm,
    /// Different tokens there can be; every token is below it.
    pub vocabulary: u32,
    /// The most tokens of a sample, at least 1: of a stream the length of its windows, of rows where they are cut.
    pub sequence_length: u32,
    /// The chunk that holds the tokenizer; `None` for a model that is planned without data.
    pub tokenizer: Option<Digest>,
}

/// Why a job does not suit the form of its data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsuitedLength {
    /// A stream is cut into windows, whose length nobody can guess.
    #[error(
        "data.sequence_length is missing: {dataset} is one stream of text, trained on in windows of so many tokens; set it, as in sequence_length = 64"
    )]
    Missing {
        /// The dataset.
        dataset: String,
    },
    /// Samples of a fixed shape cannot be cut.
    #[error("data.sequence_length: {dataset} is no text, its samples are of {shape}: leave it out")]
    NoTokens {
        /// The dataset.
        dataset: String,
        /// The shape of its samples.
        shape: Shape,
    },
}

impl DataFacts {
    /// What a dataset that a job trains on tells the job's model.
    ///
    /// # Errors
    /// A stream without a `data.sequence_length`, or one given where the samples are no tokens.
    pub fn of(manifest: &DatasetManifest, data: &Data) -> Result<Self, UnsuitedLength> {
        let dataset = || data.train.dataset.clone();
        let tokens = match (manifest.tokens, data.sequence_length) {
            (None, None) => None,
            (None, Some(_)) => {
                return Err(UnsuitedLength::NoTokens {
                    dataset: dataset(),
                    shape: manifest.shape.clone(),
                });
            }
            (Some(tokens), length) => {
                let split = manifest.split(&data.train.split);
                let lengths = split.and_then(|split| split.tokens?.lengths);
                let length = length.or(lengths.map(|lengths| lengths.longest));
                let Some(sequence_length) = length else {
                    return Err(UnsuitedLength::Missing { dataset: dataset() });
                };
                Some(TokenFacts {
                    form: tokens.form,
                    vocabulary: tokens.vocabulary,
                    sequence_length,
                    tokenizer: Some(tokens.tokenizer),
                })
            }
        };
        Ok(DataFacts {
            shape: manifest.shape.clone(),
            classes: manifest.classes.clone(),
            tokens,
        })
    }

    /// How many classes the model tells apart: those of the data, or the vocabulary where the target is the next token.
    pub fn class_count(&self) -> usize {
        match self.tokens {
            Some(TokenFacts {
                form: TokenForm::Stream,
                vocabulary,
                ..
            }) => vocabulary as usize,
            _ => self.classes.len(),
        }
    }

    /// The most tokens of a sample, where the samples are tokens.
    pub fn sequence_length(&self) -> Option<u32> {
        self.tokens.map(|tokens| tokens.sequence_length)
    }
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

    /// Every chunk that the checkpoint is made of: its sections, and the tokenizer of its data.
    pub fn chunks(&self) -> impl Iterator<Item = Digest> + '_ {
        self.sections
            .iter()
            .flat_map(|section| section.chunks.iter().copied())
            .chain(self.data.tokens.and_then(|tokens| tokens.tokenizer))
    }
}
