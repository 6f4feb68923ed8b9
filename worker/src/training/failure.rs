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

#[cfg(test)]
mod tests {
    use data::SourceError;
    use spec::rank::FailureKind;

    use super::*;

    #[test]
    fn a_chunk_that_could_not_be_fetched_fails_the_attempt_as_the_depot_says() {
        let refused = |failure: Failure| {
            let place = data::Place {
                dataset: "digits".to_string(),
                split: "train".to_string(),
                part: data::Part::Rows(0),
            };
            of_data(&data::Error::Source {
                chunk: place,
                digest: spec::Digest([0; 32]),
                source: SourceError::new(ChunkFailure(failure)),
            })
        };
        let away = refused(passing("no answer"));
        assert_eq!(away.kind, FailureKind::Passing);
        assert!(away.message.contains("no answer"), "{}", away.message);
        assert_eq!(refused(lasting("damaged")).kind, FailureKind::Lasting);
    }
}
