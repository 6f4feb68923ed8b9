//! Reading a job file from disk.

use std::fmt;
use std::io::Read;
use std::path::Path;

use spec::Job;

use crate::stop::Stop;

/// The largest job file, in bytes.
const LARGEST: u64 = 1 << 20;

/// A job file as it was read.
pub struct JobFile {
    /// The job with all defaults filled in.
    pub job: Job,
    text: String,
    name: String,
    /// The keys that `--set` has changed.
    overridden: Vec<String>,
}

impl JobFile {
    /// Reads, applies `--set`, checks.
    ///
    /// # Errors
    /// A file that cannot be read, or all of its mistakes.
    pub fn read(path: &Path, set: &[String]) -> Result<Self, Stop> {
        let name = path.display().to_string();
        let bytes = std::fs::metadata(path).and_then(|found| {
            if found.is_dir() {
                Err(std::io::Error::other(
                    "it is a folder: give the job file itself",
                ))
            } else if found.len() > LARGEST {
                Err(std::io::Error::other(
                    "it is larger than 1 MiB, which no job file is",
                ))
            } else {
                // What has no length to tell, as a pipe, must not be read for ever.
                let mut bytes = Vec::new();
                let file = std::fs::File::open(path)?;
                file.take(LARGEST).read_to_end(&mut bytes)?;
                Ok(bytes)
            }
        });
        let bytes = bytes
            .map_err(|error| Stop::refused(format!("cannot read job file {name}: {error}")))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            Stop::refused(format!(
                "job file {name} is not UTF-8 from byte {} on",
                error.utf8_error().valid_up_to()
            ))
        })?;
        let parsed = spec::job_file::parse_with(&text, set);
        let job = parsed.map_err(|mistakes| {
            Stop::refused(format!(
                "the job is refused\n{}",
                mistakes.display_for(&name)
            ))
        })?;
        Ok(JobFile {
            job,
            text,
            name,
            overridden: set.iter().map(|set| set.trim_start().to_string()).collect(),
        })
    }

    /// The refusal of a job, for a reason that has no place in the file.
    pub fn refuse(&self, reason: &dyn fmt::Display) -> Stop {
        Stop::refused(format!("the job is refused\n{}: {reason}", self.name))
    }

    /// A plan's refusal, with the place of the layer or rule that it is about.
    pub fn refuse_plan(&self, error: &plan::Error) -> Stop {
        let place = match error.rule() {
            Some((list @ "training.groups", number)) => {
                self.position(list, Some(number), spec::job_file::group_positions)
            }
            Some((list, number)) => {
                self.position(list, Some(number), spec::job_file::init_positions)
            }
            None => self.position("model", error.layer(), spec::job_file::layer_positions),
        };
        self.refuse_at(place, error)
    }

    /// The refusal of a job that is too large, with the place of the layer that stores most.
    pub fn refuse_misfit(&self, misfit: &plan::Misfit) -> Stop {
        let layer = Some(misfit.layer.0);
        let place = self.position("model", layer, spec::job_file::layer_positions);
        self.refuse_at(place, misfit)
    }

    /// The place of an entry of a list, unless the list is not the file's.
    fn position(
        &self,
        list: &str,
        number: Option<usize>,
        positions: fn(&str) -> Vec<(usize, usize)>,
    ) -> Option<(usize, usize)> {
        let in_file = !self.overridden.iter().any(|key| key.starts_with(list));
        number
            .filter(|_| in_file)
            .and_then(|number| positions(&self.text).get(number).copied())
    }

    fn refuse_at(&self, place: Option<(usize, usize)>, reason: &dyn fmt::Display) -> Stop {
        match place {
            Some((line, column)) => Stop::refused(format!(
                "the job is refused\n{}:{line}:{column}: {reason}",
                self.name
            )),
            None => self.refuse(reason),
        }
    }

    /// The refusal of an admission.
    pub fn refuse_admission(&self, error: &coordinator::Error) -> Stop {
        match error {
            coordinator::Error::Plan(error) => self.refuse_plan(error),
            coordinator::Error::TooLarge(misfit) => self.refuse_misfit(misfit),
            other => self.refuse(other),
        }
    }
}
