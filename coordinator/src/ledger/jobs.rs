//! Jobs, their attempts, what happened to them, and their metric rows. Workers' ids too.

use scheduler::{AttemptRecord, JobRecord};
use serde::{Deserialize, Serialize};
use spec::job_file::is_name;
use spec::{AttemptId, Job, JobId, MetricRow};
use store::Batch;

use super::records::{Ledger, decode, encode, key, number_at_end};
use crate::error::Error;

/// What was submitted. Never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubmittedJob {
    /// Its id.
    pub id: JobId,
    /// The canonical job.
    pub job: Job,
    /// How many steps it has.
    pub steps: u64,
    /// When it was accepted, in milliseconds since 1970.
    pub submitted_unix_ms: u64,
}

/// Something that happened to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// What, in one sentence.
    pub text: String,
}

impl Ledger {
    /// The id that the next submitted job gets.
    ///
    /// # Errors
    /// What the store reports.
    pub fn next_job(&self) -> Result<JobId, Error> {
        let last = self.store.last(b"job/")?;
        Ok(JobId(last.map_or(0, |(key, _)| number_at_end(&key)) + 1))
    }

    /// Adds a submitted job to a batch.
    pub fn put_job(batch: &mut Batch, submitted: &SubmittedJob) {
        batch.put(key(b"job/", &[submitted.id.0]), encode(submitted));
        batch.put(name_key(&submitted.job.name, submitted.id), Vec::new());
    }

    /// Adds a job's scheduling record to a batch.
    pub fn put_state(batch: &mut Batch, record: &JobRecord) {
        batch.put(key(b"state/", &[record.job.0]), encode(record));
    }

    /// Adds an attempt's record to a batch.
    pub fn put_attempt(batch: &mut Batch, record: &AttemptRecord) {
        let AttemptId { job, number } = record.attempt;
        batch.put(
            key(b"attempt/", &[job.0, u64::from(number)]),
            encode(record),
        );
    }

    /// Adds a metric row to a batch, replacing the one of the same step.
    pub fn put_row(batch: &mut Batch, job: JobId, row: &MetricRow) {
        batch.put(key(b"row/", &[job.0, row.exact.step]), encode(row));
    }

    /// Adds an occurrence to a batch; `number` counts the job's occurrences.
    pub fn put_occurrence(batch: &mut Batch, job: JobId, number: u64, occurrence: &Occurrence) {
        batch.put(key(b"event/", &[job.0, number]), encode(occurrence));
    }

    /// The number that the job's next occurrence gets.
    ///
    /// # Errors
    /// What the store reports.
    pub fn next_occurrence(&self, job: JobId) -> Result<u64, Error> {
        let last = self.store.last(&key(b"event/", &[job.0]))?;
        Ok(last.map_or(0, |(key, _)| number_at_end(&key)) + 1)
    }

    /// What happened to a job, oldest first.
    ///
    /// # Errors
    /// What the store reports, or a record that does not parse.
    pub fn history(&self, job: JobId) -> Result<Vec<Occurrence>, Error> {
        self.all(&key(b"event/", &[job.0]))
    }

    /// The job that `reference` means: an id as in `job-7`, or a name, which means its newest job.
    ///
    /// # Errors
    /// No such job, or what the store reports.
    pub fn find_job(&self, reference: &str) -> Result<JobId, Error> {
        let unknown = || Error::UnknownJob {
            reference: reference.to_string(),
        };
        // A job may be called as others are numbered: the id goes first.
        if let Ok(id) = reference.parse::<JobId>()
            && self.store.get(&key(b"job/", &[id.0]))?.is_some()
        {
            return Ok(id);
        }
        if !is_name(reference) {
            return Err(unknown());
        }
        let last = self.store.last(&name_prefix(reference))?;
        last.map(|(key, _)| JobId(number_at_end(&key)))
            .ok_or_else(unknown)
    }

    /// What was submitted under this id.
    ///
    /// # Errors
    /// No such job, or what the store reports.
    pub fn submitted(&self, job: JobId) -> Result<SubmittedJob, Error> {
        let record = self.record(&key(b"job/", &[job.0]))?;
        record.ok_or_else(|| Error::UnknownJob {
            reference: job.to_string(),
        })
    }

    /// Where a job stands.
    ///
    /// # Errors
    /// No such job, or what the store reports.
    pub fn state(&self, job: JobId) -> Result<JobRecord, Error> {
        let record = self.record(&key(b"state/", &[job.0]))?;
        record.ok_or_else(|| Error::UnknownJob {
            reference: job.to_string(),
        })
    }

    /// All jobs, oldest first.
    ///
    /// # Errors
    /// What the store reports, or a record that does not parse.
    pub fn jobs(&self) -> Result<Vec<SubmittedJob>, Error> {
        self.all(b"job/")
    }

    /// The scheduling records of all jobs, oldest first.
    ///
    /// # Errors
    /// What the store reports, or a record that does not parse.
    pub fn states(&self) -> Result<Vec<JobRecord>, Error> {
        self.all(b"state/")
    }

    /// The newest attempt of a job.
    ///
    /// # Errors
    /// What the store reports, or a record that does not parse.
    pub fn newest_attempt(&self, job: JobId) -> Result<Option<AttemptRecord>, Error> {
        let last = self.store.last(&key(b"attempt/", &[job.0]))?;
        last.map(|(key, value)| decode(&key, &value)).transpose()
    }

    /// At most `limit` rows of a job after a step, oldest first.
    ///
    /// # Errors
    /// What the store reports, or a record that does not parse.
    pub fn rows(&self, job: JobId, after_step: u64, limit: usize) -> Result<Vec<MetricRow>, Error> {
        let after = key(b"row/", &[job.0, after_step]);
        let found = self
            .store
            .scan(&key(b"row/", &[job.0]), Some(&after), limit)?;
        found
            .iter()
            .map(|(key, value)| decode(key, value))
            .collect()
    }

    /// The row of one step.
    ///
    /// # Errors
    /// What the store reports, or a record that does not parse.
    pub fn row(&self, job: JobId, step: u64) -> Result<Option<MetricRow>, Error> {
        self.record(&key(b"row/", &[job.0, step]))
    }

    /// The row of the highest step.
    ///
    /// # Errors
    /// What the store reports, or a record that does not parse.
    pub fn last_row(&self, job: JobId) -> Result<Option<MetricRow>, Error> {
        let last = self.store.last(&key(b"row/", &[job.0]))?;
        last.map(|(key, value)| decode(&key, &value)).transpose()
    }

    /// The id that a worker of this name has had, or the next free one, noted in `batch`.
    ///
    /// # Errors
    /// What the store reports, or a record that does not parse.
    pub fn worker_id(&self, batch: &mut Batch, name: &str) -> Result<spec::WorkerId, Error> {
        let key = [b"worker/", name.as_bytes()].concat();
        if let Some(id) = self.record(&key)? {
            return Ok(id);
        }
        let id = spec::WorkerId(self.record(b"workers")?.unwrap_or(0) + 1);
        batch.put(key, encode(&id));
        batch.put(b"workers".to_vec(), encode(&id.0));
        Ok(id)
    }
}

/// Names hold no zero byte, so one name's keys are never a prefix of another's.
fn name_prefix(name: &str) -> Vec<u8> {
    [b"name/", name.as_bytes(), b"\0"].concat()
}

fn name_key(name: &str, job: JobId) -> Vec<u8> {
    key(&name_prefix(name), &[job.0])
}
