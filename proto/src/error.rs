//! What can be wrong with a message that came over the wire.

/// A message that breaks the contract of the wire.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A message without the part that says what it is.
    #[error("{message} without {field}: the sender speaks another version of the protocol")]
    Missing {
        /// The message's name.
        message: &'static str,
        /// The field that is not there.
        field: &'static str,
    },
    /// An id or digest that does not parse.
    #[error("{field} does not parse: {reason}")]
    Unreadable {
        /// The field.
        field: &'static str,
        /// What the parser said.
        reason: String,
    },
    /// A job file that does not pass.
    #[error("the job file has mistakes:\n{0}")]
    Job(#[from] spec::job_file::Mistakes),
    /// A manifest that is not the JSON it should be.
    #[error("the {document} manifest does not parse: {source}")]
    Manifest {
        /// `dataset` or `checkpoint`.
        document: &'static str,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A manifest that parses and contradicts itself.
    #[error("the {document} manifest contradicts itself: {fact}")]
    Contradiction {
        /// `dataset` or `checkpoint`.
        document: &'static str,
        /// What does not fit.
        fact: &'static str,
    },
}

impl Error {
    /// A field whose text does not parse.
    pub(crate) fn unreadable(field: &'static str, reason: impl ToString) -> Self {
        Error::Unreadable {
            field,
            reason: reason.to_string(),
        }
    }
}
