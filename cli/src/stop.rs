//! Why a command ends, and the exit status that says so.

use std::fmt;
use std::process::ExitCode;

use spec::rank::{Failure, FailureKind};

/// The kinds of end that are not "done" (DESIGN section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The job failed or was cancelled, or a verification failed.
    Failed,
    /// Wrong use, refused input, unknown name, port in use.
    Refused,
    /// The coordinator cannot be reached.
    Unreachable,
    /// Ctrl-C.
    Interrupted,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        ExitCode::from(match code {
            Code::Failed => 1,
            Code::Refused => 2,
            Code::Unreachable => 3,
            Code::Interrupted => 130,
        })
    }
}

/// An end that is not "done". An empty message says that everything has been said.
#[derive(Debug)]
pub struct Stop {
    /// The exit status.
    pub code: Code,
    /// One sentence for stderr.
    pub message: String,
}

impl Stop {
    /// Wrong use, refused input, unknown name.
    pub fn refused(message: impl fmt::Display) -> Self {
        Stop {
            code: Code::Refused,
            message: message.to_string(),
        }
    }

    /// A failure.
    pub fn failed(message: impl fmt::Display) -> Self {
        Stop {
            code: Code::Failed,
            message: message.to_string(),
        }
    }

    /// What a depot reports: a coordinator that cannot be reached, or else `otherwise`.
    pub fn of(failure: Failure, otherwise: Code) -> Self {
        let code = match failure.kind {
            FailureKind::Passing => Code::Unreachable,
            FailureKind::Lasting => otherwise,
        };
        Stop {
            code,
            message: failure.message,
        }
    }

    /// Ctrl-C.
    pub fn interrupted() -> Self {
        Stop {
            code: Code::Interrupted,
            message: String::new(),
        }
    }
}
