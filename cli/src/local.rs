//! The store of a data directory, opened by this process: what `run` and `plan` use when no coordinator answers.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use coordinator::admission::Admitted;
use coordinator::ledger::{Ledger, SubmittedJob};
use scheduler::{JobRecord, Time};
use spec::job::SplitRef;
use spec::rank::Failure;
use spec::state::JobState;
use spec::{AttemptId, CheckpointManifest, DatasetManifest, Digest, JobId, MetricRow};
use store::{Batch, Disk};
use worker::depot::{Depot, lasting};

use crate::stop::{Code, Stop};

/// Opens the ledger in a data directory.
///
/// # Errors
/// It is not there, is in use, or cannot be read.
pub fn open(data_dir: &Path) -> Result<Ledger, Stop> {
    let directory = coordinator_dir(data_dir);
    // Opening would make it.
    if !directory.exists() && !data_dir.is_file() {
        return Err(Stop::refused(format!(
            "{} holds no data: give the --data-dir of a coordinator, or start one there with `trainyard up` and import some",
            data_dir.display()
        )));
    }
    let store = Disk::open(&directory).map_err(Stop::refused)?;
    Ok(Ledger::new(Arc::new(store)))
}

/// Where in a data directory the coordinator's store lies.
pub fn coordinator_dir(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join("store")
}

/// Milliseconds since 1970.
pub fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// A ledger as a depot.
pub struct LocalDepot(pub Ledger);

impl Depot for LocalDepot {
    fn dataset(&self, reference: &SplitRef) -> Result<DatasetManifest, Failure> {
        let dataset = self
            .0
            .dataset(&reference.dataset, reference.digest.as_ref());
        dataset.map(|dataset| dataset.manifest).map_err(lasting)
    }

    fn chunk(&self, digest: &Digest) -> Result<Vec<u8>, Failure> {
        self.0.store().chunk(&digest.0).map_err(lasting)
    }

    fn save(
        &self,
        _: AttemptId,
        chunks: &[&[u8]],
        manifest: &CheckpointManifest,
    ) -> Result<Digest, Failure> {
        let pins: Result<Vec<_>, _> = chunks
            .iter()
            .map(|chunk| self.0.store().put_chunk(chunk))
            .collect();
        let _pins = pins.map_err(lasting)?;
        let saved = self.0.add_checkpoint(manifest.clone(), unix_ms());
        saved.map(|checkpoint| checkpoint.digest).map_err(lasting)
    }

    fn checkpoints(&self, job: JobId) -> Result<Vec<CheckpointManifest>, Failure> {
        let checkpoints = self.0.checkpoints(Some(job)).map_err(lasting)?;
        Ok(checkpoints
            .into_iter()
            .map(|checkpoint| checkpoint.manifest)
            .collect())
    }
}

/// A depot whose checkpoints are not kept: for a run beside a coordinator that knows nothing of it.
pub struct Unkept<D>(pub D);

impl<D: Depot> Depot for Unkept<D> {
    fn dataset(&self, reference: &SplitRef) -> Result<DatasetManifest, Failure> {
        self.0.dataset(reference)
    }

    fn chunk(&self, digest: &Digest) -> Result<Vec<u8>, Failure> {
        self.0.chunk(digest)
    }

    fn save(
        &self,
        _: AttemptId,
        _: &[&[u8]],
        manifest: &CheckpointManifest,
    ) -> Result<Digest, Failure> {
        Ok(manifest.digest())
    }

    fn checkpoints(&self, _: JobId) -> Result<Vec<CheckpointManifest>, Failure> {
        Ok(Vec::new())
    }
}

/// A job that this process runs, in the ledger of a data directory.
pub struct Session {
    ledger: Ledger,
    record: JobRecord,
}

impl Session {
    /// Notes a job; as cancelled until it ends otherwise.
    ///
    /// # Errors
    /// What the store reports.
    pub fn begin(ledger: Ledger, admitted: Admitted) -> Result<Self, Stop> {
        let id = ledger.next_job().map_err(Stop::failed)?;
        let Admitted {
            job,
            steps,
            request,
            ..
        } = admitted;
        let now = unix_ms();
        let record = JobRecord {
            job: id,
            device_class: Some(engine::device_class()),
            request,
            // What it stays if this process is killed: no coordinator is to go on with it.
            state: JobState::Cancelled,
            reason: None,
            attempts: 1,
            failures: 0,
            submitted_at: Time(now),
            started_at: Some(Time(now)),
            finished_at: None,
            newest_checkpoint: None,
            not_before: None,
            last_failure: None,
        };
        let mut batch = Batch::default();
        Ledger::put_job(
            &mut batch,
            &SubmittedJob {
                id,
                job,
                steps,
                submitted_unix_ms: now,
            },
        );
        Ledger::put_state(&mut batch, &record);
        ledger.commit(batch).map_err(Stop::failed)?;
        Ok(Session { ledger, record })
    }

    /// The attempt that this process is.
    pub fn attempt(&self) -> AttemptId {
        AttemptId {
            job: self.record.job,
            number: 1,
        }
    }

    /// Keeps a row.
    ///
    /// # Errors
    /// What the store reports.
    pub fn row(&mut self, row: &MetricRow) -> Result<(), Stop> {
        let mut batch = Batch::default();
        Ledger::put_row(&mut batch, self.record.job, row);
        self.ledger.commit(batch).map_err(Stop::failed)
    }

    /// Notes how the job ended.
    ///
    /// # Errors
    /// What the store reports.
    pub fn end(mut self, result: &Result<(), Stop>) -> Result<(), Stop> {
        self.record.state = match result {
            Ok(()) => JobState::Succeeded,
            Err(stop) if stop.code == Code::Interrupted => JobState::Cancelled,
            Err(_) => JobState::Failed,
        };
        self.record.finished_at = Some(Time(unix_ms()));
        let mut batch = Batch::default();
        Ledger::put_state(&mut batch, &self.record);
        self.ledger.commit(batch).map_err(Stop::failed)
    }
}
