//! A rank's training, prepared: data, plan, engine and state.

use std::sync::Arc;

use data::{Rows, Selection};
use engine::Engine;
use plan::{Plan, Reads};
use spec::checkpoint::{DataFacts, Preprocessing};
use spec::job::SplitRef;
use spec::rank::Failure;
use spec::watch::Watch;
use spec::{CheckpointManifest, DatasetManifest, Digest, Job, JobId};
use tracing::info;

use super::failure::{of_data, of_engine};
use super::progress::Calendar;
use super::state;
use crate::depot::{Depot, DepotChunks, lasting};
use crate::machine;

/// A rank's training, prepared to meet its gang.
pub struct Training {
    pub(super) job: Job,
    pub(super) rank: usize,
    pub(super) depot: Arc<dyn Depot>,
    pub(super) facts: DataFacts,
    pub(super) rows: Rows,
    pub(super) validation: Option<Rows>,
    pub(super) preprocessing: Preprocessing,
    pub(super) calendar: Calendar,
    pub(super) engine: Engine<f32>,
    /// Commits so far: steps and validation phases.
    pub(super) commit: u64,
    /// What the validation phases so far have decided.
    pub(super) watch: Watch,
    /// The step after which rows were last validated, and the monitored value if it is a finite number.
    pub(super) validated: Option<(u64, f64)>,
    /// The checkpoint that it goes on from.
    pub(super) resumed: Option<Digest>,
}

impl Training {
    /// Reads what the job names, plans, allocates, and sets the state: that of the newest whole checkpoint up to
    /// `resume`, or initial values.
    ///
    /// # Errors
    /// Data or a checkpoint that cannot be read, or a model that does not fit.
    pub fn prepare(
        job: &Job,
        depot: Arc<dyn Depot>,
        rank: usize,
        resume: Option<(JobId, Digest)>,
    ) -> Result<Self, Failure> {
        let train = depot.dataset(&job.data.train)?;
        let facts = DataFacts::of(&train, &job.data).map_err(lasting)?;
        let chunks = Arc::new(DepotChunks(depot.clone()));
        let open = |manifest: &DatasetManifest, reference: &SplitRef, selection| {
            Rows::open(
                &reference.dataset,
                manifest,
                &reference.split,
                selection,
                facts.sequence_length(),
                chunks.clone(),
            )
            .map_err(|error| of_data(&error))
        };
        let rows = open(&train, &job.data.train, Selection::trained_on(&job.data))?;
        let mut reads = vec![(train, &job.data.train)];
        let validation = match Selection::validated_on(&job.data) {
            None => None,
            Some((reference, selection)) => {
                let manifest = depot.dataset(reference)?;
                let rows = open(&manifest, reference, selection)?;
                reads.push((manifest, reference));
                Some(rows)
            }
        };
        let reads: Vec<Reads> = reads
            .iter()
            .filter_map(|(manifest, reference)| {
                Some(Reads {
                    manifest,
                    split: manifest.split(&reference.split)?,
                })
            })
            .collect();
        let plan = plan::for_job(job, &facts, &reads).map_err(lasting)?;
        let calendar = Calendar::new(job, rows.len());
        // What the process takes from here on is held against the plan (docs/benchmarks.md).
        info!(
            planned_bytes = plan.memory.total,
            resident_bytes = machine::resident().map(|resident| resident.now),
            "allocating the arena"
        );
        let mut engine =
            Engine::new(plan, job.resources.threads as usize).map_err(|error| of_engine(&error))?;
        let restored = match resume {
            Some((id, digest)) => state::restore(&mut engine, depot.as_ref(), id, digest)?,
            None => None,
        };
        let preprocessing = match &restored {
            Some(restored) => restored.manifest.preprocessing.clone(),
            None => {
                data::preprocessing(job.data.normalize, &rows).map_err(|error| of_data(&error))?
            }
        };
        if restored.is_none() {
            engine.initialize(job.training.seed);
        }
        let commit = restored
            .as_ref()
            .map_or(0, |restored| restored.manifest.commit);
        let watch = restored
            .as_ref()
            .map_or(Watch::default(), |restored| restored.manifest.watch);
        let resumed = restored.map(|restored| restored.manifest.digest());
        if let Some(digest) = resumed {
            info!(step = engine.step(), %digest, "going on from checkpoint");
        }
        Ok(Training {
            job: job.clone(),
            rank,
            depot,
            facts,
            rows,
            validation,
            preprocessing,
            calendar,
            engine,
            commit,
            watch,
            validated: None,
            resumed,
        })
    }

    /// The plan that it runs.
    pub fn plan(&self) -> &Plan {
        self.engine.plan()
    }

    /// The committed state as a checkpoint of this job, and the bytes of its chunks in order.
    pub fn checkpoint(&self, job_id: Option<JobId>) -> (CheckpointManifest, Vec<&[u8]>) {
        let (sections, chunks) = state::sections(&self.engine);
        let manifest = CheckpointManifest {
            job_id,
            sections,
            job: self.job.clone(),
            device_class: engine::device_class(),
            step: self.engine.step(),
            commit: self.commit,
            watch: self.watch,
            monitored: self.monitored(),
            data: self.facts.clone(),
            preprocessing: self.preprocessing.clone(),
            state_digest: self.state_digest(),
        };
        (manifest, chunks)
    }

    /// The value of the validation phase after the step that it stands at.
    fn monitored(&self) -> Option<f64> {
        let (step, value) = self.validated?;
        (step == self.engine.step()).then_some(value)
    }

    /// The digest of all of S.
    pub(super) fn state_digest(&self) -> String {
        state::digest(&self.engine, self.commit, &self.watch)
    }

    /// Puts weights that came from elsewhere in place of those that it has: as many parameters and running statistics as its
    /// plan counts.
    pub fn put_weights(&mut self, parameters: &[f32], running_statistics: &[f32]) {
        self.engine.parameters_mut().copy_from_slice(parameters);
        let running = self.engine.running_statistics_mut();
        running.copy_from_slice(running_statistics);
    }

    /// The step that it stands at: 0 before the first.
    pub fn step(&self) -> u64 {
        self.engine.step()
    }

    /// All steps of the job.
    pub fn steps(&self) -> u64 {
        self.calendar.steps
    }
}
