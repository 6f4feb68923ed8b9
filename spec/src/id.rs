//! The ids of jobs, attempts and workers. They print as people say them: `job-7`, `job-7#2`, `worker-3`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not an id: expected {expected}")]
pub struct ParseIdError {
    /// The text that was given.
    pub text: String,
    /// What an id of this kind looks like.
    pub expected: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "-{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.strip_prefix(concat!($prefix, "-"))
                    .and_then(|number| number.parse().ok())
                    .map($name)
                    .ok_or_else(|| ParseIdError { text: text.to_string(), expected: concat!($prefix, "-N") })
            }
        }
    };
}

id!(
    /// A submitted job: `job-7`.
    JobId,
    "job"
);
id!(
    /// A worker known to the coordinator: `worker-3`.
    WorkerId,
    "worker"
);

/// One gang's run of a job: `job-7#2`. Attempts of a job count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptId {
    /// The job that is run.
    pub job: JobId,
    /// Which of its attempts, from 1.
    pub number: u32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.job, self.number)
    }
}

impl FromStr for AttemptId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseIdError {
            text: text.to_string(),
            expected: "job-N#M",
        };
        let (job, number) = text.split_once('#').ok_or_else(error)?;
        Ok(AttemptId {
            job: job.parse().map_err(|_| error())?,
            number: number.parse().map_err(|_| error())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_as_people_say_them() {
        let attempt = AttemptId {
            job: JobId(7),
            number: 2,
        };
        assert_eq!(attempt.to_string(), "job-7#2");
        assert_eq!("job-7#2".parse(), Ok(attempt));
        assert_eq!("worker-3".parse(), Ok(WorkerId(3)));
        assert!("job-x".parse::<JobId>().is_err());
    }
}
