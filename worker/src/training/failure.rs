//! What the errors of the lower floors mean for the attempt.

use spec::rank::Failure;

use crate::depot::{ChunkFailure, lasting, passing};

/// Data that does not fit stays so; a depot that did not answer may answer the next attempt.
pub fn of_data(error: &data::Error) -> Failure {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(ChunkFailure(failure)) = inner.downcast_ref() {
            return Failure {
                kind: failure.kind,
                message: error.to_string(),
            };
        }
        cause = inner.source();
    }
    lasting(error)
}

/// What a gang cannot do, another may.
pub fn of_gang(error: &collective::Error) -> Failure {
    passing(error)
}

/// What the engine refuses, it refuses again.
pub fn of_engine(error: &engine::Error) -> Failure {
    lasting(error)
}
